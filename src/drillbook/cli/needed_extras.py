"""Extras (optional Python packages) that a drill needs on this machine. They are checked before the run, so that no run
ends in the middle because an extra is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from drillbook.attestation import timestamps
from drillbook.errors import MissingExtra
from drillbook.installation import extras
from drillbook.inventory.inventory import Inventory
from drillbook.plan import needed_services
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.project import settings
from drillbook.sdk import discovery
from drillbook.sdk.service import S3
from drillbook.telemetry import export

Need = tuple[str, str]
"""Pair of texts: the name of an extra, and the name of the part of the program that needs this extra. Messages contain
both names.
"""


def require(plans: Sequence[Plan] = (), root: Path | None = None) -> None:
    """Check that all needed extras are installed. Extras may be needed by ``plans``, by the environment variables of this
    process, and by the settings of the project in ``root``. Raises MissingExtra, which names all missing extras and one
    command that adds them."""
    if missing := lacking(plans, root):
        message = "; ".join(error.message for error in missing.values())
        raise MissingExtra(message, hint=extras.adding(",".join(missing)))


def lacking(plans: Sequence[Plan] = (), root: Path | None = None) -> dict[str, MissingExtra]:
    """Return an error about each needed extra that is not installed. The key of each entry is the name of the extra. See
    ``require``.
    """
    errors: dict[str, MissingExtra] = {}
    for extra, what in (*_of_environment(), *_of_settings(root), *(need for plan in plans for need in _of_plan(plan))):
        if extra not in errors and (error := extras.lacking(extra, what)):
            errors[extra] = error
    return errors


def _of_settings(root: Path | None) -> Iterator[Need]:
    if root and settings.load(root).metrics:
        yield "metrics", f"the file of metrics, which {settings.FILE} names,"


def _of_environment() -> Iterator[Need]:
    if export.endpoint():
        yield "otel", "sending the trace"
    if timestamps.authority():
        yield "timestamp", f"{timestamps.CHOICE} (timestamps of an authority)"


def _of_plan(plan: Plan) -> Iterator[Need]:
    services = plan.inventory.services
    if plan.service in services and services[plan.service].missing:
        return  # the drill is not run on this machine
    looking = [used for condition in plan.guard.conditions if (used := condition.step or condition.probe)]
    yield from _of_uses([*plan.steps, *plan.probes, *looking], plan.inventory)
    for name in sorted(needed_services.of_plan(plan)):
        store = services.get(name)
        if isinstance(store, S3) and (store.encrypt or store.identity):
            yield "age", f"the store {name}, whose backups are encrypted,"
    for name, contact in plan.inventory.contacts.items():
        if contact.notify:
            yield "notify", f"the contact {name}"


def _of_uses(uses: Iterable[PlannedStep | PlannedProbe], inventory: Inventory) -> Iterator[Need]:
    """Yield the extras that the steps and probes ``uses`` need: extras of their systems, and of database drivers that they name."""
    families = {family: system.extra for system in discovery.systems() for family in (*system.actions, *system.probes)}
    for use in uses:
        name = use.action if isinstance(use, PlannedStep) else use.name
        service = inventory.services.get(str(use.params.get("service", "")))
        if service and service.missing:
            continue
        if extra := families.get(name.partition(".")[0], ""):
            yield extra, f"the action {name}" if isinstance(use, PlannedStep) else f"the probe {name}"
        driver = use.params.get("driver")
        if isinstance(driver, str) and (extra := extras.extra_of(driver)):
            yield extra, f"the probe {name} with the driver {driver}"
