"""Restoring from the backup that a run proved, by the system's own action, where the drill's own runbook does not help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drillbook.engine.steps import Stage, groups
from drillbook.engine.steps import carry_out as carried_out
from drillbook.errors import PlanError, UsageError
from drillbook.events.event import Event, each
from drillbook.events.runs import PhaseEnded, PhaseStarted, StepAdded
from drillbook.events.steps import Done
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import Intent, added, intents
from drillbook.language import template
from drillbook.plan.plan import PlannedStep
from drillbook.plan.restorable import is_free, lost_service, proves, restorers
from drillbook.sdk.action import Action, Effect, Place, find
from drillbook.values import canonical


def steps(stage: Stage, events: Sequence[Event]) -> list[PlannedStep]:
    """A step for each fault of the run that only a restore mends and that is not mended: its restore from the proven backup.

    Touches nothing. Raises UsageError when there is no such fault, or when the run proved no backup of it.
    """
    todo = [intent for intent in intents(events, stage.plan.steps) if intent.undo.kind == "restore" and not intent.settled]
    run = stage.run["id"]
    if not todo:
        raise UsageError(
            f"{run} left nothing that only a restore brings back", hint=f"put back the rest: invoke drill.recover {run}"
        )
    before = len(added(events))
    found: dict[bytes, PlannedStep] = {}  # a command on many hosts is one loss of one service
    for intent in todo:
        step = _step(stage, events, intent, before + len(found) + 1)
        found.setdefault(canonical([step.action, step.params, step.hosts]), step)
    return list(found.values())


def _step(stage: Stage, events: Sequence[Event], intent: Intent, number: int) -> PlannedStep:
    proof, location = _proven(stage, events, intent)
    action = find(restorers(proof, intent.step)[0])
    given = {"service": lost_service(stage.plan, intent.step)} if is_free(intent.step) else intent.params
    own = {info.alias or key for key, info in action.model_fields.items()}
    params = {key: value for key, value in given.items() if key in own}
    params |= {**_taken(stage, events, action, params.get("service")), **_closed(stage, action, params), "from": location}
    return PlannedStep(
        id=f"recovery.{number}",
        phase="restore",
        group=None,
        action=action.name(),
        params=params,
        effect=Effect.WRITE,
        name="Restore from the proven backup of this run",
        restore_only=False,
        proves_backup=False,
        hosts=(_host(stage, action, intent),),
        save=None,
        when=None,
        expect=(),
        timeout_s=action.TIMEOUT,
        retries=0,
        every_s=None,
        allow_failure=None,
        line="invoke drill.recover --from-backup",
    )


def _proven(stage: Stage, events: Sequence[Event], intent: Intent) -> tuple[PlannedStep, str]:
    """The newest step that proved a backup of what ``intent`` destroyed, and where that backup lies. Raises UsageError."""
    done = {str(event.step) for event, _ in each(events, Done)}
    for proof in reversed(stage.plan.phase("backup")):
        if proof.id in done and proves(stage.plan.inventory, proof, intent.step) and restorers(proof, intent.step):
            try:
                return proof, str(template.evaluate(proof.params["from"], stage.names()))
            except (ValueError, KeyError, PlanError):
                continue
    declared = [intent.step.params["proven_by"]] if is_free(intent.step) else find(intent.step.action).RESTORED_BY
    known = " or ".join(f"`{name}`" for name in declared) or "nothing"
    raise UsageError(
        f"{stage.run['id']}: this run proved no backup from which {intent.step.action} ({intent.step.id}) on "
        f"{intent.host} could be restored: {known} would",
        hint="restore it with a drill of its own that only restores, from a backup that you know; such a drill "
        "may run although this one left something",
    )


def _taken(stage: Stage, events: Sequence[Event], action: type[Action], service: Any) -> dict[str, Any]:
    """Parameters of the restore that earlier steps of this run on the same service gave as facts."""
    by_id = {step.id: step for step in stage.plan.steps}
    found: dict[str, Any] = {}
    for key, (name, fact) in action.TAKES.items():
        for event, what in each(events, Done):
            step = by_id.get(str(event.step))
            if step and step.action == name and step.params.get("service") == service and fact in what.facts:
                found[key] = what.facts[fact]
    return found


def _closed(stage: Stage, action: type[Action], params: Mapping[str, Any]) -> dict[str, Any]:
    """Keep clients out of what is restored where the verification lets them in: they would write before it compares."""
    same = [
        step
        for step in stage.plan.phase("verify")
        if step.action == action.OPENED_BY
        and all(step.params.get(key) == params.get(key) for key in step.params.keys() & {"service", "table"})
    ]
    return {"closed": True} if same else {}


def _host(stage: Stage, action: type[Action], intent: Intent) -> str:
    service = stage.plan.inventory.services.get(lost_service(stage.plan, intent.step))
    if action.PLACE is Place.CONTROLLER:
        return CONTROLLER
    return service.host if service and (intent.host == CONTROLLER or is_free(intent.step)) else intent.host


def carry_out(stage: Stage, todo: Sequence[PlannedStep]) -> None:
    """Restore by ``todo``, then verify as the drill does; the restore has ended well only when it is verified.

    A recovery that dies on the way thus leaves a restore that did not end.
    """
    journal = stage.journal
    journal.append(PhaseStarted(phase="restore"))
    for step in todo:
        journal.append(
            StepAdded(step=step.model_dump(mode="json"), why="the drill's own restore did not help"), step=step.id, sync=True
        )
    restored = all(carried_out(stage, [step]) for step in todo)
    verified = restored and replay(stage, "verify")
    journal.append(PhaseEnded(phase="restore", status="done" if verified else "failed"), sync=True)


def replay(stage: Stage, phase: str) -> bool:
    """Carry out a phase of the drill in a recovery; True when it ended well."""
    stage.journal.append(PhaseStarted(phase=phase))
    done = all(carried_out(stage, group) for group in groups(stage.plan.phase(phase)))
    stage.journal.append(PhaseEnded(phase=phase, status="done" if done else "failed"), sync=True)
    return done
