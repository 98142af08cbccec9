"""The state of each fault of a run, derived once from its journal: every sentence and figure of a report follows it."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event
from drillbook.intents import GONE, NEVER_HAPPENED, UNDONE
from drillbook.plan import Plan, PlannedStep
from drillbook.result import FaultResult, Injection, Residue

_HAPPENED = (Injection.INJECTED, Injection.UNPROVEN)


def faults(own: Sequence[Event], events: Sequence[Event], plan: Plan,
           residue: Sequence[Residue] = ()) -> tuple[FaultResult, ...]:
    """The state of every planned fault on every host; ``own`` are the events of the run without later recoveries."""
    left = {(one.step, one.host) for one in residue}
    open_ = "closed" if any(event.kind == "residue.settled" for event in events) else "residue"
    return tuple(_state(step, host, own, events, open_ if (step.id, host) in left else "")
                 for step in plan.steps if step.effect == "fault" for host in step.hosts)


def _state(step: PlannedStep, host: str, own: Sequence[Event], events: Sequence[Event], left: str) -> FaultResult:
    mine = [event for event in own if event.step == step.id and event.host == host]
    intent = next((event for event in mine if event.kind == "intent"), None)
    if intent is None:
        return FaultResult(step=step.id, host=host, injection=Injection.NOT, why="it was not injected")
    undone = next((event for event in reversed(events)
                   if event.kind == "undone" and event.data["intent"] == intent.seq), None)
    injection, why = _injection(mine, undone)
    return FaultResult(step=step.id, host=host, injection=injection, why=why, since_s=intent.clock,
                       ended=left or ending(intent, undone) or "open")


def _injection(mine: Sequence[Event], undone: Event | None) -> tuple[Injection, str]:
    """State of the injection, and the reason why it is not proven."""
    proof = next((event.data for event in reversed(mine) if event.kind == "fault.active"), None)
    last = next((event for event in reversed(mine) if event.kind in ("done", "failed")), None)
    if proof is not None and proof["active"] is True:
        return Injection.INJECTED, ""
    if undone is not None and undone.data["message"] == NEVER_HAPPENED:
        return Injection.NEVER, f"{NEVER_HAPPENED}: it proves that it changed nothing"
    if proof is not None:
        return Injection.UNPROVEN, str(proof["detail"]) or f"active: {proof['active']}"
    if last is not None and last.kind == "done":
        return Injection.UNPROVEN, "it was not asked whether it is active"
    return Injection.UNKNOWN, f"whether the fault was injected is not known: {_interrupted(last)}"


def _interrupted(last: Event | None) -> str:
    if last is None:
        return "the controller died on the way"
    return "it was stopped on the way" if last.data["outcome"] == "cancelled" else str(last.data["message"])


def ending(intent: Event | None, last: Event | None) -> str:
    """Outcome of the change that ``intent`` announced as the last event of its undo tells it; empty when none does."""
    if intent is None or last is None:
        return ""
    message, undo = str(last.data["message"]), intent.data["undo"]
    if last.kind == "undo.failed":
        return f"not put back: {message}"
    if undo["kind"] == "nothing" and message != GONE:
        return f"kept as it is: {message}"
    if undo["kind"] == "restore" and message == GONE:
        return "put back: restored"
    return f"put back: {message}" if message in (GONE, UNDONE) else message


def begun(found: Sequence[FaultResult]) -> float | None:
    """When the first fault was announced that did not prove that it never happened."""
    return min((one.since_s for one in found if one.since_s is not None and one.injection is not Injection.NEVER),
               default=None)


def withheld(found: Sequence[FaultResult]) -> str:
    """Why the run has no figure of a disruption; empty when a fault was injected, so that it has."""
    if any(one.injection in _HAPPENED for one in found):
        return ""
    unknown = next((one for one in found if one.injection is Injection.UNKNOWN), None)
    return unknown.why if unknown else "nothing was injected"
