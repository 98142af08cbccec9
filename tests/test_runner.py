"""The runner on this machine itself: steps, attempts, expectations, proofs, undoing. No host but the controller."""

import json
import threading
import time
from pathlib import Path

import pytest

from drillbook import inventory, plan, spec
from drillbook.conduct import Conductor
from drillbook.journal import FILE, read
from drillbook.project import Project
from drillbook.result import Verdict

HOSTS = """\
environment: lab
services: {app: {kind: process, host: controller}}
"""
HEAD = "drill: sample\ntitle: A sample\nservice: app\n"
VERIFY = "verify:\n  - command.run: {argv: ['true']}\n    hosts: controller\n"


class Bench:
    def __init__(self, root):
        self.root = root
        (root / "drills").mkdir()
        (root / "hosts.yml").write_text(HOSTS)
        self.inventory = inventory.load(root / "hosts.yml")

    def run(self, text, observer=lambda event: None):
        """Run a drill whose steps stand on the controller; ``DIR`` in its text is a folder of the test."""
        if "verify:" not in text:
            text += VERIFY
        path = self.root / "drills" / "sample.yml"
        path.write_text(HEAD + text.replace("DIR", str(self.root)))
        made = plan.make(spec.load(path), self.inventory)
        self.folder, view = Conductor(Project(self.root), self.inventory, observer).run(made)
        return view

    def events(self, kind):
        return [event for event in read(self.folder / FILE).events if event.kind == kind]

    def statuses(self, view):
        return {step.id: step.status for step in view.result.steps}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def step(argv, *more, indent="  "):
    lines = [f"- command.run: {{argv: {json.dumps(argv)}}}", "  hosts: controller", *(f"  {line}" for line in more)]
    return "".join(f"{indent}{line}\n" for line in lines)


def test_facts_travel_between_steps(bench):
    view = bench.run("restore:\n" + step(["printf", "%s", "{{ run.id }}"], "save: said")
                     + step(["test", "{{ said.stdout }}", "=", "{{ run.id }}"]))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts["stdout"] == view.result.run


def test_what_a_target_says_is_never_evaluated(bench):
    view = bench.run("restore:\n" + step(["printf", "%s", "{{ '{{' }} 7 * 7 }}"], "save: said")
                     + step(["printf", "%s", "{{ said.stdout }}"]))
    assert view.result.steps[1].facts["stdout"] == "{{ 7 * 7 }}"


def test_a_failed_step_ends_its_phase_and_the_rest_is_skipped(bench):
    view = bench.run("restore:\n" + step(["false"]) + step(["true"]))
    assert bench.statuses(view) == {"restore.1": "failed", "restore.2": "skipped", "verify.1": "skipped"}
    assert view.result.verdict is Verdict.FAILED
    assert "step-failed" in {one.code for one in view.result.findings}


def test_retries(bench):
    count = 'echo x >> "$1"; test "$(wc -l < "$1")" -ge 3'
    view = bench.run("restore:\n" + step(["sh", "-c", count, "sh", "DIR/count"], "retries: 2", "every: 10ms", "timeout: 5s"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert bench.events("done")[0].data["attempts"] == 3
    view = bench.run("restore:\n" + step(["sh", "-c", count, "sh", "DIR/other"], "retries: 1", "every: 10ms", "timeout: 5s"))
    assert view.result.verdict is Verdict.FAILED


def test_polling_ends_with_its_timeout(bench):
    view = bench.run("restore:\n" + step(["false"], "every: 50ms", "timeout: 400ms"))
    failed = bench.events("failed")[0].data
    assert failed["attempts"] >= 3
    assert failed["seconds"] < 3
    assert view.result.verdict is Verdict.FAILED


def test_a_timeout_ends_the_command(bench):
    view = bench.run("restore:\n" + step(["sh", "-c", "echo $$ > DIR/pid; exec sleep 60"], "timeout: 500ms"))
    assert view.result.steps[0].status == "error"
    assert view.result.verdict is Verdict.FAILED
    pid = int((bench.root / "pid").read_text())
    until = time.monotonic() + 5
    while time.monotonic() < until and alive(pid):
        time.sleep(0.02)
    assert not alive(pid)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [("result.stdout == 'yes'", Verdict.PASSED), ("result.stdout == 'no'", Verdict.FAILED),
     ("result.nothing == 1", Verdict.INCONCLUSIVE), ("result.stdout + 1", Verdict.INCONCLUSIVE)])
def test_expect(bench, expression, verdict):
    view = bench.run("verify:\n" + step(["printf", "yes"], f'expect: "{expression}"'))
    assert view.result.verdict is verdict, view.result.reason


def test_when(bench):
    view = bench.run("restore:\n" + step(["false"], "when: environment == 'staging'"))
    assert bench.statuses(view)["restore.1"] == "skipped"
    assert view.result.verdict is Verdict.PASSED


def test_an_allowed_failure_is_shown_and_passes(bench):
    view = bench.run("restore:\n" + step(["false"], "allow_failure: the mail server is not part of this"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert [one.code for one in view.result.findings] == ["allowed-failure"]
    view = bench.run("verify:\n" + step(["false"], "allow_failure: never mind"))
    assert view.result.verdict is not Verdict.PASSED, "a verification that failed verified nothing"


def test_parallel_steps_run_at_once(bench):
    meet = 'touch "$1"; for i in $(seq 100); do test -e "$2" && exit 0; sleep 0.05; done; exit 1'
    text = "restore:\n  - parallel:\n" + step(["sh", "-c", meet, "sh", "DIR/a", "DIR/b"], indent="      ") + step(
        ["sh", "-c", meet, "sh", "DIR/b", "DIR/a"], indent="      ")
    assert bench.run(text).result.verdict is Verdict.PASSED


def test_a_drill_without_verification_is_inconclusive(bench):
    view = bench.run("restore:\n" + step(["true"]) + "verify:\n")
    assert view.result.verdict is Verdict.INCONCLUSIVE


def test_another_environment_is_refused(bench):
    view = bench.run("guard: {environments: [production]}\nrestore:\n" + step(["touch", "DIR/touched"]))
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
    assert not (bench.root / "touched").exists()


def test_a_program_that_is_not_there_is_refused_before_anything_runs(bench):
    view = bench.run("restore:\n" + step(["touch", "DIR/touched"]) + step(["no-such-program"]))
    assert view.result.verdict is Verdict.REFUSED
    assert not (bench.root / "touched").exists()
    assert "no-such-program" in view.result.findings[0].measured


FAULT = """\
inject:
  - command.run:
      argv: [touch, DIR/broken]
      effect: fault
      undo: %s
      proof: [test, -e, DIR/broken]
    hosts: controller
"""


def test_a_fault_is_proven_undone_and_proven_gone(bench):
    view = bench.run(FAULT % "[rm, -f, DIR/broken]")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert not (bench.root / "broken").exists()
    assert [event.data["active"] for event in bench.events("fault.active")] == [True]
    assert bench.events("fault.gone")[-1].data["active"] is False
    kinds = [event.kind for event in read(bench.folder / FILE).events if event.step == "inject.1"]
    begun = kinds[kinds.index("step.started"):]
    assert begun.index("intent") < begun.index("command"), "the intent is written before anything is done"


def test_an_undo_that_does_not_help_is_residue(bench):
    view = bench.run(FAULT % "['true']")
    assert view.result.exit == 5
    assert view.result.residue[0].host == "controller"
    assert "not proven gone" in view.result.residue[0].why


def test_an_undo_that_fails_is_residue_and_says_what_to_do(bench):
    view = bench.run(FAULT % "['false']")
    assert view.result.exit == 5
    assert "false" in view.result.residue[0].by_hand


def test_a_fault_that_cannot_be_proven_is_inconclusive(bench):
    view = bench.run((FAULT % "[rm, -f, DIR/broken]").replace("      proof: [test, -e, DIR/broken]\n", ""))
    assert "fault-unproven" in {one.code for one in view.result.findings}
    assert view.result.verdict is Verdict.INCONCLUSIVE


def test_undoing_goes_on_past_a_failure_newest_first(bench):
    text = "inject:\n" + "".join((FAULT % undo).removeprefix("inject:\n").replace("broken", f"broken{n}")
                                 for n, undo in enumerate(["[rm, -f, DIR/broken]", "['false']", "[rm, -f, DIR/broken]"]))
    view = bench.run(text)
    assert [event.step for event in bench.events("undo")] == ["inject.3", "inject.2", "inject.1"]
    assert [one.step for one in view.result.residue] == ["inject.2"]
    assert sorted(path.name for path in bench.root.glob("broken*")) == ["broken1"]


def test_every_run_knows_the_one_before(bench):
    bench.run("")
    head = read(bench.folder / FILE).head
    bench.run("")
    assert read(bench.folder / FILE).events[0].prev == head


def test_a_run_folder_is_private_and_complete(bench):
    bench.run("restore:\n" + step(["true"]))
    names = {path.name for path in bench.folder.iterdir()}
    assert names >= {"journal.jsonl", "plan.json", "result.json", "report.html", "report.md", "junit.xml"}
    assert bench.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in bench.folder.iterdir() if path.is_file()} == {0o600}
    assert (bench.root / "reports" / "latest").resolve() == bench.folder


def test_rendering_again_gives_the_same_bytes(bench):
    from drillbook.conduct import judged
    from drillbook.report import publish

    bench.run("restore:\n" + step(["printf", "<script>alert(1)</script> {{ '{{' }} x }}"]))
    before = {path.name: path.read_bytes() for path in bench.folder.iterdir() if path.is_file()}
    publish.write_run(bench.folder, judged(bench.folder))
    assert {path.name: path.read_bytes() for path in bench.folder.iterdir() if path.is_file()} == before


def test_the_observer_sees_what_the_journal_holds(bench):
    seen = []
    lock = threading.Lock()

    def observe(event):
        with lock:
            seen.append(event)

    bench.run("restore:\n" + step(["true"]), observe)
    assert sorted(event.seq for event in seen) == [event.seq for event in read(bench.folder / FILE).events]
