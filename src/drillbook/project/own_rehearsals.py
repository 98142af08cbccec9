"""Finds drills of a project that restore the backup of a service, but are not drills of this service: the key `service` of such
a drill names the backup source. Only files are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drillbook.project.needed_inventories import Inventories
from drillbook.project.recorded_schedules import may_run
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import one_line
from drillbook.sdk import rehearsal


@dataclass(frozen=True, slots=True)
class OwnRehearsal:
    """Drill that restores the backup source ``source``. ``named``: True if the inventory says that the source contains the data
    of the service. Otherwise this is only possible.
    """

    drill: str
    source: str
    named: bool

    def words(self, service: str) -> str:
        """Return what to write into which file, so that the drill counts for ``service``."""
        name, source, drill = map(one_line, (service, self.source, self.drill))
        lead = (
            f"{drill} restores its backup {source}" if self.named else f"if {source}, which {drill} restores, is its backup"
        )
        own = f"`not_drilled: rehearsed with {name}`"
        entry = own if self.named else f"`service: {name}` and {own}"
        change = f"write `service: {name}` (so far {source}) into the drill {drill}, and {entry} into backups.{source}"
        return f"{lead}: {change}; its next run then counts"


def changes(
    services: Sequence[str],
    kinds: Mapping[str, str],
    environment: str,
    drills: Sequence[Scheduled],
    inventories: Inventories | None,
) -> dict[str, str]:
    """Return a text for each of ``services`` whose backup is restored by a drill of the project: what to write so that this drill
    counts for the service. Each key is the name of the service. ``kinds``: kind of each service, by its name.
    """
    rehearsals = {name: of(name, kinds.get(name, ""), environment, drills, inventories) for name in services}
    return {name: own.words(name) for name, own in rehearsals.items() if own}


def of(
    service: str, kind: str, environment: str, drills: Sequence[Scheduled], inventories: Inventories | None
) -> OwnRehearsal | None:
    """Return a drill that restores a backup of ``service`` in ``environment``, or None if there is none. A source of which the
    inventory says that it contains the data of this service is preferred. Of the others, only sources that suit ``kind`` and
    contain the data of no other service are considered. ``drills``: drills and suites of the project.
    """
    rehearsals = []
    for listed in inventories.listed if inventories else ():
        for source, (sort, owner) in listed.sources.items() if listed.environment == environment else ():
            drill = next((each for each in drills if _rehearses(each, source, environment)), None)
            if drill and (owner == service or (not owner and kind in _services_of(sort))):
                rehearsals.append(OwnRehearsal(drill.name, source, owner == service))
    return min(rehearsals, key=lambda each: not each.named, default=None)


def _rehearses(drill: Scheduled, source: str, environment: str) -> bool:
    usable = not (drill.suite or drill.broken or drill.mistake)
    return usable and drill.restores and source in drill.services and may_run(drill, environment)


def _services_of(source: str) -> set[str]:
    """Return the kinds of services whose backups are of the kind ``source``."""
    return {template.service for template in map(rehearsal.of, rehearsal.names()) if template.source == source}
