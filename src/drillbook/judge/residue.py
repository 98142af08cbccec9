"""The residue of a run as its journal tells it: what is left, and whether a named person closed it."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, each, last
from drillbook.events.runs import Ended, RecoveryFinished, ResidueSettled
from drillbook.journal.intents import Intent, intents
from drillbook.journal.manual_undo import by_hand
from drillbook.judge.result import Residue, Settled, SettledChange
from drillbook.plan.planner import Plan


def residue(events: Sequence[Event], plan: Plan) -> list[Residue]:
    """Residue that the last end of the run names; without an end, every intent that is not settled.

    What was closed is left all the same: nobody put it back.
    """
    for event in reversed(events):
        if isinstance(event.what, Ended | ResidueSettled) and not _closes(event):
            return [Residue.model_validate(one) for one in event.what.residue]
    return [
        Residue(
            step=intent.step.id,
            host=intent.host,
            what=intent.step.action,
            why="the run ended without putting it back",
            by_hand=by_hand(intent),
        )
        for intent in unsettled(events, plan)
    ]


def _closes(event: Event) -> bool:
    """Is it the end of the session that closed the run? What was left stands in the event before it."""
    return isinstance(event.what, RecoveryFinished) and event.what.kept is not None


def unsettled(events: Sequence[Event], plan: Plan) -> list[Intent]:
    """Changes that are not put back, oldest first, without those of which nothing has to be put back."""
    return [
        intent
        for intent in intents(events, plan.steps)
        if not intent.settled and (intent.effect == "fault" or intent.undo.kind != "nothing")
    ]


def settled(events: Sequence[Event]) -> Settled | None:
    """Closing of the run's residue: person, time and reason; None when nobody closed it."""
    found = last(events, ResidueSettled)
    if found is None:
        return None
    event, what = found
    kept = next(
        (end.kept for later, end in each(events, RecoveryFinished) if later.seq > event.seq and end.kept is not None), ()
    )
    changes = tuple(SettledChange.model_validate(one) for one in what.changes)
    return Settled(at=event.at, by=what.by, reason=what.reason, changes=changes, approval=what.approval, kept=kept)
