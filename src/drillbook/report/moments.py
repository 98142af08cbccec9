"""Names and meanings of the measured moments of a run, which its timeline marks."""

from __future__ import annotations

from drillbook.judge.objectives import BAD
from drillbook.judge.result import Result, RunView
from drillbook.judge.rpo import OF_BACKUP
from drillbook.report import losses, rehearsal_results, remarks
from drillbook.report.figures import lasted, moment, seconds, took, utc
from drillbook.report.phases import checked, checks
from drillbook.report.wording import BEGAN

MARKS = {
    "recovery_point": "recovery point",
    "last_acknowledged": "last acknowledged",
    "disruption": "disruption",
    "first_bad": "first bad",
    "recovered": "recovered",
    "verified": "verified",
    "guard_tripped": "guard tripped",
    "stop_requested": "stop requested",
    "stopped": "stopped",
    "lease_lapsed": "lease lapsed",
    "alerted": "alert",
}
MOMENTS = {
    "recovery_point": "the service acknowledged the newest write before the first lost write",
    "last_acknowledged": "the last acknowledged write before the disruption, or a later write that was lost",
    "disruption": "the injection began",
    "first_bad": "the first bad sample of a probe began",
    "recovered": "the first good sample of the sustained recovery ended",
    "verified": "the verification ended",
    "guard_tripped": "an abort condition tripped",
    "stop_requested": "a stop of the run was requested",
    "stopped": "the run was stopped; afterwards it only undid its changes",
    "lease_lapsed": "a lease was not renewed in time, so its target undid the changes by itself",
    "alerted": "the expected alert began to fire",
}
RECEIVED = "Alertmanager first answered that the expected alert is active"
"""Meaning of the moment ``alerted`` when the drill awaits the alert at Alertmanager."""
UNPROVEN_MARKS = {
    "recovered": ("good again", "the first good sample that followed the last bad one ended; the recovery is not verified")
}
"""Names and meanings of measured moments in a run whose verification did not pass. The key of each entry is the moment."""


def mark_name(result: Result, mark: str) -> str:
    """Return the name of a measured moment of the run."""
    return UNPROVEN_MARKS[mark][0] if mark in UNPROVEN_MARKS and _unverified(result) else MARKS[mark]


def _unverified(result: Result) -> bool:
    """Return True when a verification of the run did not pass, so that its recovery is not proven."""
    return any(step.status in BAD for step in result.steps if step.id.startswith("verify."))


def meaning(result: Result, mark: str) -> str:
    """Return the meaning of a measured moment of the run."""
    if mark in UNPROVEN_MARKS and _unverified(result):
        return UNPROVEN_MARKS[mark][1]
    return RECEIVED if mark == "alerted" and remarks.received(result.steps) else MOMENTS[mark]


def run_duration(view: RunView) -> float:
    """Return the duration of the run itself in seconds, as every list of runs shows it.

    A later recovery does not count, because it may begin hours or days after the run. For a run without an end, return the
    time from its first event to its last.
    """
    known = lasted(view.result.started, _own_end(view) or view.result.finished)
    return max(0.0, view.timeline.seconds - _first(view)) if known is None else known


def _first(view: RunView) -> float:
    """Return the moment of the first event, in seconds after the moment at which the report counts 0 s."""
    begun, zero = moment(view.result.started), moment(view.zero)
    return (begun - zero).total_seconds() if begun and zero else 0.0


def _own_end(view: RunView) -> str:
    """Return the time of the last event of the run itself, if a recovery came to its end after it. See ``own_end``, which reads
    it from the journal. The result is empty for any other run.
    """
    return view.recoveries[0].before if view.recovered and view.recoveries else ""


def ends(view: RunView) -> list[tuple[str, str]]:
    """Return rows about the end of the run: its own end, or the last event before its controller died, and the end of a later
    recovery. Each row has a name and a time.
    """
    own, finished = _own_end(view), view.result.finished
    if not own:
        return [("Ended", utc(finished) if finished else "the journal contains no event that ends the run")]
    name = "Closed" if _closed(view) else "Recovery ended"
    return [
        ("Ended", utc(own)) if view.finished else ("Controller died", f"after {utc(own)}, its last event"),
        *([(name, utc(finished))] if finished else []),
    ]


def _closed(view: RunView) -> bool:
    """Return True when the last recovery that has an end closed the remaining changes. A refused closing has no end."""
    return next((past.closing for past in reversed(view.recoveries) if past.finished is not None), False)


def course(view: RunView) -> str:
    """Return sentences with the duration of a run, with the time until the end of a later recovery, and with the time of day at
    which its report counts 0 s.

    The duration is the same as in lists of runs: from the first event to the end. The moment 0 s is before the first event:
    the program then began to prepare the run.
    """
    last = f"at {seconds(view.timeline.seconds, 2)}"
    itself = " itself" if _own_end(view) else ""
    to = f"to its end, {last}" if view.finished else f"to its last event, {last}"
    return (
        f"The run{itself} lasted {took(run_duration(view))}, from its first event, at {seconds(_first(view), 2)}, {to}."
        f"{_recovery(view)} "
        f"All times count from 0 s, {utc(view.zero)}, {BEGAN}, and are on the controller's monotonic clock.{_checked(view)}"
    )


def _recovery(view: RunView) -> str:
    """Return a sentence about the time until the end of the recovery. The result is empty for a run that was not recovered."""
    result, known = view.result, lasted(view.result.started, view.result.finished)
    if not _own_end(view) or known is None or result.finished is None:
        return ""
    what = "a person closed its remaining changes" if _closed(view) else "its recovery ended"
    return f" It was {utc(result.finished)} when {what}, {took(known)} after the first event by the times of day in the journal."


def _checked(view: RunView) -> str:
    """Return a sentence about the time between the phase `ready` and the next phase. The result is empty if this time is
    short."""
    span = checks(view)
    if span is None or span.end is None:
        return ""
    return f" For {took(span.end - span.start)} between the phase ready and the next one, {checked(view)}."


def clock_note(view: RunView) -> str:
    """Return a sentence about the clocks by which the figures of a run were measured."""
    rpo = view.result.objectives.get("rpo")
    aged = bool(rehearsal_results.rows(view.result) or losses.loss_rows(view) or (rpo and rpo.clock == OF_BACKUP))
    aside = (
        "; the age of the data in a backup also depends on the clock that recorded the time of this data, which is named next to "
        "the age"
    )
    return f"Every duration was measured in this run on one clock, the controller's monotonic clock{aside if aged else ''}."
