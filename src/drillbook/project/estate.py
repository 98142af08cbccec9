"""Lists the services that the inventories of a project name. Only the files are read: no secret, no host, no other source
of hosts, and no running lab.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.errors import InventoryError
from drillbook.inventory import merging
from drillbook.project.project import Project

SECTIONS = ("services", "backups")


@dataclass(frozen=True, slots=True)
class Estate:
    """Services of all readable inventories of a project."""

    services: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """For each pair of environment and service: True when the service is exempt from drills (`not_drilled`)."""
    unread: tuple[str, ...] = ()
    """For each inventory that cannot be read: its path, the position of the mistake, and the reason."""


def read(project: Project) -> Estate:
    """Read the services of each file in ``inventory/``.

    A file without an environment is left out, because it is only included by other files. The inventory of a lab is left
    out too, because a lab protects nothing: its services count once a drill has run there.
    """
    services: dict[tuple[str, str], bool] = {}
    unread = []
    for path in sorted((project.root / "inventory").glob("*.yml")):
        try:
            services |= _services(path)
        except InventoryError as error:
            unread.append(f"{error.where or path}: {error.message}".removeprefix(f"{project.root}/"))
    return Estate(services, tuple(unread))


def inventories_with(project: Project, service: str) -> list[str]:
    """Return the names of the inventories that have the service ``service``. Inventories that cannot be read are left out."""
    found = []
    for path in sorted((project.root / "inventory").glob("*.yml")):
        with suppress(InventoryError):
            merged, entries = _written(path)
            if service in entries and isinstance(merged.get("environment"), str):
                found.append(path.stem)
    return found


def _services(path: Path) -> dict[tuple[str, str], bool]:
    merged, entries = _written(path)
    environment = merged.get("environment")
    if not isinstance(environment, str) or merged.get("lab"):
        return {}
    return {(environment, str(name)): exempt(fields) for name, fields in entries.items()}


def _written(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of an inventory, and its services, both with the files that it includes."""
    merged: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    for document in merging.documents(path, lambda _: 0):
        written = document.value if isinstance(document.value, dict) else {}
        merged |= written
        for section in SECTIONS:
            part = written.get(section)
            entries |= part if isinstance(part, dict) else {}
    return merged, entries


def exempt(fields: object) -> bool:
    """Return True when the inventory exempts a service from drills. ``fields``: fields of the service."""
    return isinstance(fields, Mapping) and bool(fields.get("not_drilled"))
