"""Undo of a run's changes, the newest first. Only the journal is needed for this.

Each undo is checked afterwards. A failed undo does not prevent the other undos.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from drillbook.engine.parallel import on_each
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import PROOF_S, fault_gone
from drillbook.engine.undo_order import Turn, in_turns
from drillbook.engine.unreachable import AGAIN_S, LOST, patiently
from drillbook.errors import DrillbookError, message_of
from drillbook.events.event import Event, contents, each
from drillbook.events.runs import PhaseEnded, PhaseStarted
from drillbook.events.steps import Done, Failed, StepStarted, UndoFailed, Undone, UndoStarted
from drillbook.installation.program_name import as_called
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import GONE, NEVER_HAPPENED, UNDONE, Intent, added, intents
from drillbook.journal.manual_undo import by_hand
from drillbook.judge.result import Residue
from drillbook.plan import privilege
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan
from drillbook.plan.step_roles import same_service, source_of
from drillbook.sdk import target_folders
from drillbook.sdk.action import Effect, Fault, Write, find
from drillbook.sdk.become import Become
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.probe import Canary
from drillbook.sdk.target_folders import scratch_of

UNDO_S = 60.0
ACTION_S = 600.0
"""Longest timeout, in seconds, for an undo that is an action. Actions may take longer than commands."""
TURN_S = 10.0
"""Patience in seconds. If no undo ends in this time, the undos of older steps no longer wait for the undos of newer steps."""


def put_back(
    stage: Stage, events: Sequence[Event], *, restores: bool = True, reach: Deadline | None = None
) -> list[Residue]:
    """Undo every change in ``events`` that is not undone yet, newest first. Return the changes that could not be undone.

    Normally all changes are undone. When ``restores`` is false, only faults that have an undo of their own are undone. This
    happens before a restore, because such faults may obstruct the restore. A fault that can be repaired only by a restore
    counts as undone under two conditions: the restore phase succeeded, and a check shows that the fault is gone.

    The changes of one step are undone on all its hosts in parallel. A step waits for the undos of newer steps, but not
    for a host that hangs. An unreachable host is retried until the deadline ``reach``.
    """
    done, why = restored(events, stage.plan)
    todo = [
        intent
        for intent in reversed(intents(events, stage.plan.steps))
        if not intent.settled and (restores or (intent.effect is Effect.FAULT and intent.undo.kind != "restore"))
    ]
    ended = {(event.step, event.host) for event in events if isinstance(event.what, Done | Failed)}
    undo = partial(_one, reach=reach, restored=done, why=why, ended=ended)
    turns = [Turn(intent.host, _together(intent.step), partial(_told, stage, intent, undo)) for intent in todo]
    outcomes = in_turns(turns, TURN_S)
    if stage.hold:
        stage.hold.disarm(reach)
    return [left for left in outcomes if left]


def _together(step: PlannedStep) -> tuple[str, int | str]:
    """Return a value that identifies the work to which ``step`` belongs. Steps that ran in parallel have the same value."""
    return step.phase, step.id if step.group is None else step.group


def needs_restore(stage: Stage, events: Sequence[Event]) -> bool:
    """Return True when the drill's restore phase must still repair destroyed data.

    A fault that destroyed nothing needs no restore, and is journalled as one that never happened. A fault counts as such only
    if its step did not succeed, no restore has begun, and a check finds the data untouched. A check that the fault is inactive
    is not enough, because the fault may have destroyed a part of the data.
    """
    steps = {step.id for step in (*stage.plan.phase("restore"), *added(events))}
    happened = {(event.step, event.host) for event, _ in each(events, Done)}
    begun = any(event.step in steps for event, _ in each(events, StepStarted))
    needed = False
    for intent in intents(events, stage.plan.steps):
        if intent.undo.kind != "restore" or intent.settled:
            continue
        ended = begun or (intent.step.id, intent.host) in happened
        if not ended and _started_again(stage, intent) and never_happened(stage, intent):
            settle(stage, intent, NEVER_HAPPENED)
        else:
            needed = True
    return needed


def _started_again(stage: Stage, intent: Intent) -> bool:
    """Restart the processes that were stopped by the injection of a fault. Some faults stop processes before they destroy
    data. If the injection was interrupted between these two, a restart is enough. Return False when the restart fails, and
    otherwise True.
    """
    try:
        _interrupted(stage, intent)
    except Exception:  # noqa: BLE001  after any error the data is restored
        return False
    return True


def never_happened(stage: Stage, intent: Intent) -> bool:
    """Return True when a check proves that the fault changed nothing.

    Returns False also when this cannot be checked.
    """
    try:
        action = intent.action()
        context = stage.context(intent.step.id, intent.host, stage.deadline(UNDO_S))
        with under(context.deadline):
            return isinstance(action, Fault) and once_more(partial(action.untouched, context)) is True
    except Exception:  # noqa: BLE001  a fault that cannot be checked may have happened
        return False


def _told(stage: Stage, intent: Intent, work: Callable[[Stage, Intent], Residue | None]) -> Residue | None:
    """Call ``work``, which undoes the announced change ``intent``. When the undo fails, journal the failure."""
    left = work(stage, intent)
    if left:
        stage.journal.append(
            UndoFailed(intent=intent.seq, message=left.why), step=intent.step.id, host=intent.host, sync=True
        )
    return left


def restored(events: Sequence[Event], plan: Plan) -> tuple[bool, str]:
    """Return True and an empty reason if the last restore phase succeeded. Otherwise return False and the reason.

    A restore by a custom step counts as successful only if the restored content was also compared successfully.
    """
    ended = [what.status for what in contents(events, PhaseEnded) if what.phase == "restore"]
    if ended[-1:] == ["done"]:
        wrong = uncompared(events, plan)
        return not wrong, wrong
    phases = {step.id: step.phase for step in (*plan.phase("restore"), *plan.phase("verify"), *added(events))}
    failed = [(str(event.step), what.message) for event, what in each(events, Failed) if event.step in phases]
    if not failed:
        return False, "no restore was run"
    step, message = failed[-1]
    what = "the verification after the restore" if phases[step] == "verify" else "the restore"
    return False, f"{what} failed: {message}"


def uncompared(events: Sequence[Event], plan: Plan) -> str:
    """Search the last restore phase for a custom step that restored data. If no verification compared this data, return a
    message about the step.

    The result is empty when all data that custom steps restored was compared, and when no custom step restored data.
    """
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
            return f"no comparison has proven that {step.id} {step.action} restored the content of {source.service}"
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
    """Undo one announced change. Return the change if it could not be undone, otherwise None.

    ``restored``: true when the restore phase succeeded; ``why``: reason if the restore phase failed. ``ended``: pairs of
    a step and a host on which this step finished.
    """
    undo = intent.undo
    try:
        fault = intent.effect is Effect.FAULT
        acts = undo.kind in ("commands", "action")
        # Run the undo even if the fault is not active: it may become active later.
        looks = undo.kind != "nothing" if not fault else not acts
        patience = PROOF_S if undo.kind == "restore" and restored else 0.0
        if intent.effect is Effect.WRITE and (intent.step.id, intent.host) not in ended:
            patiently(partial(_interrupted, stage, intent), reach)
        gone = looks and patiently(partial(_seen_gone, stage, intent, patience), None if acts else reach)
        if undo.kind == "restore" and not (gone and restored):
            return _left(stage, intent, f"{undo.why}; {why or 'it is not proven that the fault is gone'}")
        if gone or (undo.kind == "nothing" and not fault):
            patiently(partial(settle, stage, intent, GONE if gone else undo.why), reach)
            return None
        if undo.kind == "nothing":
            return _left(stage, intent, undo.why)
        stage.journal.append(_begun(intent), step=intent.step.id, host=intent.host, sync=True)
        if not patiently(partial(_undone, stage, intent), reach):
            return _left(stage, intent, "the undo succeeded, but it is not proven that the fault is gone")
        patiently(partial(settle, stage, intent, UNDONE), reach)
    except Exception as error:  # noqa: BLE001  a failed undo must not keep the others from being tried
        return _left(stage, intent, str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}")
    return None


def _begun(intent: Intent) -> UndoStarted:
    undo = intent.undo
    return UndoStarted(
        intent=intent.seq, kind=undo.kind, commands=undo.commands, action=undo.action, params=undo.params, why=undo.why
    )


def _seen_gone(stage: Stage, intent: Intent, patience: float) -> bool:
    """Return True when the check of the fault shows that the fault is gone, and otherwise False.

    When the host does not answer and the fault has an undo, also return False, so that the caller tries the undo. When there
    is no undo, raise the error of the host.
    """
    try:
        return fault_gone(stage, intent.step, intent.action(), intent.host, patience=patience) is True
    except LOST:
        if intent.undo.kind in ("commands", "action"):
            return False
        raise


def _undone(stage: Stage, intent: Intent) -> bool:
    """Run the undo of a change. If the change is a fault, return True only when a check shows that the fault is gone.

    If the change is no fault, return True without a check.
    """
    carry_out_undo(stage, intent)
    return (
        intent.effect is not Effect.FAULT
        or fault_gone(stage, intent.step, intent.action(), intent.host, patience=PROOF_S) is True
    )


def _interrupted(stage: Stage, intent: Intent) -> None:
    """Call the method ``interrupted`` of the step's action. The method cleans up after an interrupted step.

    Raises the errors of this method.
    """
    if stage.hold:
        stage.hold.check(intent.host)
    action = intent.action()
    if isinstance(action, Write | Fault):
        context = stage.context(intent.step.id, intent.host, Deadline.after(UNDO_S), changes=True)
        with under(context.deadline):
            action.interrupted(context)


def carry_out_undo(stage: Stage, intent: Intent) -> None:
    """Execute an undo. An undo is a list of commands or an action. Raises the errors of the commands or of the action."""
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
    """Write to the journal that the announced change ``intent`` is undone. ``how``: text that says how it was undone.

    The undo is also removed from the lease, so that the target does not run it again.
    """
    if stage.hold:
        stage.hold.undone(intent.seq, intent.host)
    stage.journal.append(Undone(intent=intent.seq, message=how), step=intent.step.id, host=intent.host, sync=True)


def _left(stage: Stage, intent: Intent, why: str) -> Residue:
    promise = as_called(stage.hold.promise(intent.seq, intent.host)) if stage.hold else ""
    what = f"{intent.step.action} ({intent.step.name or intent.step.phase})"
    return Residue(
        step=intent.step.id,
        host=intent.host,
        what=what,
        by_hand=by_hand(intent),
        why=f"{why}; {promise}" if promise else why,
    )


def clean_canary(stage: Stage, probe_id: str, canary: Canary, written: int = 0) -> list[Residue]:
    """Remove the rows that a canary wrote in this run. The removal is repeated when the service answers too slowly.

    ``written``: number of the last row that the canary tried to write, as far as the journal tells. The rows are numbered
    in ascending order.
    """
    deadline = Deadline.after(UNDO_S)
    while True:
        try:
            canary.clean(replace(stage.context(probe_id, CONTROLLER, deadline), written=written))
        except Exception as error:  # noqa: BLE001  a driver may raise any error; it becomes residue
            if _timed_out(error) and deadline.remaining() > AGAIN_S and not deadline.cancel.wait(AGAIN_S):
                continue
            return [
                Residue(
                    step=probe_id,
                    host=CONTROLLER,
                    what=f"rows of {canary.name()}",
                    why=str(error),
                    by_hand=f"once the service works again, remove the rows that {canary.name()} wrote in this run",
                )
            ]
        return []


def _timed_out(error: BaseException | None) -> bool:
    """Return True when ``error`` or its cause is a timeout.

    A timeout is recognised by the name of its class.
    """
    return error is not None and ("Timeout" in type(error).__name__ or _timed_out(error.__cause__))


def awaits_restore(stage: Stage) -> bool:
    """Return True when destroyed data is not restored yet.

    The restore may then need temporary files of the run, such as a received log.
    """
    return any(
        intent.undo.kind == "restore" and not intent.settled
        for intent in intents(stage.journal.decisive(), stage.plan.steps)
    )


def remove_scratch(stage: Stage, hosts: Sequence[str], reach: Deadline | None = None) -> list[Residue]:
    """Remove the temporary files that any account wrote on ``hosts`` for this run. Return the files that could not be
    removed.

    Unreachable hosts are retried until the deadline ``reach``.
    """
    places: list[tuple[str, Become | None]] = [(name, None) for name in hosts]
    places += [(name, become) for name, become in privilege.used(stage.plan) if name in hosts]
    return [left for left in on_each(partial(_remove_scratch, stage, reach), places, name="scratch") if left]


def _remove_scratch(stage: Stage, reach: Deadline | None, place: tuple[str, Become | None]) -> Residue | None:
    name, become = place
    target, run = stage.plan.inventory.target(name), stage.run["id"]
    target = target.acting_as(become.user) if become else target
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
        host = stage.as_account(name, become)
        patiently(lambda: once_more(lambda: host.run(argv, deadline=Deadline.after(UNDO_S))).check(), reach)
    except (DrillbookError, TimeoutError) as error:
        return Residue(
            step="cleanup",
            host=name,
            what=f"temporary files in {path}",
            why=message_of(error),
            by_hand=f"on {name}: rm -rf {shlex.quote(path)}",
        )
    return None
