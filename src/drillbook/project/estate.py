"""Lists the services that the inventories of a project name, and the services in the newest plans of its runs. Of an
inventory, only its files are read. No secret is read, no host is contacted, and hosts from other sources, such as Ansible,
are not looked up. No lab needs to run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbook.errors import InventoryError, UsageError
from drillbook.inventory import merging
from drillbook.language.explaining import did_you_mean
from drillbook.language.strict import Document
from drillbook.project.newest_runs import Standings
from drillbook.project.project import Project

SECTIONS = ("services", "backups")
NO_ENVIRONMENT = (
    "the services have no environment: `environment` is missing or is not a text, and no readable inventory includes "
    "this file"
)


@dataclass(frozen=True, slots=True)
class Estate:
    """Services of all readable inventories of a project."""

    services: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """For each pair of environment and service: True when the service is exempt from drills (`not_drilled`)."""
    unread: tuple[str, ...] = ()
    """For each inventory whose services are unknown: its path, the position of the mistake if there is one, and the reason."""
    environments: frozenset[str] = frozenset()
    """Environments of all readable inventories, also of labs and of inventories without services."""


def read(project: Project) -> Estate:
    """Read the services of each file in ``inventory/``. A service is exempt from drills when all files of its environment
    exempt it.

    A file without an environment counts as part of the files that include it. If no file includes it, the environment of its
    services is unknown, and the file is listed in ``unread``. The services in the inventory of a lab are left out, because
    nobody depends on them. Only ``due.services`` adds services of a lab: those that a drill has used.
    """
    services: dict[tuple[str, str], bool] = {}
    unread, lost, included, environments = [], [], set[Path](), set[str]()
    for path in sorted((project.root / "inventory").glob("*.yml")):
        try:
            documents = merging.documents(path, lambda _: 0)
        except InventoryError as error:
            unread.append(f"{error.where or path}: {error.message}".removeprefix(f"{project.root}/"))
            continue
        included |= {Path(document.file).resolve() for document in documents[:-1]}
        fields, entries = merged(documents)
        environment = fields.get("environment")
        named = isinstance(environment, str) and bool(environment)
        environments |= {str(environment)} if named else set()
        if fields.get("lab") or not entries:
            continue
        if not named:
            lost.append(path)
            continue
        for name, fields in entries.items():
            key = str(environment), str(name)
            services[key] = services.get(key, True) and exempt(fields)
    unread += [f"inventory/{path.name}: {NO_ENVIRONMENT}" for path in lost if path.resolve() not in included]
    return Estate(services, tuple(unread), frozenset(environments))


def inventories_with(project: Project, service: str) -> list[str]:
    """Return the names of the inventories that have the service ``service``. Inventories that cannot be read are left out."""
    names = []
    for path in sorted((project.root / "inventory").glob("*.yml")):
        with suppress(InventoryError):
            fields, entries = merged(merging.documents(path, lambda _: 0))
            if service in entries and isinstance(fields.get("environment"), str):
                names.append(path.stem)
    return names


def kinds(project: Project) -> dict[str, str]:
    """Return the kind of each service, with the name of the service as the key. All readable inventories are searched,
    including those of labs.
    """
    kind_by_service: dict[str, str] = {}
    for path in sorted((project.root / "inventory").glob("*.yml")):
        with suppress(InventoryError):
            _, entries = merged(merging.documents(path, lambda _: 0))
            kind_by_service |= {
                str(name): str(fields.get("kind", "")) for name, fields in entries.items() if isinstance(fields, dict)
            }
    return kind_by_service


def merged(documents: Sequence[Document]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Merge an inventory with the files that it includes. Return its top-level fields, and its services by name."""
    fields: dict[str, Any] = {}
    for document in documents:
        fields |= document.value if isinstance(document.value, dict) else {}
    return fields, {name: entry for key in SECTIONS for name, entry in section(documents, key).items()}


def section(documents: Sequence[Document], key: str) -> dict[str, Any]:
    """Merge the section ``key`` of an inventory with the same section of the files that it includes. Return its entries by
    name.
    """
    entries: dict[str, Any] = {}
    for document in documents:
        part = document.value.get(key) if isinstance(document.value, dict) else None
        entries |= part if isinstance(part, dict) else {}
    return entries


def exempt(fields: object) -> bool:
    """Return True when the inventory exempts a service from drills. ``fields``: fields of the service."""
    return isinstance(fields, Mapping) and bool(fields.get("not_drilled"))


def planned(known: Standings) -> dict[tuple[str, str], bool]:
    """Return the services in the newest plan of each environment, each with True when it is exempt from drills."""
    last = {}
    for standing in sorted(known.values(), key=lambda standing: standing.last.run):
        if standing.last.service:  # a suite has no plan of its own
            last[standing.last.environment] = standing.last
    services: dict[tuple[str, str], bool] = {}
    for place, ended in last.items():
        inventory = ended.state.first_line.get("data", {}).get("plan", {}).get("inventory", {})
        written = inventory.get("services") or {}
        services |= {(place, name): exempt(fields) for name, fields in written.items()}
    return services


def needing_proof(
    inventories: Estate, known: Standings, retired: Collection[str], environment: str = ""
) -> list[tuple[str, str]]:
    """Return the services that need a proof of a restore, each with its environment. ``retired``: environments that no longer
    exist. ``environment``: the only environment to consider; an empty text means all."""
    written = {key: exempt for key, exempt in planned(known).items() if key[0] not in retired}
    needed = sorted({**written, **inventories.services}.items())
    return [key for key, exempt in needed if environment in ("", key[0]) and not exempt]


def check(environment: str, inventories: Estate, named: Collection[str]) -> None:
    """Raise UsageError when no inventory, no guard and no run names ``environment``. Without this error, nobody would notice
    a mistyped name, because an environment that does not exist has no overdue drills. ``named``: environments that a guard or
    a run names.

    An inventory that cannot be read may name the environment. In this case, no error is raised, and the exit status reports
    that the state is unknown.
    """
    names = sorted(inventories.environments.union(named))
    if environment and environment not in names and not inventories.unread:
        have = f"the environments are {', '.join(names)}" if names else "this project names no environment yet"
        raise UsageError(
            f"no inventory, guard or run names the environment {environment!r}",
            hint=f"{did_you_mean(environment, names)}{have}",
        )
