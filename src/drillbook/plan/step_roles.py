"""Roles of planned steps in the recovery of lost data. For each step, the functions find the service that it restores,
and the backup that it verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from drillbook.inventory.inventory import CONTROLLER, Inventory
from drillbook.language import template
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk.action import Effect, Fault, find
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.in_place import VerifiesSource


class Source(NamedTuple):
    """Service that a step restores, and the backup that the step reads (``origin``). ``free`` is True when the step is
    a custom command.
    """

    service: str
    origin: Any
    free: bool


def source_of(step: PlannedStep) -> Source | None:
    """Return the service that ``step`` restores, and the backup that it reads. Returns None when the step restores
    nothing from a backup.
    """
    if step.effect is not Effect.WRITE:
        return None
    said = step.params.get("restores")
    if isinstance(said, dict):
        return Source(str(said.get("service") or ""), said.get("from"), free=True)
    if any(info.alias == "from" for info in find(step.action).model_fields.values()):
        return Source(str(step.params.get("service") or ""), step.params.get("from"), free=False)
    return None


def data_host(inventory: Inventory, step: PlannedStep, host: str) -> str:
    """Return the host of the data that ``step`` changes when it runs on ``host``. If the step reaches a service from the
    controller, this is the host of the service.
    """
    services = [inventory.services.get(name) for name in step.services()] if host == CONTROLLER else []
    return next((service.host for service in services if service and service.host), host)


def same_service(inventory: Inventory, name: Any, other: Any) -> bool:
    """Return True when the two names are equal, or when they are names of the same server or data."""
    a, b = str(name or ""), str(other or "")
    return a == b or inventory.same_thing(a, b)


def of_source(step: PlannedStep) -> bool:
    """Return True when ``step`` verifies a backup from a backup source. The parameter `service` of such a step names
    the source.
    """
    return issubclass(find(step.action), VerifiesSource)


def sources_verified(steps: Sequence[PlannedStep]) -> frozenset[str]:
    """Return the names of the backup sources whose backups are verified in ``steps`` before the first fault.

    A step with the key `when` is ignored, because it may be skipped.
    """
    fault = next((number for number, step in enumerate(steps) if step.effect is Effect.FAULT), 0)
    return frozenset(str(step.params.get("service")) for step in steps[:fault] if not step.when and of_source(step))


def verified_service(inventory: Inventory, proof: PlannedStep) -> str:
    """Return the name of the service whose backup the step ``proof`` verifies."""
    named = str(proof.params.get("service") or "")
    source = inventory.services.get(named) if of_source(proof) else None
    return source.service if isinstance(source, BackupSource) else named


def verified_origin(proof: PlannedStep) -> Any:
    """Return the backup that the step ``proof`` verifies. The result has the form of the parameter `from` of a restore
    step.
    """
    return proof.params.get("service" if of_source(proof) else "from")


def proves(inventory: Inventory, proof: PlannedStep, fault: PlannedStep) -> bool:
    """Return True when the step ``proof`` verifies a backup for ``fault``.

    For a custom fault, ``proof`` must be the step that the fault names in `proven_by`. For any other fault, ``proof`` must
    verify a suitable backup of the service that the fault damages.
    """
    if is_free(fault):
        return proof.phase == "backup" and proof.proves_backup and fault.params["proven_by"] in (proof.save, proof.id)
    return (
        proof.proves_backup
        and proof.action in find(fault.action).PROVEN_BY
        and same_service(inventory, verified_service(inventory, proof), fault.params.get("service"))
    )


def is_free(fault: PlannedStep) -> bool:
    """Return True when ``fault`` is a custom command that only a restore can undo.

    Only such a fault has the parameter ``proven_by``. It names the step that verifies a backup of the data.
    """
    return isinstance(fault.params.get("proven_by"), str)


def restorers(proof: PlannedStep, fault: PlannedStep) -> tuple[str, ...]:
    """Return the names of the actions that can restore the data which ``fault`` destroys. ``proof``: step that verifies the
    backup of this data.
    """
    kind = find(fault.action)
    if is_free(fault):
        return tuple(find(proof.action).RESTORES_WITH)
    restorer = kind.RESTORED_BY.get(proof.action) if issubclass(kind, Fault) else None
    return (restorer,) if restorer else ()


def lost_service(plan: Plan, fault: PlannedStep) -> str:
    """Return the service whose data ``fault`` destroys. The parameter ``service`` of the fault names this service.

    If the fault is a custom command, return the service whose backup the drill verifies for this fault.
    """
    proof = next((step for step in plan.phase("backup") if is_free(fault) and proves(plan.inventory, step, fault)), None)
    return verified_service(plan.inventory, proof) if proof else str(fault.params.get("service") or "")


def of_one_system(step: PlannedStep, proof: PlannedStep) -> bool:
    """Return True when ``step`` and ``proof`` are about backups of the same system, such as PostgreSQL. ``step`` restores a
    backup, and ``proof`` verifies a backup.

    A custom step may restore any system, so the result is then True.
    """
    return isinstance(step.params.get("restores"), dict) or _family(step) == _family(proof)


def compares(inventory: Inventory, step: PlannedStep, service: str, fault: PlannedStep) -> bool:
    """Return True when ``step`` compares the content of ``service`` with a backup.

    The step must compare all tables. It may compare only some tables if ``fault`` destroys a single table, or is a
    custom command.
    """
    kind, part = find(step.action), step.params.get("tables") and "table" not in fault.params and not is_free(fault)
    same = same_service(inventory, step.params.get("service"), service)
    return kind.COMPARES and not kind.COMPARES_WITH and same and not part


def _family(step: PlannedStep) -> str:
    return step.action.partition(".")[0]


def _names(*values: Any) -> set[str]:
    """Return the names to which the expressions in ``values`` refer, such as ids of steps."""
    return {reference[0] for value in values if template.is_template(value) for reference in template.references(value)}


def origins(steps: Sequence[PlannedStep], step: PlannedStep) -> dict[str, str]:
    """Find the parameters of ``step`` that use the result of another step. Return a mapping: the key is the name of such a
    parameter, and the value is the service of the other step.
    """
    saved = {
        planned.save: str(planned.params["service"]) for planned in steps if planned.save and planned.params.get("service")
    }
    named = {
        key: [saved[name] for name, *_ in template.references(value) if name in saved]
        for key, value in step.params.items()
        if template.is_template(value)
    }
    return {key: services[0] for key, services in named.items() if services}
