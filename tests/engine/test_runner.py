"""The runner on this machine: steps, attempts, expectations, proofs, and undo. The controller is the only host."""

import base64
import json
import os
import shutil
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.engine import preparation
from drillbook.engine import probing as probe_runs
from drillbook.errors import PlanError, Unreported, UsageError
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.report import headlines, rows
from tests.waiting import until

HOSTS = """\
environment: lab
hosts: {controller: {local: true, scratch: SCRATCH, lease: {boot: none}}}
services: {app: {kind: process, host: controller}}
"""
HEAD = "drill: sample\ntitle: A sample\nservice: app\n"
VERIFY = "verify:\n  - command.run: {argv: ['true'], effect: read}\n    hosts: controller\n"


class Bench:
    def __init__(self, root):
        self.root = root
        (root / "drills").mkdir()
        (root / "hosts.yml").write_text(HOSTS.replace("SCRATCH", str(root / "scratch")))
        self.inventory = inventory.load(root / "hosts.yml")

    def run(self, text, observer=lambda event: None):
        """Run a drill whose steps run on the controller; ``DIR`` in its text is a folder of the test."""
        if "verify:" not in text:
            text += VERIFY
        path = self.root / "drills" / "sample.yml"
        path.write_text(HEAD + text.replace("DIR", str(self.root)))
        made = planner.make(spec.load(path), self.inventory)
        self.folder, view = Orchestrator(Project(self.root), self.inventory, observer).run(made)
        return view

    def events(self, kind):
        return [event for event in read(self.folder / FILE).events if event.kind == kind]

    def statuses(self, view):
        return {step.id: step.status for step in view.result.steps}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def step(argv, *more, indent="  "):
    lines = [
        f"- command.run: {{argv: {json.dumps(argv)}, effect: read}}",
        "  hosts: controller",
        *(f"  {line}" for line in more),
    ]
    return "".join(f"{indent}{line}\n" for line in lines)


def test_facts_travel_between_steps(bench):
    view = bench.run(
        "restore:\n"
        + step(["printf", "%s", "{{ run.id }}"], "save: said")
        + step(["test", "{{ said.stdout }}", "=", "{{ run.id }}"])
    )
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts["stdout"] == view.result.run


def test_what_a_target_says_is_never_evaluated(bench):
    view = bench.run(
        "restore:\n"
        + step(["printf", "%s", "{{ '{{' }} 7 * 7 }}"], "save: said")
        + step(["printf", "%s", "{{ said.stdout }}"])
    )
    assert view.result.steps[1].facts["stdout"] == "{{ 7 * 7 }}"


def test_a_failed_step_ends_its_phase_and_the_rest_is_skipped(bench):
    view = bench.run("restore:\n" + step(["false"]) + step(["true"]))
    assert bench.statuses(view) == {"restore.1": "failed", "restore.2": "skipped", "verify.1": "skipped"}
    assert view.result.verdict is Verdict.FAILED
    assert "step-failed" in {one.code for one in view.result.findings}


def test_a_rehearsal_that_fails_before_its_restore_names_no_fault(bench):
    """A rehearsal has no fault that could be injected or not."""
    view = bench.run("backup:\n" + step(["false"]) + "restore:\n" + step(["true"]))
    (early,) = bench.events("ended.early")
    assert early.data["message"] == "no backup was restored, because the phase backup failed"
    told = f"{headlines.sentence(view)} {rows.nothing_measured(view)}"
    assert "fault was injected" not in told
    assert "The drill injects no fault." in told


def test_retries(bench):
    count = 'echo x >> "$1"; test "$(wc -l < "$1")" -ge 3'
    view = bench.run("restore:\n" + step(["sh", "-c", count, "sh", "DIR/count"], "retries: 2", "every: 10ms", "timeout: 5s"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert bench.events("done")[0].data["attempts"] == 3
    view = bench.run("restore:\n" + step(["sh", "-c", count, "sh", "DIR/other"], "retries: 1", "every: 10ms", "timeout: 5s"))
    assert view.result.verdict is Verdict.FAILED


def test_polling_ends_with_its_timeout(bench):
    view = bench.run("restore:\n" + step(["false"], "every: 50ms", "timeout: 2s"))
    failed = bench.events("failed")[0].data
    assert failed["attempts"] >= 2, "and it ended, though the command fails for ever"
    assert view.result.verdict is Verdict.FAILED


def test_a_timeout_ends_the_command(bench):
    view = bench.run("restore:\n" + step(["sh", "-c", "echo $$ > DIR/pid; exec sleep 60"], "timeout: 500ms"))
    assert view.result.steps[0].status == "error"
    assert view.result.verdict is Verdict.FAILED
    pid = int((bench.root / "pid").read_text())
    until(lambda: not alive(pid), "the end of the command")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("result.stdout == 'yes'", Verdict.PASSED),
        ("result.stdout == 'no'", Verdict.FAILED),
        ("result.nothing == 1", Verdict.INCONCLUSIVE),
        ("result.stdout + 1", Verdict.INCONCLUSIVE),
    ],
)
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
    text = (
        "restore:\n  - parallel:\n"
        + step(["sh", "-c", meet, "sh", "DIR/a", "DIR/b"], indent="      ")
        + step(["sh", "-c", meet, "sh", "DIR/b", "DIR/a"], indent="      ")
    )
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
    begun = kinds[kinds.index("step.started") :]
    assert begun.index("intent") < begun.index("command"), "the intent is written before anything is done"


@pytest.fixture
def noticed():
    """Set as soon as a client received a failure of the service."""
    return threading.Event()


@pytest.fixture
def served(tmp_path, noticed):
    """Address of a service that fails while one of two files exists."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            bad = (tmp_path / "broken").exists() or (tmp_path / "restarting").exists()
            self.send_response(503 if bad else 200)
            self.end_headers()
            if bad:
                noticed.set()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


REMEDY = """restore:
  - command.run:
      argv: [rm, DIR/broken]
      effect: write
      undo: [sh, -c, "touch DIR/restarting; { sleep 3; rm DIR/restarting; } > /dev/null 2>&1 &"]
    hosts: controller
"""


def test_a_service_that_an_undo_restarts_at_the_end_is_waited_for(bench, served):
    """A remedy that is undone at the end of the drill: the verified drill passes, and its probes saw the service
    healthy again.
    """
    probes = f"probes:\n  - http.available: {{url: '{served}', every: 100ms, timeout: 3s}}\n"
    view = bench.run(probes + FAULT % "[rm, -f, DIR/broken]" + REMEDY)
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    begun = bench.events("undo")[0].clock
    samples = sorted(sample for event in bench.events("probe.samples") for sample in event.data["samples"])
    assert [good for start, end, good, why in samples if start > begun and not good], "it was interrupted"
    assert samples[-1][2] is True


def probing(served):
    return f"probes:\n  - http.available: {{url: '{served}', every: 100ms, timeout: 3s}}\n"


def restarting(seconds):
    """Undo of ``FAULT`` after which the service needs some time to become healthy."""
    return (
        '[sh, -c, "touch DIR/restarting; rm -f DIR/broken; '
        f'{{ sleep {seconds}; rm -f DIR/restarting; }} > /dev/null 2>&1 &"]'
    )


NEVER = restarting(3).replace("{ sleep 3; rm -f DIR/restarting; } > /dev/null 2>&1 &", "true")
NO_FAULT = """  - command.run: {argv: ['false'], effect: fault, undo: ['true'], proof: ['false']}
    hosts: controller
"""


def told(bench, sample_from=0.0):
    """Samples of the probe that began after ``sample_from``, as good or bad."""
    samples = sorted(sample for event in bench.events("probe.samples") for sample in event.data["samples"])
    return [good for start, end, good, why in samples if start > sample_from]


def codes(view):
    return {one.code for one in view.result.findings}


def test_a_run_that_ends_early_waits_until_what_it_put_back_is_good_again(bench, served):
    """The second fault cannot be injected: the first is undone, and its service needs a moment to start."""
    view = bench.run(probing(served) + FAULT % restarting(3) + NO_FAULT)
    assert view.result.verdict is Verdict.INCONCLUSIVE, (view.result.reason, view.result.findings)
    assert view.result.reason == "the fault could not be injected as planned"
    assert not codes(view) & {"not-recovered", "recovery-not-awaited", "probe-failed"}
    seen = told(bench, bench.events("undone")[0].clock)
    assert (seen[0], seen[-1]) == (False, True), "it was not good at once, and the probe saw it good at the end"
    assert [(event.data["after"], event.data["good"]) for event in bench.events("settle.ended")] == [("early end", True)]


@pytest.mark.parametrize("moment", ["restore.1", "verify.1"])
def test_a_run_that_is_stopped_waits_too(bench, served, moment):
    """Also if the stop request arrives while the verification waits for the service."""
    remedy = (
        'restore:\n  - command.run:\n      argv: [sh, -c, "touch DIR/restarting; rm DIR/broken; { sleep 4; rm '
        "DIR/restarting; } > /dev/null 2>&1 &\"]\n      effect: write\n      undo: ['true']\n    hosts: controller\n"
    )

    def observe(event):
        if event.kind == "done" and event.step == moment:
            os.kill(os.getpid(), signal.SIGTERM)

    view = bench.run(probing(served) + FAULT % restarting(3) + remedy, observe)
    assert (view.result.verdict, view.result.residue) == (Verdict.ABORTED, ())
    assert not codes(view) & {"not-recovered", "recovery-not-awaited", "probe-failed"}, view.result.findings
    assert told(bench)[-1] is True
    assert view.result.clocks["verified_s"] is None
    assert {phase.phase: phase.status for phase in view.result.phases}.get("verify", "interrupted") == "interrupted"


def test_a_service_that_does_not_come_back_after_an_early_end_fails(bench, served, monkeypatch):
    monkeypatch.setattr(probe_runs, "SETTLE_LIMIT_S", 2.0)
    view = bench.run(probing(served) + FAULT % NEVER + NO_FAULT)
    assert view.result.verdict is Verdict.FAILED
    (found,) = [one for one in view.result.findings if one.code == "not-recovered"]
    assert (view.result.reason, found.severity) == ("The service was not good again by the end of the run", "critical")
    assert "503" in found.measured
    assert "the run waited 2." in found.measured


@pytest.mark.parametrize("moment", ["undo", "settle.started"])
def test_who_asks_twice_to_stop_is_not_kept_waiting(bench, served, noticed, moment, monkeypatch):
    monkeypatch.setattr(
        probe_runs, "SETTLE_LIMIT_S", 3600.0
    )  # a wait for the service would exceed the time limit of the test

    def observe(event):
        if event.kind in ("fault.active", moment):
            assert noticed.wait(300), "the probe sees the interruption"
            os.kill(os.getpid(), signal.SIGINT)

    view = bench.run(probing(served) + FAULT % NEVER + "restore:\n" + step(["sleep", "3600"]), observe)
    assert (view.result.verdict, view.result.residue) == (Verdict.ABORTED, ())
    assert not (bench.root / "broken").exists()
    assert "not-recovered" not in codes(view), "nobody knows: it was not waited for"
    assert "recovery-not-awaited" in codes(view)
    assert bench.events("settle.ended")[-1].data["interrupted"] is True


def test_nothing_is_waited_for_where_nothing_was_broken(bench, served, monkeypatch):
    monkeypatch.setattr(preparation, "BASELINE_S", 1.0)
    (bench.root / "broken").touch()
    view = bench.run(probing(served) + FAULT % "[rm, -f, DIR/broken]")
    assert view.result.verdict is Verdict.INCONCLUSIVE
    assert bench.events("settle.started") == []


def interrupting(then):
    """Backup that leaves the service interrupted, such as one that stops its server."""
    script = f"touch DIR/restarting; {then}"
    return f"backup:\n  - command.run: {{argv: [sh, -c, {json.dumps(script)}], effect: write}}\n    hosts: controller\n"


def test_what_the_backup_interrupted_is_waited_for_before_anything_is_broken(bench, served):
    probes = f"probes:\n  - http.available: {{url: '{served}', every: 100ms, timeout: 3s}}\n"
    view = bench.run(
        probes + interrupting("{ sleep 3; rm DIR/restarting; } > /dev/null 2>&1 &") + FAULT % "[rm, -f, DIR/broken]" + REMEDY
    )
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    samples = sorted(sample for event in bench.events("probe.samples") for sample in event.data["samples"])
    injected = next(event.clock for event in bench.events("intent") if event.step == "inject.1")
    before = [good for start, end, good, why in samples if end < injected]
    assert False in before, "the backup interrupted it"
    assert before[-1] is True
    assert view.result.clocks["rto_s"] is not None
    assert "probe-bad-before" not in {one.code for one in view.result.findings}


def test_nothing_is_broken_while_a_probe_is_bad_after_the_backup(bench, served, monkeypatch):
    monkeypatch.setattr(preparation, "BASELINE_S", 2.0)
    probes = f"probes:\n  - http.available: {{url: '{served}', every: 100ms, timeout: 3s}}\n"
    view = bench.run(probes + interrupting("true") + FAULT % "[rm, -f, DIR/broken]" + REMEDY)
    assert view.result.verdict is Verdict.INCONCLUSIVE
    assert "was not good right before the injection" in view.result.reason
    assert "503" in next(one.measured for one in view.result.findings if one.code == "probe-bad-before")
    assert "inject.1" not in {event.step for event in bench.events("intent")}


def test_an_undo_that_does_not_help_is_residue(bench):
    view = bench.run(FAULT % "['true']")
    assert view.result.exit == 5
    assert view.result.residue[0].host == "controller"
    assert "not proven that the fault is gone" in view.result.residue[0].why


def test_an_undo_that_fails_is_residue_and_says_what_to_do(bench):
    view = bench.run(FAULT % "['false']")
    assert view.result.exit == 5
    assert "false" in view.result.residue[0].by_hand


def test_a_fault_that_cannot_be_proven_is_inconclusive(bench):
    view = bench.run((FAULT % "[rm, -f, DIR/broken]").replace("[test, -e, DIR/broken]", "[sh, -c, exit 2]"))
    assert "fault-unproven" in {one.code for one in view.result.findings}
    assert view.result.verdict is Verdict.INCONCLUSIVE


def test_a_fault_whose_undo_got_an_object_is_told_with_its_argument_and_key(bench):
    """An object of facts among the arguments: the message names the argument, and no finding contradicts another."""
    view = bench.run(
        """backup:
  - command.run: {argv: [echo, saved], effect: read, keep: true}
    hosts: controller
    save: newest
inject:
  - command.run: {argv: ['true'], effect: fault, undo: [echo, "{{ newest.evidence }}"], proof: ['true']}
    hosts: controller
"""
    )
    (said,) = {step.message for step in view.steps if step.result.id == "inject.1"}
    assert "entry 2 of `undo`: expected text, not {{ newest.evidence }}, an object with the keys file, " in said
    assert "write `{{ newest.evidence.file }}`" in said
    (found,) = [one for one in view.result.findings if one.code == "fault-unproven"]
    assert found.measured == "the fault was not injected"
    assert "not certain" not in found.remedy


def test_undoing_goes_on_past_a_failure_newest_first(bench):
    text = "inject:\n" + "".join(
        (FAULT % undo).removeprefix("inject:\n").replace("broken", f"broken{n}")
        for n, undo in enumerate(["[rm, -f, DIR/broken]", "['false']", "[rm, -f, DIR/broken]"])
    )
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
    from drillbook.project.finished_runs import judged
    from drillbook.report import publish

    bench.run("restore:\n" + step(["printf", "<script>alert(1)</script> {{ '{{' }} x }}"]))
    before = {path.name: path.read_bytes() for path in bench.folder.iterdir() if path.is_file()}
    publish.write_run(bench.folder, judged(RunState(bench.folder)))
    assert {path.name: path.read_bytes() for path in bench.folder.iterdir() if path.is_file()} == before


def test_the_observer_sees_what_the_journal_holds(bench):
    seen = []
    lock = threading.Lock()

    def observe(event):
        with lock:
            seen.append(event)

    bench.run("restore:\n" + step(["true"]), observe)
    assert sorted(event.seq for event in seen) == [event.seq for event in read(bench.folder / FILE).events]


# Defects found by a review; each was reproduced with the code of that time.


def test_a_terminal_that_goes_away_does_not_keep_the_fault_in_place(bench):
    def observe(event):
        if event.kind == "fault.active":
            raise OSError(5, "Input/output error")

    view = bench.run(FAULT % "[rm, -f, DIR/broken]", observe)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert not (bench.root / "broken").exists()
    assert bench.events("observer.failed")


def test_a_refused_drill_does_not_clean_up(bench):
    view = bench.run("guard: {environments: [production]}\ncleanup:\n" + step(["touch", "DIR/touched"]))
    assert view.result.verdict is Verdict.REFUSED
    assert not (bench.root / "touched").exists()


def test_a_full_disk_of_the_controller_does_not_keep_the_fault_in_place(bench, monkeypatch):
    """The journal becomes unwritable after the fault is active; a tiny quota simulates a full disk."""
    from drillbook.journal.line_file import LineFile

    write = LineFile.write
    full = []

    def observe(event):
        if event.kind == "fault.active":
            full.append(True)

    def no_room(self):
        if full:
            descriptor, self._file = self._file, os.open("/dev/full", os.O_WRONLY)
            try:
                return write(self)
            finally:
                os.close(self._file)
                self._file = descriptor
        return write(self)

    monkeypatch.setattr(os, "ftruncate", lambda descriptor, length: None)
    monkeypatch.setattr(LineFile, "write", no_room)
    view = bench.run(FAULT % "[rm, -f, DIR/broken]", observe)
    assert not (bench.root / "broken").exists()
    assert view.result.verdict is not Verdict.PASSED
    assert read(bench.folder / FILE).events, "what was written before stays readable"


def test_a_proof_that_cannot_answer_does_not_skip_the_undo(bench):
    text = (FAULT % "[rm, -f, DIR/broken]").replace(
        "[test, -e, DIR/broken]", "[sh, -c, 'test -e DIR/asked && exit 127; touch DIR/asked; test -e DIR/broken']"
    )
    view = bench.run(text)
    assert not (bench.root / "broken").exists(), "it is put back all the same"
    assert view.result.exit == 5, "but that it is gone was not proven"


@pytest.mark.parametrize("number", range(2))
def test_a_second_signal_changes_nothing(bench, number):
    slow = "[sh, -c, 'sleep 1; rm -f DIR/broken']"

    def observe(event):
        if event.kind in ("fault.active", "undo"):
            os.kill(os.getpid(), (signal.SIGTERM, signal.SIGHUP)[number])

    view = bench.run(FAULT % slow + "restore:\n" + step(["sleep", "20"]), observe)
    assert (view.result.verdict, view.result.residue) == (Verdict.ABORTED, ())
    assert not (bench.root / "broken").exists()
    assert [event.data["again"] for event in bench.events("signal")] == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ready:\n" + (FAULT % "['true']").removeprefix("inject:\n"), "faults are allowed only in `inject`"),
        ("cleanup:\n" + (FAULT % "['true']").removeprefix("inject:\n"), "faults are allowed only in `inject`"),
        ("ready:\n" + step(["true"]).replace("effect: read", "effect: write"), "the phase `ready` allows only"),
        (FAULT % "['true']" + "    allow_failure: never mind\n", "`allow_failure` is not allowed for a fault"),
        (
            "restore:\n" + step(["true"]).replace(", effect: read}", ", effect: \"{{ 'fa' + 'ult' }}\", undo: ['true']}"),
            "must be known before",
        ),
    ],
)
def test_what_a_plan_does_not_allow(bench, text, message):
    with pytest.raises(PlanError, match=message):
        bench.run(text)
    assert not list((bench.root / "reports").glob("*/")), "nothing ran"


def test_a_secret_that_is_an_ordinary_word_is_refused(bench, monkeypatch):
    monkeypatch.setenv("DRILL_SECRET", "command")
    (bench.root / "hosts.yml").write_text(
        (bench.root / "hosts.yml")
        .read_text()
        .replace("controller}}", "controller}, db: {kind: redis, host: controller, password: !env DRILL_SECRET}}")
    )
    bench.inventory = inventory.load(bench.root / "hosts.yml")
    with pytest.raises(UsageError, match="appears in plain text"):
        bench.run("restore:\n" + step(["true"]))


def test_secrets_do_not_get_through_in_any_form(bench, monkeypatch):
    monkeypatch.setenv("DRILL_SECRET", "s3kret w'rd")
    (bench.root / "hosts.yml").write_text(
        (bench.root / "hosts.yml")
        .read_text()
        .replace("controller}}", "controller}, db: {kind: redis, host: controller, password: !env DRILL_SECRET}}")
    )
    bench.inventory = inventory.load(bench.root / "hosts.yml")
    say = 'printf "%s\\n" "$DRILL_SECRET" "user:$DRILL_SECRET" >&2; printf %s "user:$DRILL_SECRET" | base64; printf %04000d 0; printf %s "$DRILL_SECRET"'
    view = bench.run("verify:\n" + step(["sh", "-c", say]) + step(["sh", "-c", say + "; exit 3"]))
    assert view.result.verdict is Verdict.FAILED
    encoded = base64.b64encode(b"user:s3kret w'rd").decode()
    for path in bench.folder.rglob("*"):
        data = path.read_text(errors="replace") if path.is_file() else ""
        for form in ("s3kret w'rd", "kret w'rd", encoded[8:], "s3kret w'\"'\"'rd"):
            assert form not in data, path.name


@pytest.fixture
def secretive(bench, monkeypatch):
    monkeypatch.setenv("DRILL_SECRET", "s3kret w'rd")
    (bench.root / "hosts.yml").write_text(
        (bench.root / "hosts.yml")
        .read_text()
        .replace("controller}}", "controller}, v18: {kind: redis, host: controller, password: !env DRILL_SECRET}}")
    )
    bench.inventory = inventory.load(bench.root / "hosts.yml")
    return bench


@pytest.mark.parametrize(
    ("given", "script"),
    [('env: {P: "{{ services.v18.password }}"}', 'printf %s "$P"'), ('stdin: "{{ services.v18.password }}"', "cat")],
)
def test_a_secret_is_handed_over_as_a_secret(secretive, given, script):
    """A command received ``***`` as its password, and a login failed, or was attempted with it."""
    text = step(["sh", "-c", f"{script} | tee DIR/got"]).replace("effect: read", f"effect: write, {given}")
    view = secretive.run("restore:\n" + text)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert (secretive.root / "got").read_text() == "s3kret w'rd"
    assert view.result.steps[0].facts["stdout"] == "***"
    (intent,) = secretive.events("intent")
    assert "!secret services.v18.password" in json.dumps(intent.data["params"])
    assert not any("s3kret" in path.read_text(errors="replace") for path in secretive.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "text",
    [
        step(["echo", "{{ services.v18.password }}"]),
        step(["true"]).replace("effect: read", 'effect: read, env: {P: "user:{{ services.v18.password }}"}'),
        step(["true"]).replace("effect: read", 'effect: read, env: {P: "{{ services.v18.password | upper }}"}'),
        step(["true"]).replace("effect: read", "effect: read, cwd: \"{{ services['v18']['password'] }}\""),
        "  - http.responds: {url: 'http://127.0.0.1:1/', headers: {A: 'Bearer {{ services.v18.password }}'}}\n",
    ],
)
def test_a_secret_that_would_be_shown_as_stars_is_refused_at_its_place(secretive, text):
    with pytest.raises(PlanError, match=r"services\.v18\.password is a secret; it would appear") as refused:
        secretive.run("restore:\n" + text)
    assert refused.value.where.line in (5, 6)
    assert refused.value.hint
    assert not list((secretive.root / "reports").glob("*/")), "nothing ran"


def test_a_secret_in_a_text_that_is_made_while_it_runs_is_refused_too(secretive):
    text = step(["true"]).replace("effect: read", "effect: read, env: {P: \"x{{ services.v18['pass' ~ 'word'] }}\"}")
    view = secretive.run("restore:\n" + text)
    assert view.result.verdict is Verdict.FAILED
    assert "services.v18.password is a secret; a secret must be the whole value, not part of a text" in json.dumps(
        view.result.model_dump(mode="json")
    )


def test_a_secret_is_not_kept_on_a_target_for_an_undo(secretive):
    text = (FAULT % "['true']").replace("effect: fault", 'effect: fault\n      env: {P: "{{ services.v18.password }}"}')
    with pytest.raises(PlanError, match="must not be stored on the target for the undo"):
        secretive.run(text)


def test_a_name_of_no_secret_is_none(secretive):
    text = step(["true"]).replace("effect: read", 'effect: read, env: {P: "!secret services.v18.host"}')
    assert "the inventory has no secret services.v18.host" in json.dumps(
        secretive.run("restore:\n" + text).result.model_dump(mode="json")
    )


def test_temporary_files_of_reading_steps_are_removed(bench):
    bench.run("restore:\n" + step(["mkdir", "-p", f"{bench.root}/scratch/drillbook-{{{{ run.id }}}}"]))
    assert not (bench.root / "scratch" / f"drillbook-{bench.folder.name}").exists()


def test_a_recovery_passes_over_what_it_cannot_recover(bench, monkeypatch, capsys):
    from drillbook.cli import recover

    monkeypatch.chdir(bench.root)
    bench.run(FAULT % "['false']")
    kept = bench.folder
    for name, text in (("20200101T000000.000Z-empty-0000", ""), ("20200101T000000.000Z-odd-0000", "not a journal\n")):
        (bench.root / "reports" / name).mkdir()
        (bench.root / "reports" / name / FILE).write_text(text)
    assert recover.recover(Project(bench.root), "") == 5
    said = " ".join(capsys.readouterr().out.split())  # a long path wraps its line
    assert "not a line of a journal" in said
    assert read(kept / FILE).events[-1].kind == "recovery.finished"


TAKEN = {
    "journal": lambda folder: (folder / FILE).unlink(),
    "folder": shutil.rmtree,
    "reports": lambda folder: folder.parent.rename(folder.parent.with_name("elsewhere")),
    "content": lambda folder: (folder / FILE).write_bytes(b""),
}


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize(
    ("undo", "said"),
    [("[rm, -f, DIR/broken]", "all changes were undone"), ("['false']", "some changes could not be undone")],
)
def test_a_run_whose_record_was_taken_away_puts_back_and_ends_with_exit_5(bench, taken, undo, said):
    def observe(event):
        if event.kind == "fault.active":
            (folder,) = (bench.root / "reports").glob("2*")
            TAKEN[taken](folder)

    with pytest.raises(Unreported) as raised:
        bench.run(FAULT % undo, observe)
    assert raised.value.exit_status == 5
    assert said in raised.value.message
    assert "the record of " in raised.value.message
    assert (bench.root / "broken").exists() == ("some changes" in said)
    assert ("controller, in this order:\nfalse" in raised.value.message) == ("some changes" in said)


def test_a_record_that_is_taken_away_is_noticed_while_nothing_is_written(bench):
    def observe(event):
        if event.kind == "step.started" and event.step == "backup.1":
            (folder,) = (bench.root / "reports").glob("2*")
            (folder / FILE).unlink()

    with pytest.raises(Unreported):
        bench.run("backup:\n" + step(["sh", "-c", "sleep 30; touch DIR/ended"]), observe)
    assert not (bench.root / "ended").exists()
