"""Finds the names of a lab's inventory that a shipped drill uses: services, hosts and contacts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drillbook.catalog import entries
from drillbook.catalog.entries import Entry


@dataclass(frozen=True, slots=True)
class LabNames:
    """Names that drills of the catalogue use. Each was chosen for the inventory of a lab.

    ``services``: services and backup sources. ``hosts``: hosts and groups. ``environments``: for each drill, the environments
    that its guard permits.
    """

    services: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    contacts: frozenset[str] = frozenset()
    environments: tuple[tuple[str, ...], ...] = ()


def of(entry: Entry) -> LabNames:
    """Return the names that ``entry`` uses. For a suite, these are the names of all its drills. Entries that cannot be run use
    none.
    """
    drills = [entries.find(name) for name in entry.drills] or ([entry] if entry.sort == "drill" else [])
    texts = [entries.content(drill.files[0]) for drill in drills]
    return LabNames(
        frozenset(name for drill, text in zip(drills, texts, strict=True) for name in entries.services_of(text, drill.lab)),
        frozenset(host for text in texts for host in _hosts(text) if "{{" not in host),
        frozenset(str(text["owner"]) for text in texts if text.get("owner")),
        tuple(tuple((text.get("guard") or {}).get("environments") or ("lab",)) for text in texts),
    )


def _hosts(value: Any) -> Iterator[str]:
    """Yield the values of all keys ``hosts`` in a part of a drill."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key == "hosts":
                yield from [part] if isinstance(part, str) else map(str, part)
            else:
                yield from _hosts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _hosts(part)
