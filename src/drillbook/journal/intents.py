"""Intents: announcements of changes. The journal announces each change before it is made, together with the undo of the
change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.events.event import Event, contents, each
from drillbook.events.runs import ResidueSettled, StepAdded
from drillbook.events.steps import IntentRecorded, Undone
from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk.action import Action, Effect, Undo, find

NEVER_HAPPENED = "it never happened"
"""Message of the event ``undone`` for a fault that is proven to have changed nothing."""
GONE, UNDONE = "gone already", "undone"


@dataclass(frozen=True, slots=True)
class Intent:
    """An announced change: step, host, parameters, and undo.

    ``settled`` is true when the change was undone, or when a person declared that it needs no undo.
    """

    seq: int
    step: PlannedStep
    host: str
    params: dict[str, Any]
    effect: Effect
    undo: Undo
    settled: bool
    become: str = ""
    """Account that made the change, and that undoes it, as set by `become`. The name is empty for the SSH user."""

    def action(self) -> Action:
        """Build the action with its recorded parameters."""
        action = find(self.step.action).model_validate(self.params)
        assert isinstance(action, Action)  # noqa: S101  find() returns actions
        return action


def added(events: Sequence[Event]) -> list[PlannedStep]:
    """Return the steps that recoveries ran in addition to the steps of the plan."""
    return [PlannedStep.model_validate(what.step) for what in contents(events, StepAdded)]


def intents(events: Sequence[Event], steps: Sequence[PlannedStep]) -> list[Intent]:
    """Return the intents of a journal, oldest first.

    An intent stays open until its change is undone or declared settled, even if its step failed.
    """
    by_id = {step.id: step for step in (*steps, *added(events))}
    settled = {what.intent for what in contents(events, Undone)}
    settled |= {seq for what in contents(events, ResidueSettled) for seq in what.intents}
    return [
        Intent(
            event.seq,
            by_id[str(event.step)],
            str(event.host),
            what.params,
            Effect(what.effect),
            Undo.model_validate(what.undo),
            event.seq in settled,
            what.become,
        )
        for event, what in each(events, IntentRecorded)
    ]
