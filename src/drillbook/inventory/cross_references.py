"""Checks of the names by which the parts of an inventory refer to each other. The checks read the values as they are in
the files, before validation. So they find wrong names even if the inventory has other mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drillbook.language.explaining import Misplaced, did_you_mean


def wrong(value: Mapping[str, Any], controller: str) -> Iterator[Misplaced]:
    """Yield an error for each reference to a host or service that the inventory does not contain, and for each cycle of
    gateways. Also yield an error for a host that has the name of a group.

    ``controller``: name of the host that every inventory has. If `hosts` or `services` is not a mapping, nothing is
    checked.
    """
    if any(not isinstance(value.get(key) or {}, Mapping) for key in ("hosts", "services")):
        return
    hosts, groups, services, backups = (_mapping(value.get(key)) for key in ("hosts", "groups", "services", "backups"))
    names = [*hosts, *([] if controller in hosts else [controller])]
    for name in ("all", *groups):
        if name in hosts:
            yield Misplaced(f"{name!r} is the name of both a host and a group", ("hosts", name), "rename one of them")
    yield from _members(groups, names)
    for key, service in services.items():
        yield from _host("service", key, _mapping(service).get("host"), names)
        yield from _needs(
            key, _mapping(service).get("needs"), [*services, *(name for name in backups if name not in services)]
        )
    for key, source in backups.items():
        yield from _host("backup", key, _mapping(source).get("host"), names)
        yield from _saved(key, _mapping(source).get("service"), services)
    yield from _gateways({key: _mapping(fields).get("gateway") for key, fields in hosts.items()}, names)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _members(groups: Mapping[str, Any], names: Sequence[str]) -> Iterator[Misplaced]:
    for group, members in groups.items():
        for index, name in enumerate(members if isinstance(members, list | tuple) else ()):
            if isinstance(name, str) and name not in names:
                yield Misplaced(
                    f"group {group!r} names the host {name!r}, which is not in `hosts`",
                    ("groups", group, index),
                    f"{did_you_mean(name, names)}hosts: {', '.join(names)}",
                )


def _host(what: str, key: str, host: Any, names: Sequence[str]) -> Iterator[Misplaced]:
    if isinstance(host, str) and host not in names:
        yield Misplaced(
            f"{what} {key!r} names the host {host!r}, which is not in `hosts`",
            (f"{what}s", key, "host"),
            f"{did_you_mean(host, names)}hosts: {', '.join(names)}",
        )


def _saved(key: str, saved: Any, services: Mapping[str, Any]) -> Iterator[Misplaced]:
    if isinstance(saved, str) and saved and saved not in services:
        yield Misplaced(
            f"backup {key!r} saves the service {saved!r}, which is not in `services`",
            ("backups", key, "service"),
            f"{did_you_mean(saved, services)}services: {', '.join(services) or 'none'}",
        )


def _needs(key: str, needs: Any, services: Sequence[str]) -> Iterator[Misplaced]:
    others = [name for name in services if name != key]
    for index, name in enumerate(needs if isinstance(needs, list | tuple) else ()):
        if isinstance(name, str) and name not in others:
            said = "itself" if name == key else f"{name!r}, which is not in `services`"
            yield Misplaced(
                f"service {key!r} needs {said}",
                ("services", key, "needs", index),
                f"{did_you_mean(name, others)}services: {', '.join(others) or 'none'}",
            )


def _gateways(gateways: Mapping[str, Any], names: Sequence[str]) -> Iterator[Misplaced]:
    told: set[str] = set()
    for key, gateway in gateways.items():
        if isinstance(gateway, str) and gateway and gateway not in gateways:
            yield Misplaced(
                f"host {key!r} has the gateway {gateway!r}, which is not in `hosts`",
                ("hosts", key, "gateway"),
                f"{did_you_mean(gateway, gateways)}hosts: {', '.join(names)}",
            )
        way = [key]
        while isinstance(gateway := gateways[way[-1]], str) and gateway in gateways:
            if gateway in way:
                if not told & {*way}:
                    yield Misplaced(
                        f"the gateways form a cycle: {' > '.join([*way, gateway])}",
                        ("hosts", key, "gateway"),
                        "the first gateway, as seen from the controller, must be reached directly: remove its `gateway`",
                    )
                told |= {*way}
                break
            way.append(gateway)
