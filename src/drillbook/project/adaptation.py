"""Finds what must be adapted before a shipped drill can run in a project without a lab: names of services, hosts and contacts
that its inventory lacks, and an environment that the guard does not permit. Only the files of the inventories are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from drillbook.catalog import lab_names
from drillbook.catalog.entries import Entry
from drillbook.errors import InventoryError
from drillbook.inventory import merging
from drillbook.inventory.controller import CONTROLLER
from drillbook.language.lists import listed
from drillbook.plan.permitted import permits
from drillbook.project import needed_inventories
from drillbook.project.project import Project

LABS = {"lab", "docker"}
"""Names of the inventories of the labs."""
MOST_NAMES = 6
"""Largest number of names of one type that a text names. The others are counted."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Names that the inventory ``inventory`` lacks for a drill or suite. ``environment``: environment of the inventory, if the
    guard does not permit it, and otherwise empty.
    """

    inventory: str
    services: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    environment: str = ""

    @property
    def size(self) -> int:
        """Number of things to adapt."""
        return len(self.services) + len(self.hosts) + len(self.contacts) + bool(self.environment)

    def words(self, name: str) -> str:
        """Return the instruction to adapt the drill or suite ``name``. It is empty if nothing is to be adapted."""
        kinds = (
            _named(self.services, "service", "services"),
            _named(self.hosts, "host or group", "hosts or groups"),
            _named(self.contacts, "contact", "contacts"),
        )
        lacking = [text for text in kinds if text]
        names = " and ".join(filter(None, (", ".join(lacking[:-1]), *lacking[-1:])))
        parts = [f"inventory/{self.inventory}.yml lacks {names}"] if names else []
        parts += [f"`guard.environments` lacks {self.environment}"] if self.environment else []
        return f"adapt {name}, which was written for a lab: {'; '.join(parts)}" if parts else ""


def is_own(project: Project) -> bool:
    """Return True when ``project`` has inventories, and none of them is of a lab. An inventory of a lab is recognised by its
    name alone if it cannot be read.
    """
    known = needed_inventories.read(project)
    return bool(known.listed or known.unread) and not (any(each.is_lab for each in known.listed) or LABS & {*known.unread})


def of(entry: Entry, project: Project) -> Adaptation | None:
    """Return what must be adapted before ``entry`` can run in ``project``, for the inventory that lacks least. The result is
    None if no inventory can be read.
    """
    needed = lab_names.of(entry)
    usual = project.default_inventory()
    known = sorted(_lacking(needed, project), key=lambda each: (each.size, each.inventory != usual, each.inventory))
    return known[0] if known else None


def _lacking(needed: lab_names.LabNames, project: Project) -> Iterator[Adaptation]:
    for each in needed_inventories.read(project).listed:
        with suppress(InventoryError):
            documents = merging.documents(project.inventory_path(each.name), lambda _: 0)
            written = [document.value for document in documents if isinstance(document.value, dict)]
            hosts = {name for part in written for key in ("hosts", "groups") for name in part.get(key) or ()}
            contacts = {name for part in written for name in part.get("contacts") or ()}
            elsewhere = any(part.get("ansible") for part in written)  # its hosts are not looked up
            yield Adaptation(
                each.name,
                tuple(sorted(needed.services - each.services)),
                () if elsewhere else tuple(sorted(needed.hosts - hosts - {CONTROLLER})),
                tuple(sorted(needed.contacts - contacts)),
                "" if all(permits(guard, each.environment) for guard in needed.environments) else each.environment,
            )


def _named(names: tuple[str, ...], singular: str, plural: str) -> str:
    return f"the {singular if len(names) == 1 else plural} {listed(names, MOST_NAMES)}" if names else ""
