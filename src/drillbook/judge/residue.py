"""Residue: changes that a run could not undo, read from its journal. A person may close it: then it needs no undo any more."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, each, last
from drillbook.events.runs import Ended, RecoveryFinished, ResidueSettled
from drillbook.journal.intents import Intent, intents
from drillbook.journal.manual_undo import by_hand
from drillbook.judge.result import Residue, Settled, SettledChange
from drillbook.plan.planner import Plan


def residue(events: Sequence[Event], plan: Plan) -> list[Residue]:
    """Changes not undone, as listed at the latest end of the run or of a recovery; if it did not end, all announced changes.

    Includes changes that a person closed, since they were not undone.
    """
    for event in reversed(events):
        if isinstance(event.what, Ended | ResidueSettled) and not _closes(event):
            return [Residue.model_validate(one) for one in event.what.residue]
    return [
        Residue(
            step=intent.step.id,
            host=intent.host,
            what=intent.step.action,
            why="the run ended without undoing the change",
            by_hand=by_hand(intent),
        )
        for intent in unsettled(events, plan)
    ]


def _closes(event: Event) -> bool:
    """Return True when the event reports a successful closing: a person declared that the residue needs no undo any more."""
    return isinstance(event.what, RecoveryFinished) and event.what.kept is not None


def unsettled(events: Sequence[Event], plan: Plan) -> list[Intent]:
    """Announced faults, and other changes with an undo, that are neither undone nor closed; oldest first."""
    return [
        intent
        for intent in intents(events, plan.steps)
        if not intent.settled and (intent.effect == "fault" or intent.undo.kind != "nothing")
    ]


def settled(events: Sequence[Event]) -> Settled | None:
    """Person, time and reason of the closing of the residue (it needs no undo any more); None when nobody closed it."""
    found = last(events, ResidueSettled)
    if found is None:
        return None
    event, what = found
    kept = next(
        (end.kept for later, end in each(events, RecoveryFinished) if later.seq > event.seq and end.kept is not None), ()
    )
    changes = tuple(SettledChange.model_validate(one) for one in what.changes)
    return Settled(at=event.at, by=what.by, reason=what.reason, changes=changes, approval=what.approval, kept=kept)
