"""The residue of a run as its journal tells it: what is left, and whether a named person closed it."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event
from drillbook.intents import Intent, intents
from drillbook.plan import Plan
from drillbook.remedy import by_hand
from drillbook.result import Residue, Settled

ENDS = ("run.finished", "recovery.finished")
"""Kinds of events by which a run or its recovery ended."""


def residue(events: Sequence[Event], plan: Plan) -> list[Residue]:
    """Residue that the last end of the run names; without an end, every intent that is not settled.

    What was closed is left all the same: nobody put it back.
    """
    for event in reversed(events):
        if event.kind in (*ENDS, "residue.settled") and not _closes(event):
            return [Residue.model_validate(one) for one in event.data["residue"]]
    return [Residue(step=intent.step.id, host=intent.host, what=intent.step.action,
                    why="the run ended without putting it back", by_hand=by_hand(intent))
            for intent in unsettled(events, plan)]


def _closes(event: Event) -> bool:
    """Is it the end of the session that closed the run? What was left stands in the event before it."""
    return event.kind == "recovery.finished" and "kept" in event.data


def unsettled(events: Sequence[Event], plan: Plan) -> list[Intent]:
    """Changes that are not put back, oldest first, without those of which nothing has to be put back."""
    return [intent for intent in intents(events, plan.steps)
            if not intent.settled and (intent.effect == "fault" or intent.undo.kind != "nothing")]


def settled(events: Sequence[Event]) -> Settled | None:
    """Closing of the run's residue: person, time and reason; None when nobody closed it."""
    event = next((event for event in reversed(events) if event.kind == "residue.settled"), None)
    if event is None:
        return None
    kept = next((end.data["kept"] for end in events if end.seq > event.seq and _closes(end)), ())
    said = {key: event.data[key] for key in ("by", "reason", "changes", "approval")}
    return Settled(at=event.at, kept=tuple(kept), **said)
