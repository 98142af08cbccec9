"""State of each fault of a run. It is derived once from the journal, so that all parts of a report agree on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.events.event import Event, contents, each
from drillbook.events.runs import ResidueSettled
from drillbook.events.steps import Done, Failed, FaultActive, IntentRecorded, OfUndo, UndoFailed, Undone
from drillbook.journal.intents import GONE, NEVER_HAPPENED, UNDONE
from drillbook.judge.event_index import by_step
from drillbook.judge.result import FaultResult, Injection, Residue
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan

NOT_UNDONE = "not undone: "
"""First words of the text that describes a failed undo."""
KEPT = "kept as it is: "
"""First words of the outcome of a change that needs no undo."""
PUT_BACK, PUT_BACK_GONE, PUT_BACK_RESTORED = f"put back: {UNDONE}", f"put back: {GONE}", "put back: restored"
"""Outcomes of changes that are undone: by an undo, without one, or by a restore."""
_HAPPENED = (Injection.INJECTED, Injection.UNPROVEN)


def faults(
    own: Sequence[Event], events: Sequence[Event], plan: Plan, residue: Sequence[Residue] = ()
) -> tuple[FaultResult, ...]:
    """Return the state of every planned fault on each of its hosts.

    ``own``: the events before the first recovery of the run.
    """
    left = {(change.step, change.host) for change in residue}
    open_ = "closed" if contents(events, ResidueSettled) else "residue"
    mine = by_step(own)
    undone = {what.intent: what for what in contents(events, Undone)}
    return tuple(
        _state(step, host, mine.get(step.id, {}).get(host, []), undone, open_ if (step.id, host) in left else "")
        for step in plan.steps
        if step.effect == "fault"
        for host in step.hosts
    )


def _state(step: PlannedStep, host: str, mine: Sequence[Event], all_undone: Mapping[int, Undone], left: str) -> FaultResult:
    """Return the state of one fault.

    ``mine``: events of the fault's step on its host. ``all_undone``: successful undos of the run. The key of an undo is the
    number of the event that announced the undone change.
    """
    announced = next(each(mine, IntentRecorded), None)
    if announced is None:
        return FaultResult(step=step.id, host=host, injection=Injection.NOT, why="the fault was not injected")
    event, intent = announced
    undone = all_undone.get(event.seq)
    injection, why = _injection(mine, undone)
    return FaultResult(
        step=step.id,
        host=host,
        injection=injection,
        why=why,
        since_s=event.clock,
        ended=left or ending(intent, undone) or "open",
    )


def _injection(mine: Sequence[Event], undone: Undone | None) -> tuple[Injection, str]:
    """Return the state of the injection, and the reason why the injection is not proven.

    The reason is empty if the injection is proven.
    """
    proof = next(iter(reversed(contents(mine, FaultActive))), None)
    outcome = next((event.what for event in reversed(mine) if isinstance(event.what, Done | Failed)), None)
    if proof is not None and proof.active is True:
        return Injection.INJECTED, ""
    if undone is not None and undone.message == NEVER_HAPPENED:
        return Injection.NEVER, f"{NEVER_HAPPENED}: the check of the fault proves that it changed nothing"
    if proof is not None:
        checks = sum(row["count"] for row in proof.outcomes)
        more = f", the last answer of {checks} checks" if checks > 1 else ""
        return Injection.UNPROVEN, f"{proof.detail or f'active: {proof.active}'}{more}"
    if isinstance(outcome, Done):
        return Injection.UNPROVEN, "the fault was not checked after the injection"
    return Injection.UNKNOWN, f"it is unknown if the fault was injected: {_interrupted(outcome)}"


def _interrupted(failed: Failed | None) -> str:
    if failed is None:
        return "the controller died during the injection"
    return "the injection was stopped" if failed.outcome == "cancelled" else failed.message


def ending(intent: IntentRecorded | None, last: OfUndo | None) -> str:
    """Describe if and how the change was undone. ``intent``: event that announced the change. ``last``: last event about
    the undo of the change.

    The result is empty when one of these events does not exist.
    """
    if intent is None or last is None:
        return ""
    message, undo = last.message, intent.undo
    if isinstance(last, UndoFailed):
        return f"{NOT_UNDONE}{message}"
    if undo["kind"] == "nothing" and message != GONE:
        return f"{KEPT}{message}"
    if undo["kind"] == "restore" and message == GONE:
        return PUT_BACK_RESTORED
    return f"put back: {message}" if message in (GONE, UNDONE) else message


def begun(states: Sequence[FaultResult]) -> float | None:
    """Return the time on the run's clock at which the first fault began. Returns None when there was no fault.

    Faults that are proven to have changed nothing do not count.
    """
    return min(
        (fault.since_s for fault in states if fault.since_s is not None and fault.injection is not Injection.NEVER),
        default=None,
    )


def withheld(states: Sequence[FaultResult]) -> str:
    """Return the reason why the run has no figures of a disruption.

    The reason is empty when a fault was injected, even if the injection is not proven.
    """
    if any(fault.injection in _HAPPENED for fault in states):
        return ""
    unknown = next((fault for fault in states if fault.injection is Injection.UNKNOWN), None)
    return unknown.why if unknown else "no fault was injected"
