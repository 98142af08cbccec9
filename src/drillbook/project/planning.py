"""Makes the plan of a drill in a project."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress

from drillbook.errors import DrillbookError, PlanError, SourceError, SpecError
from drillbook.inventory.inventory import Inventory
from drillbook.plan import planner
from drillbook.plan.plan import Plan
from drillbook.plan.spec import Drill, Partial, Suite
from drillbook.project import estate
from drillbook.project.project import Project


def load(project: Project, name: str, inventory: str | Inventory) -> Drill | Suite:
    """Load the drill or suite ``name``. Raises UnknownName when it does not exist, and SpecError when its file has mistakes. If
    parts of the file are readable, they are checked against ``inventory``. The SpecError then also contains the mistakes of
    these parts, such as a service that the inventory does not have.
    """
    try:
        return project.drill(name)
    except SpecError as error:
        if isinstance(error.read, Partial):
            with suppress(DrillbookError):  # a mistake in the inventory is reported after those in the drill
                loaded = project.inventory(inventory) if isinstance(inventory, str) else inventory
                mistakes = planner.mistakes_of(error.read, loaded)
                _hinted(project, mistakes, name)
                error.others += mistakes
        raise


def plan(project: Project, drill: Drill, inventory: Inventory) -> Plan:
    """Return the plan of ``drill`` on ``inventory``. Raises PlanError when the drill cannot be planned. If ``inventory``
    lacks a service, the hint names the other inventories of the project that have this service.
    """
    try:
        return planner.make(drill, inventory)
    except PlanError as error:
        _hinted(project, (error, *error.others), drill.name)
        raise


def _hinted(project: Project, mistakes: Iterable[SourceError], drill: str) -> None:
    """Change the hints of those ``mistakes`` that are about a service missing from the inventory. The new hint names the
    inventories of ``project`` that have this service. Inventories of labs are left out if no lab can run ``drill``.
    """
    from drillbook.project import needed_inventories  # noqa: PLC0415  keeps start-up fast
    from drillbook.sdk import discovery  # noqa: PLC0415  keeps start-up fast

    routine = discovery.needs_backup_job(drill)
    labs = {each.name for each in needed_inventories.read(project).listed if each.is_lab} if routine else set()
    for error in mistakes:
        if not error.absent:
            continue
        if names := [name for name in estate.inventories_with(project, error.absent) if name not in labs]:
            options = " or ".join(f"`--inventory {shlex.quote(name)}`" for name in names)
            listed = ", ".join(f"`{name}`" for name in names)
            error.hint = f"the service is in the {'inventory' if len(names) == 1 else 'inventories'} {listed}: {options}"
        elif labs:
            error.hint = (
                f"describe {error.absent} in this inventory, or adapt the drill: the lab keeps no backups for {drill}"
            )
