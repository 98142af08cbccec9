"""Rule for the objective `rto`: a drill with a fault needs an availability probe, because only such a probe measures the
RTO."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.inventory.inventory import Inventory
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.spec import Drill
from drillbook.plan.step_rules import Fail
from drillbook.sdk.action import Effect, find, known_names
from drillbook.sdk.probe import Availability, Probe
from drillbook.sdk.service import kind_of


def check(
    drill: Drill, inventory: Inventory, steps: Sequence[PlannedStep], probes: Sequence[PlannedProbe], fail: Fail
) -> None:
    """Raise an error when the drill has an objective `rto` and a fault, but no availability probe. ``fail``: function that
    makes this error.

    The RTO of such a drill is never measured, so that the run would end as inconclusive after a real outage.
    """
    if drill.head.objectives.rto is None or not any(step.effect is Effect.FAULT for step in steps):
        return
    if any(issubclass(find(probe.name, Probe), Availability) for probe in probes):
        return
    raise fail(
        ("objectives", "rto"),
        "the RTO cannot be measured: the drill has no availability probe",
        f"add one to `probes`, such as {' or '.join(_fitting(drill.head.service, inventory))}; or remove `rto`",
        key=True,
    )


def _fitting(name: str, inventory: Inventory) -> list[str]:
    """Return the names of the availability probes for services of the same kind as ``name``, and for services of any
    kind."""
    own = f"{kind_of(inventory.services[name])}.available"
    probes = {probe: find(probe, Probe) for probe in known_names(Probe)}
    general = [probe for probe, cls in probes.items() if issubclass(cls, Availability) and cls.ANY_SERVICE]
    return list(dict.fromkeys((*([own] if own in probes else []), *general)))
