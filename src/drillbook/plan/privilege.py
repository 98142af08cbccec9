"""Accounts that the steps of a plan use. The account on a host is set by the step, by its service, or by the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drillbook.inventory.inventory import Inventory
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.sdk.become import Become, nearest
from drillbook.values import Secret


def of_step(
    inventory: Inventory, step: PlannedStep | PlannedProbe | None, host: str, recorded: str | None = None
) -> Become | None:
    """Return the account, with its password, that ``step`` uses on ``host``. None means the SSH user.

    If the step sets an account, this account applies only to the step's own hosts. If ``step`` is None, the account is
    that of the host. ``recorded``: account from an intent in the journal. When it is given, it has precedence over all
    other accounts.
    """
    own = step.become if isinstance(step, PlannedStep) and host in step.hosts else None
    own = own if recorded is None else recorded
    services = [inventory.services[name] for name in _named(inventory, step.params if step else {}, host)]
    return nearest(own, [*(service.become for service in services), inventory.target(host).become])


def of_service(inventory: Inventory, service: str, host: str) -> Become | None:
    """Return the account, with its password, under which ``service`` is read on ``host``. None means the SSH user."""
    named = _named(inventory, {"service": service}, host)
    return nearest(None, [*(inventory.services[name].become for name in named), inventory.target(host).become])


def _named(inventory: Inventory, params: dict[str, Any], host: str) -> list[str]:
    """Return the services on ``host`` that are named in ``params``. The service in the parameter ``service`` comes first."""
    names = [params.get("service"), *params.values()]
    known = inventory.services
    return [name for name in names if isinstance(name, str) and name in known and known[name].host == host]


def by_id(plan: Plan) -> dict[str, PlannedStep | PlannedProbe]:
    """Return the steps, probes and abort conditions of ``plan``, with their ids as keys. For equal ids, return only the first."""
    watched = [condition.step or condition.probe for condition in plan.guard.conditions]
    return {planned.id: planned for planned in reversed((*plan.steps, *plan.probes, *watched)) if planned}


def used(plan: Plan) -> Iterator[tuple[str, Become]]:
    """Yield the pairs of a host and an account that ``plan`` uses. A pair is used when a step, a probe or a condition works
    on the host as this account. Each pair is yielded once.
    """
    seen: set[tuple[str, str]] = set()
    watched = [condition.step or condition.probe for condition in plan.guard.conditions]
    inventory = plan.inventory
    named = [step.become for step in (*plan.steps, *watched) if isinstance(step, PlannedStep)]
    places = [
        *(service.become for service in inventory.services.values()),
        *(target.become for target in inventory.hosts.values()),
    ]
    if not any(named) and not any(places):
        return
    for host in plan.hosts():
        for step in (*plan.steps, *plan.probes, *watched):
            become = of_step(plan.inventory, step, host)
            if become and acts(plan, step, host) and (host, become.user) not in seen:
                seen.add((host, become.user))
                yield host, become


def passwords(plan: Plan) -> dict[str, Secret]:
    """Return the passwords of hosts that sudo asks for during a run of ``plan``. The key of each password is its path in the
    inventory.
    """
    watched = [condition.step or condition.probe for condition in plan.guard.conditions]
    inventory, needed = plan.inventory, dict[str, Secret]()
    for place, password in inventory.secrets_of_hosts().items():
        for host in (name for name in plan.hosts() if place == f"hosts.{name}.become.password"):
            for step in (*plan.steps, *plan.probes, *watched):
                become = of_step(inventory, step, host)
                if become and become.password == password and acts(plan, step, host):
                    needed[place] = password
    return needed


def acts(plan: Plan, step: PlannedStep | PlannedProbe | None, host: str) -> bool:
    """Return True when ``step`` runs on ``host``, or when a parameter of ``step`` names a service on ``host``.

    ``step`` may be a probe. A probe runs on the host in its parameter `host`.
    """
    runs = host in step.hosts if isinstance(step, PlannedStep) else step is not None and step.params.get("host") == host
    return runs or bool(_named(plan.inventory, step.params if step else {}, host))
