"""Rule for the keys `max_hosts` and `max_percent` of a guard: the faults of a drill must not affect more hosts than the
guard allows.
"""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.errors import PlanError
from drillbook.inventory.inventory import Inventory
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Place
from drillbook.plan.plan import faulted
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.spec import Drill
from drillbook.plan.step_rules import Fail


def check(drill: Drill, inventory: Inventory, steps: Sequence[PlannedStep], fail: Fail) -> None:
    """Raise an error when the faults affect more hosts than the guard allows, or when the guard names an unknown group.
    ``fail``: function that makes the error.
    """
    guard, hit, mistakes = drill.head.guard, faulted(steps, inventory), Mistakes()
    for kind, limits in (("max_hosts", guard.max_hosts), ("max_percent", guard.max_percent)):
        written = isinstance((drill.document.value.get("guard") or {}).get(kind), dict)
        for group, most in limits.items():
            place = ("guard", kind, group) if written else ("guard", kind)
            mistakes.of(_limit, inventory, hit, most, place, fail, group=group)
    mistakes.report()


def _limit(inventory: Inventory, hit: set[str], most: int, place: Place, fail: Fail, *, group: str) -> None:
    try:
        members = hit | set(inventory.hosts) if group == "all" else set(inventory.expand(group))
    except PlanError as error:
        raise fail(place, error.message, error.hint, key=True) from None
    percent = place[1] == "max_percent"
    inside = sorted(hit & members)
    if len(inside) > (most * len(members) / 100 if percent else most):
        allowed = f"{most} % of its {len(members)} hosts" if percent else f"{most}"
        raise fail(
            place,
            f"the faults affect {len(inside)} hosts of {group!r} ({', '.join(inside)}); the guard allows {allowed}",
            "choose fewer hosts for the steps in `inject`, or raise the limit in `guard`",
            key=True,
        )
