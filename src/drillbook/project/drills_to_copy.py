"""Finds the shipped drills to copy for services that no drill of a project uses. Finds also what such a drill needs: another
inventory, or software that must be installed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from drillbook.catalog import entries
from drillbook.project.needed_inventories import Inventories
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import one_line

DOCKER = "docker"
"""Inventory of the Docker lab. `init --with` copies it with each drill that only this lab can run."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Shipped drill to copy for some services of one environment. ``inventory``: other inventory with which the drill must
    run. ``needs``: text about what must be installed before. ``adapted``: True when names in the drill must be adapted, because
    the services are of no lab. A drill without all these can run as it is.
    """

    drill: str
    services: tuple[str, ...]
    inventory: str = ""
    needs: str = ""
    adapted: bool = False

    @property
    def is_ready(self) -> bool:
        """True when the drill can run as soon as it is copied."""
        return not (self.inventory or self.needs or self.adapted)

    def commands(self, program: str) -> str:
        """Return the command that copies the drill. If the drill needs another inventory, the command that runs the drill
        follows.
        """
        copy = f"`{program} init --with {self.drill}`"
        if self.inventory:
            return f"{copy}, then `{program} drill {self.drill} --inventory {one_line(self.inventory)}`"
        copy += ", which names what to adapt" if self.adapted else ""
        return f"{copy} (needs {one_line(self.needs)})" if self.needs else copy


def of(
    services: Sequence[str],
    kinds: Mapping[str, str],
    own: Collection[str],
    inventories: Inventories | None = None,
    environment: str = "",
) -> list[Copy]:
    """Return the shipped drills to copy for ``services`` of ``environment``.

    First come the drills that can run without changes. Among these, the drills that inject no fault come first. A drill is
    left out if it names another service of the environment, because its copy would restore that service and none of
    ``services``. It is also left out if it restores routine backups that a lab does not have, and the environment has no other
    inventory than those of labs. ``kinds``: kind of each service, by its name. ``own``: names of the project's drills.
    """
    listed = inventories.listed if inventories else ()
    labs = {each.is_lab for each in listed if each.environment == environment}
    in_lab, adapted = labs == {True}, labs == {False}
    others = {name for each in listed if each.environment == environment for name in each.services} | set(services)
    services_by_copy: dict[tuple[str, str, str], list[str]] = {}
    for service in services:
        drill = entries.to_copy(kinds.get(service, ""), service, own, lab=in_lab, adapted=adapted)
        if drill and entries.find(drill).service not in others - {service}:
            services_by_copy.setdefault((drill, *_needs(drill, service, inventories, environment)), []).append(service)
    copies = [
        Copy(drill, tuple(its), inventory, needs, adapted) for (drill, inventory, needs), its in services_by_copy.items()
    ]
    return sorted(copies, key=lambda copy: (not copy.is_ready, entries.find(copy.drill).breaks))


def _needs(drill: str, service: str, inventories: Inventories | None, environment: str) -> tuple[str, str]:
    """Return two texts: the inventory that ``drill`` needs instead of the present one, and what must be installed for the
    drill. A text is empty if nothing else is needed.
    """
    if not inventories:
        return "", ""
    choice = inventories.choice(Scheduled("", services=(service,), uses=frozenset([service])), environment)
    if not choice.needs:
        return "", ""
    if choice.needs.endswith(f"the inventory {choice.inventory}"):
        return choice.inventory, ""
    return (DOCKER, "") if entries.find(drill).lab == DOCKER else ("", choice.needs)
