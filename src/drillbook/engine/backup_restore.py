"""Restores data when the drill's restore phase does not work.

The restore does not use the steps of the drill. It uses the restore action that Drillbook has for the system, such as
PostgreSQL, and a backup that the run verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drillbook.engine.step_context import Stage
from drillbook.engine.steps import carry_out, groups
from drillbook.errors import PlanError, UsageError
from drillbook.events.event import Event, each
from drillbook.events.runs import PhaseEnded, PhaseStarted, StepAdded
from drillbook.events.steps import Done
from drillbook.installation.program_name import program
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import Intent, added, intents
from drillbook.language import template
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.step_roles import is_free, lost_service, of_source, proves, restorers, verified_origin
from drillbook.sdk.action import Action, Effect, Place, find
from drillbook.values import canonical


def steps(stage: Stage, events: Sequence[Event]) -> list[PlannedStep]:
    """Plan the restore of data that faults destroyed and that is still lost.

    Return one step for each of these faults. The step restores the data from the backup that the run verified. This function
    contacts no host. Raises UsageError when no data is lost, or when the run verified no backup of the data.
    """
    todo = [intent for intent in intents(events, stage.plan.steps) if intent.undo.kind == "restore" and not intent.settled]
    run = stage.run["id"]
    if not todo:
        raise UsageError(
            f"{run} lost no data that needs a restore", hint=f"undo its other changes: invoke drill.recover {run}"
        )
    before = len(added(events))
    # a custom command that ran on several hosts destroyed the data of one service: one restore is enough
    restores: dict[bytes, PlannedStep] = {}
    for intent in todo:
        step = _step(stage, events, intent, before + len(restores) + 1)
        restores.setdefault(canonical([step.action, step.params, step.hosts]), step)
    return list(restores.values())


def _step(stage: Stage, events: Sequence[Event], intent: Intent, number: int) -> PlannedStep:
    proof, location = _proven(stage, events, intent)
    action = find(restorers(proof, intent.step)[0])
    given = {"service": lost_service(stage.plan, intent.step)} if is_free(intent.step) else intent.params
    own = {info.alias or key for key, info in action.model_fields.items()}
    params = {key: value for key, value in given.items() if key in own}
    params |= {**_taken(stage, events, action, params.get("service")), **_closed(stage, action, params), "from": location}
    if of_source(proof) and "at" in proof.params:
        params["at"] = proof.params["at"]
    return PlannedStep(
        id=f"recovery.{number}",
        phase="restore",
        group=None,
        action=action.name(),
        params=params,
        effect=Effect.WRITE,
        name="Restore from the backup that this run verified",
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
        line=f"{program()} drill.recover --from-backup",
        become=intent.step.become,
    )


def _proven(stage: Stage, events: Sequence[Event], intent: Intent) -> tuple[PlannedStep, str]:
    """Find the newest verified backup of the data that a fault destroyed. ``intent``: the announcement of the fault.

    Return the step and the location of the backup. Raises UsageError when there is no such step.
    """
    done = {str(event.step) for event, _ in each(events, Done)}
    for proof in reversed(stage.plan.phase("backup")):
        origin = verified_origin(proof)
        if (
            origin
            and proof.id in done
            and proves(stage.plan.inventory, proof, intent.step)
            and restorers(proof, intent.step)
        ):
            try:
                return proof, str(template.evaluate(origin, stage.names()))
            except (ValueError, KeyError, PlanError):
                continue
    declared = [intent.step.params["proven_by"]] if is_free(intent.step) else find(intent.step.action).RESTORED_BY
    names = " or ".join(f"`{name}`" for name in declared)
    known = f"a step {names} could have verified one" if names else "no action can verify such a backup"
    raise UsageError(
        f"{stage.run['id']}: this run did not verify a backup of the data that {intent.step.action} "
        f"({intent.step.id}) destroyed on {intent.host}; {known}",
        hint=(
            "write a drill that only restores, and run it with a backup that is known to be good; such a drill is "
            "allowed before this run is recovered"
        ),
    )


def _taken(stage: Stage, events: Sequence[Event], action: type[Action], service: Any) -> dict[str, Any]:
    """Return parameters for a restore step. Their values come from the results of earlier steps of this run on the same
    service.
    """
    by_id = {step.id: step for step in stage.plan.steps}
    params: dict[str, Any] = {}
    for key, (name, fact) in action.TAKES.items():
        for event, what in each(events, Done):
            step = by_id.get(str(event.step))
            if step and step.action == name and step.params.get("service") == service and fact in what.facts:
                params[key] = what.facts[fact]
    return params


def _closed(stage: Stage, action: type[Action], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameter ``closed`` for the restore. With this parameter, the restored service refuses clients until a
    step of the verify phase admits them again. Return ``{}`` if the verify phase has no such step.

    Clients are refused because they could change the content before it is compared.
    """
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


def restore(stage: Stage, todo: Sequence[PlannedStep]) -> None:
    """Run the restore steps in ``todo``, and then the verify phase. The journal records the restore as done when both
    succeed, and otherwise as failed.

    If this process dies before that record, the restore counts as unfinished, and the next recovery repeats it.
    """
    journal = stage.journal
    journal.append(PhaseStarted(phase="restore"))
    for step in todo:
        journal.append(
            StepAdded(step=step.model_dump(mode="json"), why="the drill's own restore did not recover the data"),
            step=step.id,
            sync=True,
        )
    restored = all(carry_out(stage, [step]) for step in todo)
    verified = restored and replay(stage, "verify")
    journal.append(PhaseEnded(phase="restore", status="done" if verified else "failed"), sync=True)


def replay(stage: Stage, phase: str) -> bool:
    """Run a phase of the drill again during a recovery. Return True on success."""
    stage.journal.append(PhaseStarted(phase=phase))
    done = all(carry_out(stage, group) for group in groups(stage.plan.phase(phase)))
    stage.journal.append(PhaseEnded(phase=phase, status="done" if done else "failed"), sync=True)
    return done
