"""Intents: the changes that a journal announces, each with how to put it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.events.event import Event, contents, each
from drillbook.events.runs import ResidueSettled, StepAdded
from drillbook.events.steps import IntentRecorded, Undone
from drillbook.plan.planner import PlannedStep
from drillbook.sdk.action import Action, Effect, Undo, find

NEVER_HAPPENED = "it never happened"
"""Message of the event ``undone`` of a fault that proves that it changed nothing."""
GONE, UNDONE = "gone already", "undone"


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that was announced: what, where, how to put it back, and whether that was done."""

    seq: int
    step: PlannedStep
    host: str
    params: dict[str, Any]
    effect: Effect
    undo: Undo
    settled: bool

    def action(self) -> Action:
        """The action with the parameters it had."""
        action = find(self.step.action).model_validate(self.params)
        assert isinstance(action, Action)  # noqa: S101  find() gives actions
        return action


def added(events: Sequence[Event]) -> list[PlannedStep]:
    """Steps that recoveries carried out beside those of the plan."""
    return [PlannedStep.model_validate(what.step) for what in contents(events, StepAdded)]


def intents(events: Sequence[Event], steps: Sequence[PlannedStep]) -> list[Intent]:
    """Every intent of a journal, oldest first. An intent without an outcome counts as if it had happened."""
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
        )
        for event, what in each(events, IntentRecorded)
    ]
