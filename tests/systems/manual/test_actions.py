"""manual.confirm on a real pseudo-terminal, and without one."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest

from drillbook.journal.journal import FILE, read
from drillbook.judge.judge import judge
from drillbook.judge.result import Verdict
from drillbook.sdk import examples
from tests.program import VERIFY, here
from tests.waiting import lasts

DRILL = """\
drill: sample
title: A sample
service: app
verify:
  - manual.confirm: {prompt: "Does the page look right?"}
  - command.run: {argv: ['true'], effect: read}
    hosts: controller
"""
RUN = """
import sys
from pathlib import Path
from drillbook.inventory import inventory
from drillbook.plan import planner as plan, spec
from drillbook.cli.orchestration import Orchestrator
from drillbook.project.project import Project
root = Path(sys.argv[1])
hosts = inventory.load(root / "hosts.yml")
Orchestrator(Project(root), hosts, lambda event: None).run(plan.make(spec.load(root / "drills" / "sample.yml"), hosts))
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "drills").mkdir()
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n"
    )
    (tmp_path / "drills" / "sample.yml").write_text(DRILL)
    return tmp_path


def environment(assume):
    found = {key: value for key, value in os.environ.items() if key != "DRILLBOOK_ASSUME"}
    return found | {"DRILLBOOK_OPERATOR": "ada"} | ({"DRILLBOOK_ASSUME": assume} if assume else {})


def view_of(root):
    history = read(root / "reports" / "latest" / FILE)
    return judge(history), history.events


def without_terminal(root, assume=None):
    subprocess.run(
        [sys.executable, "-c", RUN, str(root)], check=True, stdin=subprocess.DEVNULL, env=environment(assume), timeout=30
    )
    return view_of(root)


def at_a_terminal(root, answers, after=0.0):
    """Run it with a terminal as standard input; each answer is given when its question appears. Return the output, too."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", RUN, str(root)], stdin=theirs, env=environment(None))
    os.close(theirs)
    shown, due, left = b"", time.monotonic() + 30, list(answers)
    while child.poll() is None and time.monotonic() < due:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                break
            if left and shown.rstrip().endswith(b":"):
                lasts(after)
                os.write(ours, left.pop(0))
                shown += b"|"
    assert child.wait(20) == 0
    os.close(ours)
    return (*view_of(root), shown.decode())


def test_yes_at_the_terminal(root):
    view, events, shown = at_a_terminal(root, [b"maybe\n", b"YES\n"], after=0.3)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert "Does the page look right?" in shown
    assert "please answer yes, no or abort" in shown
    facts = view.result.steps[0].facts
    assert (facts["answer"], facts["assumed"]) == ("yes", False)
    assert facts["by"].startswith("ada at /dev/pts/")
    [waiting] = [event.data for event in events if event.kind == "waiting"]
    assert waiting == {"seconds": facts["seconds"], "why": "Does the page look right?"}
    assert view.result.clocks["waiting_s"] == pytest.approx(facts["seconds"])
    assert facts["seconds"] > 0.5


def test_the_example_of_the_reference_passes(root):
    drill = DRILL[: DRILL.index("verify:")] + examples.declared("manual.confirm") + "\n" + VERIFY
    (root / "drills" / "sample.yml").write_text(drill)
    view, _, shown = at_a_terminal(root, [b"yes\n"])
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.residue == ()
    assert "Point api.example.org to the other site" in shown


def test_no_fails_and_says_who(root):
    view, _, _ = at_a_terminal(root, [b"n\n"])
    assert view.result.verdict is Verdict.FAILED
    [found] = [one for one in view.result.findings if one.code == "not-confirmed"]
    assert "ada" in found.measured


def test_abort_ends_the_run(root):
    view, _, _ = at_a_terminal(root, [b"abort\n"])
    assert (view.result.verdict, view.result.exit) == (Verdict.ABORTED, 4)


def test_no_answer_in_time_verifies_nothing(root):
    (root / "drills" / "sample.yml").write_text(DRILL.replace('right?"', 'right?", timeout: 300ms'))
    view, events, _ = at_a_terminal(root, [])
    assert (view.result.verdict, view.result.exit) == (Verdict.INCONCLUSIVE, 3)
    assert [event.data["seconds"] for event in events if event.kind == "waiting"] == [pytest.approx(0.4, abs=0.3)]


def test_without_a_terminal_the_drill_is_refused(root):
    view, _ = without_terminal(root)
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
    assert any("--assume" in one.remedy for one in view.result.findings)
    said = "the step asks a person at the terminal, but this run has no terminal"
    assert said in [one.measured for one in view.result.findings]
    assert without_terminal(root, "yes")[0].result.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("assume", "verdict"), [("yes", Verdict.PASSED), ("no", Verdict.FAILED), ("of course", Verdict.REFUSED)]
)
def test_an_assumed_answer_is_stated(root, assume, verdict):
    view, events = without_terminal(root, assume)
    assert view.result.verdict is verdict
    if verdict is Verdict.REFUSED:
        assert "DRILLBOOK_ASSUME is 'of course', but must be yes or no" in view.result.findings[0].measured
    assert not [event for event in events if event.kind == "waiting"], "nobody was waited for"
    if verdict is Verdict.PASSED:
        facts = view.result.steps[0].facts
        assert (facts["answer"], facts["assumed"], facts["by"]) == ("yes", True, "assumed by DRILLBOOK_ASSUME, ada")
        assert [(one["code"], one["severity"]) for one in facts["findings"]] == [("assumed-answer", "low")]
