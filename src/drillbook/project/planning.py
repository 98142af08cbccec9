"""Makes the plan of a drill in a project."""

from __future__ import annotations

import shlex

from drillbook.errors import PlanError
from drillbook.inventory.inventory import Inventory
from drillbook.plan import planner
from drillbook.plan.plan import Plan
from drillbook.plan.spec import Drill
from drillbook.project import estate
from drillbook.project.project import Project


def plan(project: Project, drill: Drill, inventory: Inventory) -> Plan:
    """Return the plan of ``drill`` on ``inventory``. Raises PlanError when this is impossible. If other inventories of the
    project have a service that ``inventory`` does not have, the hint names them.
    """
    try:
        return planner.make(drill, inventory)
    except PlanError as error:
        for one in (error, *error.others):
            if one.absent and (names := estate.inventories_with(project, one.absent)):
                options = " or ".join(f"`--inventory {shlex.quote(name)}`" for name in names)
                listed = ", ".join(f"`{name}`" for name in names)
                one.hint = f"it is in the {'inventory' if len(names) == 1 else 'inventories'} {listed}: {options}"
        raise
