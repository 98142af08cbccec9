"""The early end of a run: the phases and steps before it, and the phases that ran afterwards to undo changes."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, Events, contents, each
from drillbook.events.runs import PhaseStarted, RunEndedEarly, SignalReceived
from drillbook.events.steps import Failed
from drillbook.judge.figures import phase_spans
from drillbook.judge.result import EarlyEnd, PhaseResult, Span
from drillbook.judge.steps import phases, steps
from drillbook.plan.planner import Plan

ABORTED = "aborted"
"""Value of the field ``why`` of an early end, when a person, a signal or an abort condition stopped the run."""


def early_end(own: Sequence[Event], plan: Plan) -> EarlyEnd | None:
    """Return the early end of a run. Return None for a run that went on to its last phase, or whose controller died.

    ``own``: the events before the first recovery.
    """
    first = next(iter(each(own, RunEndedEarly)), None)
    if first is None:
        return None
    event, what = first
    before = Events(other for other in own if other.seq < event.seq)
    later = tuple(
        dict.fromkeys(content.phase for content in contents([other for other in own if other.seq > event.seq], PhaseStarted))
    )
    known = phases(before)
    repeated = {result.phase for result in known if result.phase in later}
    return EarlyEnd(
        at=event.clock,
        phases=_with_stop(known, before) if what.why == ABORTED else known,
        spans=phase_spans(before),
        steps=tuple(view for view in steps(before, before, plan) if view.phase in repeated) if repeated else (),
        later=later,
    )


def spans(own: Sequence[Event], end: EarlyEnd | None) -> tuple[Span, ...]:
    """Return the time span of each phase, sorted by start. A phase that ran before the early end of the run, and again after
    it, has two spans. ``end``: the early end, or None.
    """
    again = [span for span in end.spans if span.label in end.later] if end else []
    return tuple(sorted((*again, *phase_spans(own)), key=lambda span: span.start))


def marks(own: Sequence[Event]) -> dict[str, float]:
    """Return the time at which a run was stopped, as a mark of the timeline. The result is empty if nobody stopped the run.
    The time is on the run's clock.

    Normally it is the time of the first signal. If this signal came before the journal was opened, it is the time of the event
    which says that the run ended early.
    """
    ends = [event.clock for event, what in each(own, RunEndedEarly) if what.why == ABORTED]
    signals = [event.clock for event, _ in each(own, SignalReceived)]
    return {"stopped": min(signals + ends[:1])} if ends else {}


def _with_stop(known: Sequence[PhaseResult], before: Sequence[Event]) -> tuple[PhaseResult, ...]:
    """Mark the last phase before a stop as interrupted, unless one of its steps failed by itself."""
    *done, last = known or (None,)
    if last is None or last.status == "done":
        return tuple(known)
    failed = {event.step or "" for event, what in each(before, Failed) if what.outcome != "cancelled" and not what.allowed}
    own = any(step.partition(".")[0] == last.phase for step in failed)
    return (
        tuple(known) if own else (*(result for result in done if result), last.model_copy(update={"status": "interrupted"}))
    )
