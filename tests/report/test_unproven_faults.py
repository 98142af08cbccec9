"""Faults of which it is unknown if they were injected: each report tells what is known in one place, without contradictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from drillbook.events.holds import LeaseAdopted, LeaseArmed
from drillbook.events.runs import RecoveryFinished
from drillbook.events.steps import FaultGone, Undone, UndoStarted
from drillbook.journal.intents import GONE, UNDONE
from drillbook.journal.journal import FILE, read
from drillbook.judge.notes import told as noted
from drillbook.judge.result import RunView, Span
from drillbook.report import end_state, headlines, recovery_rows, unproven_faults
from drillbook.report.figures import utc_time
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


def test_an_undo_that_the_target_itself_ran_is_told_in_each_place(tmp_path: Path) -> None:
    adopted = LeaseAdopted(armed=(), reverted=True)
    acts = [adopted, STARTED, FaultGone(active=False), Undone(intent=INTENT, message=UNDONE), END]
    view = continued("died", tmp_path, LeaseArmed(intent=INTENT, lease_s=30), RECOVERY, *acts)
    (fault,) = view.result.faults
    assert "; the target itself ran its undo; later, drill.recover ran it again, " in unproven_faults.story(view, fault)
    assert "Later, the target itself ran the undo of 1 fault, and drill.recover recorded: " in end_state.sentence(view)
    told = {row.what: row.told for row in recovery_rows.tables(view)[0].rows}
    assert told["Undo of inject.1"] == recovery_rows.BY_TARGET
    assert "no undo was armed" not in told["Lease"]
    event = next(event for event in read(tmp_path / FILE).events if event.what == adopted)
    assert noted(event).startswith("the target itself had already run the undos")


def test_a_fault_that_was_proven_has_no_such_sentence() -> None:
    view = samples.recorded("recovered")
    assert [unproven_faults.story(view, fault) for fault in view.result.faults] == [""]
    assert unproven_faults.brief_objectives(view.result) == view.result.objectives


def test_the_result_keeps_the_whole_reason() -> None:
    result = samples.recorded("died").result
    assert UNKNOWN in str(result.objectives["rto"].reason)
    assert unproven_faults.brief_objectives(result)["rto"].reason == unproven_faults.NOT_PROVEN


def watched(*labels: str, start: float = 0.0) -> RunView:
    """Run whose controller died during the injection, with one probe. ``labels``: label of each second from ``start`` on."""
    view = samples.recorded("died")
    spans = tuple(Span(start=start + at, end=start + at + 1, label=label, count=10) for at, label in enumerate(labels))
    track = view.timeline.probes[0].model_copy(update={"stretches": spans, "name": "http.available"})
    timeline = view.timeline.model_copy(update={"probes": (track,)})
    return view.model_copy(update={"timeline": timeline})


PROBABLY = ", so the fault was probably active; this is no proof"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("good", "bad"), " on"),
        (("good", "bad", "good"), ""),
        (("good", "good"), None),
        (("bad", "bad"), None),
        ((), None),
    ],
)
def test_the_sentence_says_what_a_probe_saw_and_that_this_is_no_proof(labels: tuple[str, ...], said: str | None) -> None:
    since = samples.recorded("died").result.faults[0].since_s
    assert since is not None
    told = headlines.sentence(watched(*labels, start=since))
    assert UNKNOWN in told
    if said is None:
        assert "probably" not in told
    else:
        begun = f"{'from' if said else 'at'} {utc_time(watched().zero, since + 1)}{said}"
        assert f". The probe http.available saw the service fail {begun}{PROBABLY}." in told


def test_a_failure_before_the_injection_says_nothing_about_the_fault() -> None:
    since = samples.recorded("died").result.faults[0].since_s or 0.0
    assert "probably" not in headlines.sentence(watched("good", "bad", start=since - 5))
