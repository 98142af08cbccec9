"""Finds the inventory with which a drill can run, or the software that must be installed before the run. Only the files of
the inventories are read, and the programs of this machine are looked up. No host is contacted, and no lab has to run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drillbook.errors import DrillbookError, InventoryError
from drillbook.inventory import merging
from drillbook.inventory.protection import DOCKER, DOCKER_LAB, LAB
from drillbook.plan.permitted import permits
from drillbook.project import estate
from drillbook.project.project import Project
from drillbook.project.schedules import Scheduled

PROGRAMS = "missing."
"""Beginning of the names of some values of a lab, such as ``missing.restic``. These values tell which software is missing on
this machine.
"""
OWN = "NAME"
"""Placeholder for the name of an inventory of the team, in a command for it."""
ROUTINE = "an inventory with a routine backup, which the lab has not"
"""Text about what a drill needs that restores backups which only a job of a team takes."""
PERMITTED = "an environment of this project in its `guard.environments`"
PLAIN = re.compile(r"[\w-]+")
"""Regular expression for names of environments that may also be the names of files."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Inventory for the next run of a drill, and what must be done before this run.

    ``needs``: text about something that the run needs and that is not usually there, such as ``the inventory docker`` or
    ``an installation of restic``. It is empty when nothing more is needed.
    """

    inventory: str
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """Fields of one inventory that decide whether it can run a drill."""

    name: str
    environment: str
    is_lab: bool
    services: frozenset[str] = frozenset()
    missing: Mapping[str, str] = field(default_factory=dict)
    """Software to install for services that this machine cannot run yet. The key of each entry is the name of the service."""
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Kind of each backup source, and the service whose data it contains, if the inventory names it. Keys are names of sources."""


@dataclass(frozen=True, slots=True)
class Inventories:
    """Inventories of a project. ``unread``: names of those that cannot be read."""

    default: str
    listed: tuple[Listed, ...]
    unread: tuple[str, ...] = ()

    def choice(self, scheduled: Scheduled, environment: str = "") -> Choice:
        """Choose the inventory with which the drill or suite ``scheduled`` can run in ``environment``. An empty
        ``environment`` means any environment.

        The first choice is an inventory that can run the drill now. The second choice is an inventory that can run the drill
        after an installation. If no inventory has an environment that the guard permits, the choice is an inventory to create
        or to correct; see ``_permitted``. In all other cases, the usual inventory is chosen.
        """
        names = [listed.name for listed in self.listed]
        usual = environment if environment in names else self.default
        fitting = [listed for listed in self.listed if _fits(listed, scheduled, environment)]
        fitting.sort(key=lambda listed: (listed.name != usual, listed.name != self.default, listed.is_lab, listed.name))
        able = [
            listed
            for listed in fitting
            if {*scheduled.services} <= listed.services and not {*scheduled.uses} & listed.missing.keys()
        ]
        if any(_is_own(listed, scheduled) for listed in able) and _needs_backup_job(scheduled):
            able = [listed for listed in able if not listed.is_lab]
        if able:
            other = able[0].is_lab and able[0].name != usual
            return Choice(able[0].name, f"the inventory {able[0].name}" if other else "")
        lacking = [text for listed in fitting[:1] for name, text in listed.missing.items() if name in scheduled.uses]
        if lacking:
            return Choice(fitting[0].name, f"an installation of {', '.join(dict.fromkeys(lacking))}")
        if not fitting and not environment and scheduled.environments is not None and (self.listed or self.unread):
            return self._permitted(scheduled, scheduled.environments)
        usual = fitting[0].name if fitting else usual  # the guard refuses any other
        return Choice(usual, _lacking(scheduled, fitting) if self.listed and not self.unread else "")

    def unmet(self, scheduled: Scheduled, environment: str = "") -> str:
        """Return a text about what the drill or suite ``scheduled`` needs, if each run in ``environment`` would fail without it.
        This is a routine backup for a drill of the catalogue that restores one, if only labs could run this drill: no lab has a
        job that takes backups. The text is empty for any other drill. An empty ``environment`` means any environment.
        """
        fitting = [listed for listed in self.listed if _fits(listed, scheduled, environment)]
        if self.unread or not any(listed.is_lab for listed in fitting) or not _needs_backup_job(scheduled):
            return ""
        return "" if any(_is_own(listed, scheduled) for listed in fitting) else ROUTINE

    def elsewhere(self, scheduled: Scheduled, environment: str) -> tuple[str, str] | None:
        """Return where the drill or suite ``scheduled`` can run, if the inventories of ``environment`` lack its services: the
        environment of another inventory, which is empty if there is none, and a text about what it needs. The result is None if
        ``environment`` has the services, if only software must be installed there, and if this is unknown.
        """
        wanted = {*scheduled.services}
        there = [listed for listed in self.listed if listed.environment == environment]
        if self.unread or not there or any(wanted <= listed.services - listed.missing.keys() for listed in there):
            return None
        others = [listed for listed in self.listed if listed.environment != environment and _fits(listed, scheduled, "")]
        able = [listed for listed in others if wanted <= listed.services]
        able.sort(key=lambda listed: (listed.is_lab, listed.name))
        if able:
            return able[0].environment, f"the inventory {able[0].name}"
        lacking = _lacking(scheduled, there)
        return ("", lacking) if lacking else None

    def _permitted(self, scheduled: Scheduled, environments: Sequence[str]) -> Choice:
        """Return the choice for a drill or suite that the guard refuses with each inventory that can be read: an inventory of
        its ``environments`` to create. An inventory that cannot be read may have such an environment, and is then to be
        corrected. Without ``environments``, no inventory helps, and the guard must be changed.
        """
        if not environments:
            drills = "an environment in which all its drills may run"
            return Choice(self.default, drills if scheduled.suite else "an environment in its `guard.environments`")
        if not self.unread and LAB in environments and not any(listed.is_lab for listed in self.listed):
            return self._without_lab([name for name in environments if name not in (LAB, DOCKER_LAB)])
        if not self.unread:
            return self._to_create(environments[0])
        name = next((name for name in environments if name in self.unread), "")
        files = ", ".join(f"inventory/{each}.yml" for each in ((name,) if name else self.unread))
        return Choice(name or "NAME", f"an inventory of {name or environments[0]} ({files} may be one, but cannot be read)")

    def _without_lab(self, environments: Sequence[str]) -> Choice:
        """Return the choice for a drill that may run in a lab, in a project without a lab. Either its guard is changed, or an
        inventory of another environment that it permits is created. ``environments``: the permitted ones without those of labs.
        """
        if not environments:
            return Choice(self.default or "NAME", PERMITTED)
        made = self._to_create(environments[0])
        return Choice(made.inventory, f"{made.needs}, or {PERMITTED}")

    def _to_create(self, environment: str) -> Choice:
        """Return an inventory of ``environment`` that does not exist yet. It has the name of the environment if it is free."""
        taken = environment in [listed.name for listed in self.listed]
        name = "NAME" if taken or not PLAIN.fullmatch(environment) else environment
        made = f"create inventory/{name}.yml with `environment: {environment}`"
        return Choice(name, f"an inventory of {environment} ({made})")


def read(project: Project) -> Inventories:
    """Read all inventories of ``project``. An inventory that cannot be read is left out."""
    listed, unread = [], []
    for path in sorted((project.root / "inventory").glob("*.yml")):
        try:
            listed.append(_read(path, project))
        except InventoryError:
            unread.append(path.stem)
    return Inventories(project.default_inventory(), tuple(listed), tuple(unread))


def _read(path: Path, project: Project) -> Listed:
    def value(name: str) -> str | int:
        try:
            return project.lab_value(name) if name.startswith(PROGRAMS) else 0
        except DrillbookError:
            return ""

    documents = merging.documents(path, value)
    fields, services = estate.merged(documents)
    missing = {
        str(name): str(service["missing"])
        for name, service in services.items()
        if isinstance(service, Mapping) and service.get("missing")
    }
    environment = fields.get("environment")
    return Listed(
        path.stem,
        environment if isinstance(environment, str) else "",
        bool(fields.get("lab")),
        frozenset(map(str, services)),
        missing,
        {
            str(name): (str(source.get("kind") or ""), str(source.get("service") or ""))
            for name, source in estate.section(documents, "backups").items()
            if isinstance(source, Mapping)
        },
    )


def _fits(listed: Listed, scheduled: Scheduled, environment: str) -> bool:
    if environment:
        return listed.environment == environment
    return bool(listed.environment) and (
        scheduled.environments is None
        or permits(scheduled.environments, listed.environment, DOCKER if listed.is_lab else "")
    )


def _lacking(scheduled: Scheduled, listed: Sequence[Listed]) -> str:
    """Return a text about an inventory with those services of ``scheduled`` that none of ``listed`` has. It is empty if there are
    none.
    """
    absent = [name for name in scheduled.services if not any(name in each.services for each in listed)]
    return f"an inventory with the service {' and '.join(absent)}" if absent else ""


def _is_own(listed: Listed, scheduled: Scheduled) -> bool:
    """Return True for an inventory of the team's own hosts, not of a lab, that has the services of ``scheduled``."""
    return not listed.is_lab and {*scheduled.services} <= listed.services


def _needs_backup_job(scheduled: Scheduled) -> bool:
    from drillbook.sdk import discovery  # noqa: PLC0415  keeps start-up fast

    return any(map(discovery.needs_backup_job, (scheduled.name, *scheduled.drills)))
