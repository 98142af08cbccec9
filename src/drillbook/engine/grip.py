"""Locks and the lease of a run on one host, as the run knows them."""

from __future__ import annotations

from dataclasses import dataclass, field

from drillbook.engine.leases import Lease
from drillbook.plan.plan import Plan
from drillbook.sdk.action import find


@dataclass(slots=True)
class Grip:
    """Locks and the lease of the run on one host."""

    host: str
    tokens: dict[str, int] = field(default_factory=dict)
    lease: Lease | None = None
    armed: set[int] = field(default_factory=set)
    leased: bool = False
    """True while an armed lease exists on the host."""
    renewed: float = 0.0
    """Monotonic time at which the last successful renewal was sent."""
    missed: set[str] = field(default_factory=set)
    """Locks that could not be taken because the host did not answer. If this run does own them, they are released at the end."""
    lost: str = ""
    """Reason why the locks or the lease were lost; empty while they are held."""
    log: bytes | None = None
    """The target's log of the lease, fetched when the controller ended the lease; None until then."""


def leased(plan: Plan) -> list[str]:
    """Hosts on which ``plan`` may make changes under a lease."""
    return sorted(
        {
            host
            for step in plan.steps
            if not step.restore_only and find(step.action).may_lease(step.effect)
            for host in step.hosts
        }
    )
