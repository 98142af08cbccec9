"""Which trees are applied to which services: a service, what it needs, and the paths between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.diagnosis.tree import Tree
from drillbook.errors import PlanError
from drillbook.inventory.inventory import Inventory, service_names
from drillbook.language.strict import did_you_mean
from drillbook.sdk.service import Service, kind_of


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One tree applied to one service, or to a service and one that it needs; equal to itself alone."""

    tree: Tree
    service: str
    peer: str = ""

    @property
    def subject(self) -> str:
        """What is examined, for a person."""
        return f"{self.service} -> {self.peer}" if self.peer else self.service


def needed(services: Mapping[str, Service], name: str) -> tuple[str, ...]:
    """The services that the service ``name`` needs, as the inventory names them."""
    return tuple(one for one in services[name].needed if one in services and not services[one].missing)


def around(services: Mapping[str, Service], name: str) -> tuple[str, ...]:
    """``name``, all that it needs, and the relays on the way. Raises PlanError when there is no such service."""
    if name not in services:
        raise PlanError(
            f"there is no service {name!r} in the inventory",
            hint=f"{did_you_mean(name, services)}services: {', '.join(services) or 'none'}",
        )
    if services[name].missing:
        raise PlanError(f"the service {name!r} is not there", hint=f"install {services[name].missing}")
    found = [name]
    for one in found:
        found += [other for other in needed(services, one) if other not in found]
    found += [
        key
        for key, relay in services.items()
        if relay.leads_to in found and key not in found and relay.host == services[name].host
    ]
    return tuple(found)


def everything(services: Mapping[str, Service]) -> tuple[str, ...]:
    """All services that are there and meant to run: those that are no standby, and those that others need."""
    wanted = {other for name, one in services.items() if not one.standby for other in needed(services, name)}
    return tuple(name for name, one in services.items() if (not one.standby or name in wanted) and not one.missing)


def cases(trees: Sequence[Tree], services: Mapping[str, Service], names: Iterable[str]) -> list[Case]:
    """Every tree that fits one of the services ``names``, applied to it."""
    found: list[Case] = []
    for name in names:
        for tree in trees:
            if kind_of(services[name]) not in tree.kinds:
                continue
            peers = needed(services, name) if tree.peers else ("",)
            found += [Case(tree, name, peer) for peer in peers]
    return found


def used(trees: Sequence[Tree], inventory: Inventory, names: Iterable[str]) -> tuple[Tree, ...]:
    """The trees that a diagnosis of the services ``names`` applies."""
    wanted = {
        case.tree.tree
        for name in names
        if name in inventory.services
        for case in cases(trees, inventory.services, around(inventory.services, name))
    }
    return tuple(tree for tree in trees if tree.tree in wanted)


def names(inventory: Inventory, case: Case) -> dict[str, Any]:
    """What expressions of ``case`` see before any check: ``service``, ``peer``, ``host``, and ``the`` first of each kind."""
    known = service_names(inventory.services)
    first: dict[str, str] = {}
    for name, one in known.items():
        if not one["missing"]:
            first.setdefault(one["kind"], name)
    host = inventory.target(inventory.services[case.service].host)
    found = {
        "service": known[case.service],
        "the": first,
        "host": {"name": host.name, "address": host.address, "manager": host.manager.kind},
    }
    return found | ({"peer": {**known[case.peer], "path": _path(inventory.services, case)}} if case.peer else {})


def _path(services: Mapping[str, Service], case: Case) -> str:
    """By what name the service reaches its peer: a relay on its own host that leads there, or the peer itself."""
    own = services[case.service].host
    return next(
        (name for name, one in services.items() if one.leads_to == case.peer and one.host == own),
        case.peer,
    )
