"""Putting back what a run changed: newest first, past every failure, proven gone, from the journal's intents alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial

from drillbook.engine.steps import PROOF_S, Stage, fault_gone
from drillbook.engine.unreachable import AGAIN_S, LOST, patiently
from drillbook.errors import DrillbookError
from drillbook.events.event import Event, contents, each
from drillbook.events.runs import PhaseEnded, PhaseStarted
from drillbook.events.steps import Done, Failed, StepStarted, UndoFailed, Undone, UndoStarted
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import GONE, NEVER_HAPPENED, UNDONE, Intent, added, intents
from drillbook.journal.manual_undo import by_hand
from drillbook.judge.result import Residue
from drillbook.plan.planner import Plan
from drillbook.plan.restorable import same_service, source_of
from drillbook.sdk import target_folders
from drillbook.sdk.action import Effect, Fault, Write, find
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.probe import Canary
from drillbook.sdk.target_folders import scratch_of

UNDO_S = 60.0
ACTION_S = 600.0
"""The most seconds that an undo by an action has; such an action may take longer than commands do."""
TURN_S = 10.0
"""Seconds that an undo waits for newer ones on other hosts."""


def put_back(
    stage: Stage, events: Sequence[Event], *, restores: bool = True, reach: Deadline | None = None
) -> list[Residue]:
    """Undo every unsettled intent of ``events``, newest first; returns what could not be put back.

    Without ``restores`` only faults that can be undone are, as before a restore that they may stand in the way of.

    What only a restore mends counts as put back when its fault is gone and the restore phase ended well. An undo waits
    for the newer ones on other hosts, but not for long: a host that hangs must not keep the others broken. A host that
    cannot be reached is tried again while ``reach`` lasts.
    """
    done, why = restored(events, stage.plan)
    todo = [
        intent
        for intent in reversed(intents(events, stage.plan.steps))
        if not intent.settled and (restores or (intent.effect is Effect.FAULT and intent.undo.kind != "restore"))
    ]
    ended = {(event.step, event.host) for event in events if isinstance(event.what, Done | Failed)}
    one = partial(_one, reach=reach, restored=done, why=why, ended=ended)
    turns: list[tuple[Intent, Future[Residue | None]]] = []
    with ExitStack() as stack:
        workers = {
            host: stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=f"undo-{host}"))
            for host in {intent.host for intent in todo}
        }
        for intent in todo:
            newer = [turn for other, turn in turns if other.host != intent.host]
            turns.append((intent, workers[intent.host].submit(_in_turn, stage, intent, newer, one)))
    return [left for _, turn in turns if (left := turn.result())]


def needs_restore(stage: Stage, events: Sequence[Event]) -> bool:
    """Is there anything that only the drill's restore phase mends?

    A fault that proves that it changed nothing, that did not end well, and that no restore has touched, never happened:
    that is written down. That it is not active proves nothing here: it may have done half of its damage.
    """
    steps = {step.id for step in (*stage.plan.phase("restore"), *added(events))}
    happened = {(event.step, event.host) for event, _ in each(events, Done)}
    begun = any(event.step in steps for event, _ in each(events, StepStarted))
    needed = False
    for intent in intents(events, stage.plan.steps):
        if intent.undo.kind != "restore" or intent.settled:
            continue
        if not begun and (intent.step.id, intent.host) not in happened and never_happened(stage, intent):
            settle(stage, intent, NEVER_HAPPENED)
        else:
            needed = True
    return needed


def never_happened(stage: Stage, intent: Intent) -> bool:
    """Does a fault prove that it changed nothing? False where it cannot be asked."""
    try:
        action = intent.action()
        context = stage.context(intent.step.id, intent.host, stage.deadline(UNDO_S))
        with under(context.deadline):
            return isinstance(action, Fault) and once_more(partial(action.untouched, context)) is True
    except Exception:  # noqa: BLE001  what cannot be looked at may have happened
        return False


def _in_turn(
    stage: Stage, intent: Intent, newer: Sequence[Future[Residue | None]], work: Callable[[Stage, Intent], Residue | None]
) -> Residue | None:
    wait(newer, timeout=TURN_S)
    left = work(stage, intent)
    if left:
        stage.journal.append(
            UndoFailed(intent=intent.seq, message=left.why), step=intent.step.id, host=intent.host, sync=True
        )
    return left


def restored(events: Sequence[Event], plan: Plan) -> tuple[bool, str]:
    """Did the last restore phase end well, and if not, why? What a free step restored is compared besides."""
    ended = [what.status for what in contents(events, PhaseEnded) if what.phase == "restore"]
    if ended[-1:] == ["done"]:
        wrong = uncompared(events, plan)
        return not wrong, wrong
    phases = {step.id: step.phase for step in (*plan.phase("restore"), *plan.phase("verify"), *added(events))}
    failed = [(str(event.step), what.message) for event, what in each(events, Failed) if event.step in phases]
    if not failed:
        return False, "no restore was carried out"
    step, message = failed[-1]
    what = "the verification after the restore" if phases[step] == "verify" else "the restore"
    return False, f"{what} failed: {message}"


def uncompared(events: Sequence[Event], plan: Plan) -> str:
    """Say what a free step restored last that no comparison of the content has confirmed since; empty when there is none."""
    begun = max((event.seq for event, what in each(events, PhaseStarted) if what.phase == "restore"), default=0)
    done = {(event.step, event.host) for event, _ in each(events, Done) if event.seq > begun}
    for step in plan.phase("restore"):
        source = source_of(step)
        if source is None or not source.free or not any((step.id, host) in done for host in step.hosts):
            continue
        if not any(
            find(other.action).COMPARES
            and same_service(plan.inventory, other.params.get("service"), source.service)
            and all((other.id, host) in done for host in other.hosts)
            for other in plan.phase("verify")
        ):
            return f"no comparison has shown that {step.id} {step.action} brought the content of {source.service} back"
    return ""


def _one(
    stage: Stage,
    intent: Intent,
    *,
    reach: Deadline | None,
    restored: bool,
    why: str,
    ended: Collection[tuple[str | None, str | None]],
) -> Residue | None:
    """Undo one intent; None when it is put back, or there was nothing to put back. ``ended`` are steps with their hosts."""
    undo = intent.undo
    try:
        fault = intent.effect is Effect.FAULT
        acts = undo.kind in ("commands", "action")
        # An undo of a fault that can be carried out always is: "not active" may only mean "not yet".
        looks = undo.kind != "nothing" if not fault else not acts
        patience = PROOF_S if undo.kind == "restore" and restored else 0.0
        if intent.effect is Effect.WRITE and (intent.step.id, intent.host) not in ended:
            patiently(partial(_interrupted, stage, intent), reach)
        gone = looks and patiently(partial(_seen_gone, stage, intent, patience), None if acts else reach)
        if undo.kind == "restore" and not (gone and restored):
            return _left(stage, intent, f"{undo.why}; {why or 'the fault is not proven gone'}")
        if gone or (undo.kind == "nothing" and not fault):
            patiently(partial(settle, stage, intent, GONE if gone else undo.why), reach)
            return None
        if undo.kind == "nothing":
            return _left(stage, intent, undo.why)
        stage.journal.append(_begun(intent), step=intent.step.id, host=intent.host, sync=True)
        if not patiently(partial(_undone, stage, intent), reach):
            return _left(stage, intent, "the undo ended well, but the fault is not proven gone")
        patiently(partial(settle, stage, intent, UNDONE), reach)
    except Exception as error:  # noqa: BLE001  one failing undo must not keep the others from being tried
        return _left(stage, intent, str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}")
    return None


def _begun(intent: Intent) -> UndoStarted:
    undo = intent.undo
    return UndoStarted(
        intent=intent.seq, kind=undo.kind, commands=undo.commands, action=undo.action, params=undo.params, why=undo.why
    )


def _seen_gone(stage: Stage, intent: Intent, patience: float) -> bool:
    """Is it gone? What can be undone is then undone although its host does not answer: the undo may go another way."""
    try:
        return fault_gone(stage, intent.step, intent.action(), intent.host, patience=patience) is True
    except LOST:
        if intent.undo.kind in ("commands", "action"):
            return False
        raise


def _undone(stage: Stage, intent: Intent) -> bool:
    """Undo, and prove that a fault is gone."""
    carry_out_undo(stage, intent)
    return (
        intent.effect is not Effect.FAULT
        or fault_gone(stage, intent.step, intent.action(), intent.host, patience=PROOF_S) is True
    )


def _interrupted(stage: Stage, intent: Intent) -> None:
    """Remove what a step that never ended left where nobody looks. Raises what its action raises."""
    if stage.hold:
        stage.hold.check(intent.host)
    action = intent.action()
    if isinstance(action, Write):
        context = stage.context(intent.step.id, intent.host, Deadline.after(UNDO_S), changes=True)
        with under(context.deadline):
            action.interrupted(context)


def carry_out_undo(stage: Stage, intent: Intent) -> None:
    """Do what the undo says. Raises what its commands or its action raise."""
    if stage.hold:
        stage.hold.check(intent.host)
    action = find(intent.undo.action) if intent.undo.kind == "action" else None
    seconds = max(UNDO_S, min(action.TIMEOUT, ACTION_S)) if action else UNDO_S
    context = stage.context(intent.step.id, intent.host, Deadline.after(seconds), changes=True)
    for argv in intent.undo.commands:
        context.host.run(argv, deadline=context.deadline).check()
    if action:
        with under(context.deadline):
            action.model_validate(intent.undo.params).run(context)


def settle(stage: Stage, intent: Intent, how: str) -> None:
    """Write down that ``intent`` is put back, and take it off the target's lease."""
    if stage.hold:
        stage.hold.disarm(intent.seq, intent.host)
    stage.journal.append(Undone(intent=intent.seq, message=how), step=intent.step.id, host=intent.host, sync=True)


def _left(stage: Stage, intent: Intent, why: str) -> Residue:
    promise = stage.hold.promise(intent.seq, intent.host) if stage.hold else ""
    what = f"{intent.step.action} ({intent.step.name or intent.step.phase})"
    return Residue(
        step=intent.step.id,
        host=intent.host,
        what=what,
        by_hand=by_hand(intent),
        why=f"{why}; {promise}" if promise else why,
    )


def clean_canary(stage: Stage, probe_id: str, canary: Canary) -> list[Residue]:
    """Remove the rows that a canary wrote in this run; a service that is too busy to answer in time is asked again."""
    deadline = Deadline.after(UNDO_S)
    while True:
        try:
            canary.clean(stage.context(probe_id, CONTROLLER, deadline))
        except Exception as error:  # noqa: BLE001  a driver may raise anything; it becomes residue
            if _timed_out(error) and deadline.remaining() > AGAIN_S and not deadline.cancel.wait(AGAIN_S):
                continue
            return [
                Residue(
                    step=probe_id,
                    host=CONTROLLER,
                    what=f"rows of {canary.name()}",
                    why=str(error),
                    by_hand=f"once the service is back, remove what {canary.name()} wrote there for this run",
                )
            ]
        return []


def _timed_out(error: BaseException | None) -> bool:
    """Was an answer not there in time, by the name that the driver has for that?"""
    return error is not None and ("Timeout" in type(error).__name__ or _timed_out(error.__cause__))


def awaits_restore(stage: Stage) -> bool:
    """Is something still lost that only a restore brings back? It may need temporary files of the run, such as a log."""
    return any(one.undo.kind == "restore" and not one.settled for one in intents(stage.journal.decisive(), stage.plan.steps))


def remove_scratch(stage: Stage, hosts: Sequence[str], reach: Deadline | None = None) -> list[Residue]:
    """Remove the run's temporary files on ``hosts``; one that cannot be reached is tried again while ``reach`` lasts."""
    with ThreadPoolExecutor(max_workers=max(1, min(64, len(hosts))), thread_name_prefix="scratch") as pool:
        return [left for left in pool.map(partial(_remove_scratch, stage, reach), hosts) if left]


def _remove_scratch(stage: Stage, reach: Deadline | None, name: str) -> Residue | None:
    target, run = stage.plan.inventory.target(name), stage.run["id"]
    path = scratch_of(target, run, former=name in stage.former)
    argv = (
        "sh",
        "-c",
        target_folders.REMOVE,
        "sh",
        target_folders.root_of(target),
        run,
        scratch_of(target, run, former=True),
    )
    try:
        patiently(lambda: stage.host(name).run(argv, deadline=Deadline.after(UNDO_S)).check(), reach)
    except (DrillbookError, TimeoutError) as error:
        return Residue(
            step="cleanup",
            host=name,
            what=f"temporary files in {path}",
            why=getattr(error, "message", str(error)),
            by_hand=f"on {name}: rm -rf {shlex.quote(path)}",
        )
    return None
