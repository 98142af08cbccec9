"""Selects the trees for a diagnosis of a service. The diagnosis also covers the services that this service needs, and the
relays on the way to them.

The functions are pure: they read and write no files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.diagnosis.tree import Tree
from drillbook.errors import PlanError
from drillbook.inventory.inventory import Inventory, service_names
from drillbook.language.strict import did_you_mean
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.service import Service, kind_of, only_in_rehearsals


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One decision tree, applied to one service. A tree about pairs of services is applied to ``service`` and to ``peer``,
    another service that ``service`` needs.

    Cases are compared by identity: two objects with the same fields are not equal.
    """

    tree: Tree
    service: str
    peer: str = ""

    @property
    def subject(self) -> str:
        """Name of the examined service, as the user sees it. For two services it is ``service -> peer``."""
        return f"{self.service} -> {self.peer}" if self.peer else self.service


def needed(services: Mapping[str, Service], name: str) -> tuple[str, ...]:
    """Return the services that the service ``name`` needs. Services that are not installed, or not in the inventory,
    are left out.
    """
    return tuple(other for other in services[name].needed if other in services and not services[other].missing)


def around(services: Mapping[str, Service], name: str) -> tuple[str, ...]:
    """Return the service ``name``, all services that it needs, and the relays on the host of ``name`` that lead to one of
    them.

    Raises PlanError when the service is unknown or not installed.
    """
    if name not in services:
        raise PlanError(
            f"there is no service {name!r} in the inventory",
            hint=f"{did_you_mean(name, services)}services: {', '.join(services) or 'none'}",
        )
    if services[name].missing:
        raise PlanError(f"the service {name!r} is not installed", hint=f"install {services[name].missing}")
    reached = [name]
    for service in reached:
        reached += [other for other in needed(services, service) if other not in reached]
    reached += [
        key
        for key, relay in services.items()
        if relay.leads_to in reached and key not in reached and relay.host == services[name].host
    ]
    return tuple(reached)


def everything(services: Mapping[str, Service]) -> tuple[str, ...]:
    """Return the names of all services that should be running.

    A standby is a service that is normally stopped. It is included only if another service needs it. Folders and backup
    sources are left out because they have no processes. Sandboxes and temporary services are left out because they exist
    only in rehearsals.
    """
    running = {name: service for name, service in services.items() if service.RUNS and not only_in_rehearsals(service)}
    wanted = {other for name, service in running.items() if not service.standby for other in needed(services, name)}
    return tuple(
        name for name, service in running.items() if (not service.standby or name in wanted) and not service.missing
    )


def unexamined(trees: Sequence[Tree], services: Mapping[str, Service], names: Collection[str]) -> dict[str, str]:
    """Return the services that a diagnosis of ``names`` does not examine, each with the reason.

    The result contains only services that a diagnosis could examine. It contains no backup sources, and no services that
    exist only in rehearsals.
    """
    known = {kind for tree in trees for kind in tree.kinds}
    reasons = {}
    for name, service in services.items():
        if name in names or only_in_rehearsals(service) or isinstance(service, BackupSource):
            continue
        kind = kind_of(service)
        none = "" if kind in known else f"no diagnosis tree for services of kind {kind}"
        reasons[name] = (
            "not installed here"
            if service.missing
            else none or ("a standby" if service.standby else "not a running service")
        )
    return reasons


def cases(trees: Sequence[Tree], services: Mapping[str, Service], names: Iterable[str]) -> list[Case]:
    """Return the cases to examine. Each service in ``names`` has one case for each tree that examines this kind of service.

    A tree may examine pairs: a service, and another service that it needs. For such a tree, there is one case for each needed
    service.
    """
    examined: list[Case] = []
    for name in names:
        for tree in trees:
            if kind_of(services[name]) not in tree.kinds:
                continue
            peers = needed(services, name) if tree.peers else ("",)
            examined += [Case(tree, name, peer) for peer in peers]
    return examined


def used(trees: Sequence[Tree], inventory: Inventory, names: Iterable[str]) -> tuple[Tree, ...]:
    """Return the trees that a diagnosis of the services ``names`` uses."""
    wanted = {
        case.tree.tree
        for name in names
        if name in inventory.services
        for case in cases(trees, inventory.services, around(inventory.services, name))
    }
    return tuple(tree for tree in trees if tree.tree in wanted)


def names(inventory: Inventory, case: Case) -> dict[str, Any]:
    """Return the names that expressions of ``case`` can use before any check has run.

    There are four names: ``service``, ``peer``, ``host`` and ``the``. The value of ``the`` is a mapping from each kind of
    service to the name of the inventory's first installed service of that kind. ``service.socket`` is the path of the
    service's Unix socket; it is empty when the service has a port.
    """
    known = service_names(inventory.services)
    first: dict[str, str] = {}
    for name, fields in known.items():
        if not fields["missing"]:
            first.setdefault(fields["kind"], name)
    host = inventory.target(inventory.services[case.service].host)
    variables = {
        "service": {**known[case.service], "socket": inventory.services[case.service].socket},
        "the": first,
        "host": {"name": host.name, "address": host.address, "manager": host.manager.kind},
    }
    if not case.peer:
        return variables
    peer = inventory.services[case.peer]
    return variables | {"peer": {**known[case.peer], "socket": peer.socket, "path": _path(inventory.services, case)}}


def _path(services: Mapping[str, Service], case: Case) -> str:
    """Return the service to which the examined service connects in order to reach ``peer``.

    If the host of the examined service has a relay that forwards to ``peer``, this is the relay. Otherwise it is ``peer``.
    """
    own = services[case.service].host
    return next(
        (name for name, service in services.items() if service.leads_to == case.peer and service.host == own),
        case.peer,
    )
