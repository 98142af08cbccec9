"""Putting back what a run changed: newest first, past every failure, proven gone, from the journal's intents alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from drillbook.action import Effect, find, scratch_of
from drillbook.errors import DrillbookError
from drillbook.host import Deadline
from drillbook.intents import Intent, intents
from drillbook.inventory import CONTROLLER
from drillbook.journal import Event
from drillbook.plan import Plan
from drillbook.probe import Canary
from drillbook.remedy import by_hand
from drillbook.result import Residue
from drillbook.steps import PROOF_S, Stage, fault_gone

UNDO_S = 60.0
TURN_S = 10.0
"""Seconds that an undo waits for newer ones on other hosts."""


def put_back(stage: Stage, events: Sequence[Event], *, restores: bool = True) -> list[Residue]:
    """Undo every unsettled intent of ``events``, newest first; returns what could not be put back.

    Without ``restores`` only faults that can be undone are, as before a restore that they may stand in the way of.

    What only a restore mends counts as put back when its fault is gone and the restore phase ended well. An undo waits
    for the newer ones on other hosts, but not for long: a host that hangs must not keep the others broken.
    """
    restored, why = _restored(events, stage.plan)
    todo = [intent for intent in reversed(intents(events, stage.plan.steps)) if not intent.settled
            and (restores or (intent.effect is Effect.FAULT and intent.undo.kind != "restore"))]
    turns: list[tuple[Intent, Future[Residue | None]]] = []
    with ExitStack() as stack:
        workers = {host: stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=f"undo-{host}"))
                   for host in {intent.host for intent in todo}}
        for intent in todo:
            newer = [turn for other, turn in turns if other.host != intent.host]
            turns.append((intent, workers[intent.host].submit(_in_turn, stage, intent, newer, restored, why)))
    return [left for _, turn in turns if (left := turn.result())]


def needs_restore(stage: Stage, events: Sequence[Event]) -> bool:
    """Is there anything that only the drill's restore phase mends?

    A fault that is proven not there, and that no restore has touched, never happened: that is written down.
    """
    steps = {step.id for step in stage.plan.phase("restore")}
    begun = any(event.kind == "step.started" and event.step in steps for event in events)
    needed = False
    for intent in intents(events, stage.plan.steps):
        if intent.undo.kind != "restore" or intent.settled:
            continue
        if not begun and _never_happened(stage, intent):
            _settle(stage, intent, "it never happened")
        else:
            needed = True
    return needed


def _never_happened(stage: Stage, intent: Intent) -> bool:
    try:
        return fault_gone(stage, intent.step, intent.action(), intent.host, patience=0.0) is True
    except Exception:  # noqa: BLE001  what cannot be looked at may have happened
        return False


def _in_turn(stage: Stage, intent: Intent, newer: Sequence[Future[Residue | None]], restored: bool,
             why: str) -> Residue | None:
    wait(newer, timeout=TURN_S)
    left = _one(stage, intent, restored=restored, why=why)
    if left:
        stage.journal.append("undo.failed", {"intent": intent.seq, "message": left.why}, step=intent.step.id,
                             host=intent.host, sync=True)
    return left


def _restored(events: Sequence[Event], plan: Plan) -> tuple[bool, str]:
    """Did the last restore phase end well, and if not, why?"""
    ended = [event for event in events if event.kind == "phase.ended" and event.data["phase"] == "restore"]
    if ended and ended[-1].data["status"] == "done":
        return True, ""
    steps = {step.id for step in plan.phase("restore")}
    failed = [event for event in events if event.kind == "failed" and event.step in steps]
    return False, f"the restore failed: {failed[-1].data['message']}" if failed else "no restore was carried out"


def _one(stage: Stage, intent: Intent, *, restored: bool, why: str) -> Residue | None:
    """Undo one intent; None when it is put back, or there was nothing to put back."""
    undo = intent.undo
    try:
        fault = intent.effect is Effect.FAULT
        acts = undo.kind in ("commands", "action")
        # An undo of a fault that can be carried out always is: "not active" may only mean "not yet".
        looks = undo.kind != "nothing" if not fault else not acts
        gone = looks and fault_gone(stage, intent.step, intent.action(), intent.host, patience=0.0) is True
        if undo.kind == "restore" and not (gone and restored):
            return _left(intent, f"{undo.why}; {why or 'the fault is not proven gone'}")
        if gone or (undo.kind == "nothing" and not fault):
            _settle(stage, intent, "gone already" if gone else undo.why)
            return None
        if undo.kind == "nothing":
            return _left(intent, undo.why)
        stage.journal.append("undo", {"intent": intent.seq, **undo.model_dump(mode="json")}, step=intent.step.id,
                             host=intent.host, sync=True)
        carry_out_undo(stage, intent)
        if fault and fault_gone(stage, intent.step, intent.action(), intent.host, patience=PROOF_S) is not True:
            return _left(intent, "the undo ended well, but the fault is not proven gone")
        _settle(stage, intent, "undone")
    except Exception as error:  # noqa: BLE001  one failing undo must not keep the others from being tried
        return _left(intent, str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}")
    return None


def carry_out_undo(stage: Stage, intent: Intent) -> None:
    """Do what the undo says. Raises what its commands or its action raise."""
    if stage.hold:
        stage.hold.check()
    context = stage.context(intent.step.id, intent.host, Deadline.after(UNDO_S), changes=True)
    for argv in intent.undo.commands:
        context.host.run(argv, deadline=context.deadline).check()
    if intent.undo.kind == "action":
        find(intent.undo.action).model_validate(intent.undo.params).run(context)


def _settle(stage: Stage, intent: Intent, how: str) -> None:
    """Write down that ``intent`` is put back, and take it off the target's lease."""
    if stage.hold:
        stage.hold.disarm(intent.seq, intent.host)
    stage.journal.append("undone", {"intent": intent.seq, "message": how}, step=intent.step.id, host=intent.host, sync=True)


def _left(intent: Intent, why: str) -> Residue:
    what = f"{intent.step.action} ({intent.step.name or intent.step.phase})"
    return Residue(step=intent.step.id, host=intent.host, what=what, why=why, by_hand=by_hand(intent))


def clean_canary(stage: Stage, probe_id: str, canary: Canary) -> list[Residue]:
    """Remove the rows that a canary wrote in this run."""
    try:
        canary.clean(stage.context(probe_id, CONTROLLER, Deadline.after(UNDO_S)))
    except Exception as error:  # noqa: BLE001  a driver may raise anything; it becomes residue
        return [Residue(step=probe_id, host=CONTROLLER, what=f"rows of {canary.name()}", why=str(error),
                        by_hand=f"once the service is back, remove what {canary.name()} wrote there for this run")]
    return []


def remove_scratch(stage: Stage, hosts: Sequence[str]) -> list[Residue]:
    """Remove the run's temporary files on ``hosts``."""
    residue = []
    for name in hosts:
        path = ""
        try:
            host = stage.host(name)
            path = scratch_of(host, stage.run["id"])
            host.run(("rm", "-rf", "--", path), deadline=Deadline.after(UNDO_S)).check()
        except DrillbookError as error:
            residue.append(Residue(step="cleanup", host=name, what=f"temporary files in {path or 'the scratch folder'}",
                                   why=error.message, by_hand=f"on {name}: rm -rf {path}"))
    return residue
