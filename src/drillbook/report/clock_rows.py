"""Rows about the clocks of a run, such as its RTO, and a sentence about clocks that measured nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drillbook.judge.result import Result, RunView
from drillbook.report import rehearsal_results, unproven_faults
from drillbook.report.figures import seconds
from drillbook.report.phases import UNDO
from drillbook.report.rows import untouched
from drillbook.report.wording import Clock, clocks_of, measured, unmeasured, written

SPANS = {
    "disruption": "moment of the injection, since the program began",
    "detection": "injection to the alert, or to the first bad sample",
    "outage": "first bad sample to sustained good samples",
    "rto": "injection to sustained good samples",
    "restore": "start to end of the restore phase",
    "verified": "injection to the end of the verification",
    "waiting": "waiting for people, in total",
    "rpo": "last write kept to last write acknowledged",
}
"""Short forms of ``Clock.span``, for a terminal."""
UNDONE_BY = {"restore": "restore", "verified": "verify"}
"""Phase whose end is the end of a clock, by the key of the clock."""


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One clock (a duration such as the RTO) with its figure, or with the reason why it was not measured."""

    clock: Clock
    figure: str | None
    reason: str
    exact: bool
    span: str
    """Start and end of the clock in a few words."""

    @property
    def at(self) -> bool:
        """True if the figure is a moment of the run, and not a duration."""
        return self.clock.key == "disruption"


def of_run(view: RunView) -> list[ClockRow]:
    """Return the rows of ``clock_rows`` for a run. If the run ended early, and phases then ran again or for the first time to undo its
    changes, the clocks of these phases are those of the undo, and their names and spans say so.
    """
    later = view.early_end.later if view.early_end else ()
    return [
        _of_undo(row) if UNDONE_BY.get(row.clock.key) in later and row.figure else row for row in clock_rows(view.result)
    ]


def _of_undo(row: ClockRow) -> ClockRow:
    span = f"{row.clock.span}, which the undo carried out after the early end of the run"
    clock = replace(row.clock, name=f"{row.clock.name} ({UNDO})", span=span)
    return replace(row, clock=clock, span=f"{row.span}, by the undo")


def clock_rows(result: Result) -> list[ClockRow]:
    """Return one row for each clock, even for a clock without a figure.

    For a rehearsal, clocks without a figure are left out, because most clocks do not apply when no fault is injected. Clocks
    that measured nothing because no injection is proven are left out, too; see ``left_out``. The result is empty for a drill
    that ended before its fault was injected.
    """
    listed = [] if untouched(result) else [row for row in _rows(result) if row.reason != unproven_faults.NOT_PROVEN]
    return [row for row in listed if row.figure] if rehearsal_results.facts(result) else listed


def left_out(result: Result) -> str:
    """Return a sentence about the clocks that measured nothing because no injection is proven. They have one reason, so they
    have no rows. The result is empty if there are no such clocks.
    """
    names = [row.clock.name for row in _rows(result) if row.reason == unproven_faults.NOT_PROVEN]
    if not names or untouched(result):
        return ""
    return f"Not measured, because {unproven_faults.NOT_PROVEN}: {', '.join(names)}."


def _rows(result: Result) -> list[ClockRow]:
    return [_clock(result, clock) for clock in clocks_of(result)]


def _clock(result: Result, clock: Clock) -> ClockRow:
    value, error = measured(result, clock.key)
    span = SPANS[clock.key]
    if value is None:
        reason = unproven_faults.brief(unmeasured(result, clock.key), result)
        return ClockRow(clock, None, reason or "the result does not contain this clock", exact=False, span=span)
    if error == 0:
        return ClockRow(clock, seconds(value, 3), "", exact=True, span=span)
    return ClockRow(clock, written(result, clock.key), "", exact=False, span=span)
