"""Faults of which it is unknown if they were injected: each report tells what is known in one place, without contradictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from drillbook.events.runs import RecoveryFinished
from drillbook.events.steps import FaultGone, Undone, UndoStarted
from drillbook.journal.intents import GONE, UNDONE
from drillbook.judge.result import RunView
from drillbook.report import headlines, unproven_faults
from tests.report import renderings, samples
from tests.report.test_agreement import plain
from tests.report.test_end_state import INTENT, RECOVERY, continued

UNKNOWN = "it is unknown if the fault was injected"
STARTED = UndoStarted(intent=INTENT, kind="commands", commands=(("mend", "door"),))
END = RecoveryFinished(residue=())


def recovered(folder: Path, *, checked: bool = True, message: str = UNDONE) -> RunView:
    """Run whose controller died during the injection, and that was recovered."""
    acts = [STARTED] if message == UNDONE else []
    checks = [FaultGone(active=False)] if checked else []
    return continued("died", folder, RECOVERY, *acts, *checks, Undone(intent=INTENT, message=message), END)


def test_the_doubt_is_told_once_in_each_format(tmp_path: Path) -> None:
    for view in (samples.recorded("died"), recovered(tmp_path)):
        for ending, text in renderings.formats(view).items():
            if ending != "xml":  # one test case has the sentence, and the suite has it, too
                assert plain(text).count(UNKNOWN) == 1, ending
            assert "injected at all" not in text
            assert unproven_faults.NOT_PROVEN in plain(text), ending


def test_the_sentence_tells_the_beginning_the_check_the_undo_and_its_verification(tmp_path: Path) -> None:
    view = recovered(tmp_path)
    (fault,) = view.result.faults
    told = unproven_faults.story(view, fault)
    assert told.startswith(
        "inject.1 on a: begun at 11:41:55 UTC; no check of the injection is recorded, so it is unknown if "
    )
    assert "; drill.recover carried out its undo, which ended at " in told
    assert told.endswith("; the check after it found that the fault is not active.")
    assert told in headlines.sentence(view)


@pytest.mark.parametrize(
    ("checked", "message", "end"),
    [
        (False, UNDONE, "; no check is recorded that the fault is gone."),
        (True, GONE, " UTC: its check found that the fault is not active."),
        (False, GONE, " UTC: it was gone already."),
        (False, "the run r2 restored the data", " UTC: the run r2 restored the data."),
    ],
)
def test_an_undo_says_no_more_than_its_check(tmp_path: Path, *, checked: bool, message: str, end: str) -> None:
    view = recovered(tmp_path, checked=checked, message=message)
    assert unproven_faults.story(view, view.result.faults[0]).endswith(end)


def test_a_fault_that_was_proven_has_no_such_sentence() -> None:
    view = samples.recorded("recovered")
    assert [unproven_faults.story(view, fault) for fault in view.result.faults] == [""]
    assert unproven_faults.brief_objectives(view.result) == view.result.objectives


def test_the_result_keeps_the_whole_reason() -> None:
    result = samples.recorded("died").result
    assert UNKNOWN in str(result.objectives["rto"].reason)
    assert unproven_faults.brief_objectives(result)["rto"].reason == unproven_faults.NOT_PROVEN
