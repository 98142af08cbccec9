"""Phases of a run that was stopped: the interrupted phase, and the phases that ran afterwards to undo changes."""

from __future__ import annotations

import io
import re

from rich.console import Console

from drillbook.events.event import Event
from drillbook.events.runs import RunEndedEarly
from drillbook.events.steps import Failed
from drillbook.journal.journal import History, read
from drillbook.judge.judge import judge
from drillbook.report import html, markdown, phases, timeline
from drillbook.report.terminal.event_lines import Progress
from tests.report import samples


def rows(view):
    return [(row.name, row.state, [step.result.status for step in row.steps]) for row in phases.phase_rows(view)]


def test_a_restore_that_was_stopped_and_the_restore_that_undid_the_fault_are_two_phases() -> None:
    view = samples.recorded("stopped")
    assert rows(view) == [
        ("ready", "done", ["done", "done"]),
        ("backup", "done", ["done", "done"]),
        ("inject", "done", ["done"]),
        ("detect", "no steps", []),
        ("restore", "stopped", ["cancelled"]),
        ("undo: restore", "done", ["done"]),
        ("undo: verify", "done", ["done", "done", "done", "done"]),
    ]
    assert [(one.phase, one.status) for one in view.result.phases if one.phase == "restore"] == [("restore", "done")]
    spans = [span.label for span in view.timeline.phases]
    assert spans == ["ready", "backup", "inject", "detect", "restore", "restore", "verify"]
    pieces = [piece for lane in timeline.draw(view).lanes[:1] for piece in lane.pieces]
    assert [piece.kind.split()[-1] for piece in pieces][-3:] == ["stopped", "done", "done"]
    marks = view.timeline.marks
    assert marks["disruption"] < marks["stopped"] < spans_of(view, "restore")[1].start
    page = html.render(view)
    assert re.findall(r"<h3><bdi>((?:undo: )?restore)", page) == ["restore", "undo: restore"]
    assert len(re.findall(r'id="([^"]+)"', page)) == len(set(re.findall(r'id="([^"]+)"', page)))
    assert "| undo: restore | done |" in markdown.render(view)


def spans_of(view, phase):
    return [span for span in view.timeline.phases if span.label == phase]


def stopped_in_ready(*, broken: bool = False):
    """Run that was stopped in its first phase. ``broken``: a step of this phase had failed by itself."""
    told = {"why": "aborted", "message": "the run was stopped by SIGINT"}
    events = [
        Event.model_validate(
            {**event.model_dump(), "data": told} if isinstance(event.what, RunEndedEarly) else event.model_dump()
        )
        for event in read(samples.JOURNALS / "not_ready.jsonl").events
        if broken or not isinstance(event.what, Failed)
    ]
    return History(tuple(events), torn=False)


def test_a_phase_in_which_nothing_failed_was_stopped_and_did_not_fail() -> None:
    assert rows(judge(stopped_in_ready()))[0][:2] == ("ready", "stopped")
    assert rows(judge(stopped_in_ready(broken=True)))[0][:2] == ("ready", "failed")
    assert judge(stopped_in_ready()).result.phases[0].status == "failed"


def printed(events) -> list[str]:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    progress = Progress(console, closing=True, brief=True)
    for event in events:
        progress(event)
    return [line.strip() for line in console.file.getvalue().splitlines()]


def test_the_terminal_tells_the_stop_and_what_is_the_undo() -> None:
    lines = printed(read(samples.JOURNALS / "stopped.jsonl").events)
    begin = lines.index("restore")
    assert lines[begin + 1] == "Ctrl-C (SIGINT): stopping; all changes are undone first"
    assert lines[begin + 2].startswith("■ Restore into a new cluster")
    assert lines[begin + 3] == "its command was stopped"
    assert lines[begin + 4 : begin + 6] == [
        "aborted: the run was stopped by a person (Ctrl-C)",
        "undoing the changes of the drill",
    ]
    assert [line.split()[:2] for line in lines[begin + 6 : begin + 8]] == [["✓", "restore"], ["✓", "verify"]]
    assert "undoing the changes of the drill" not in printed(read(samples.JOURNALS / "passed.jsonl").events)


def test_the_terminal_does_not_call_a_stopped_phase_failed() -> None:
    assert any(line.startswith("■ ready") for line in printed(stopped_in_ready().events))
