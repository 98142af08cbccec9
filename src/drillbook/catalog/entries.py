"""Reads the entries of the catalogue from the shipped files. An entry has a purpose, kinds of services, a lab, a
duration, and files to copy.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import yaml

from drillbook.catalog import shipped_files
from drillbook.errors import UnknownName
from drillbook.language.strict import did_you_mean
from drillbook.sdk import discovery, rehearsal

DURATIONS = "durations.json"
"""Name of the file with the measured durations of lab runs. It contains the duration of each drill and suite, in
seconds. `invoke docs --results` rewrites it.
"""
TREES, RULES, LAB = "drills/diagnosis", "drills/handbook/rules", "lab"
DOCKER = "drills/docker"
"""Folder of the drills that only the Docker lab can run."""
DOCKER_LAB = "docker-lab"
_REFERENCE = re.compile(r"\bservices\.(\w+)")


class _Loader(yaml.SafeLoader):
    """YAML loader that reads every tagged value, such as ``!env NAME``, as None."""


_Loader.add_multi_constructor("!", lambda *_: None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the catalogue."""

    name: str
    sort: str
    """Type of this entry of the catalog: ``drill``, ``suite``, ``tree``, ``rules`` or ``lab``."""
    purpose: str
    breaks: bool
    """True when this entry of the catalog injects a fault."""
    kinds: tuple[str, ...]
    """Kinds of the services and backup sources that the entry uses, in alphabetical order."""
    subject: str
    """Kind of the drill's main service. It is empty for entries that are not drills."""
    lab: str
    """Lab on which the entry runs without changes: ``embedded`` or ``docker``. It is empty for entries that cannot be
    run.
    """
    seconds: float | None
    """Duration, in seconds, of the newest measured run of this catalog entry, in a lab that was already running. It is None
    when no run was measured.
    """
    files: tuple[str, ...]
    """Files that a project needs to use the entry. Each key is a path in the project, and each value is the path of the
    shipped file.
    """
    service: str = ""
    """Name of the service that a drill restores, in the inventory of its lab. It is empty for other entries, and for drills
    without a phase `restore`.
    """
    drills: tuple[str, ...] = ()
    """Names of the drills of a suite, in the order in which they run."""


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Return all entries in this order: suites, drills, trees, rules, lab files. Entries of one type are sorted by name."""
    drills = {path: content(path) for path in shipped_files.below("drills") if _is_drill(path)}
    single = {path: _drill(path, value) for path, value in drills.items() if "drill" in value}
    by_name = {entry.name: entry for entry in single.values()}
    suites = [_suite(path, value, by_name) for path, value in drills.items() if "suite" in value]
    listed = (*suites, *single.values(), *_trees())
    return (*sorted(listed, key=_order), *_others())


def selected(kind: str, *, faults: bool = False) -> tuple[Entry, ...]:
    """Return the entries that use services of ``kind``. Entries whose main service is of this kind come first. If
    ``kind`` is empty, return the entries of all kinds. ``faults``: return only those that inject a fault.

    Raises UnknownName when there is no such entry.
    """
    every = tuple(entry for entry in entries() if entry.breaks or not faults)
    if not kind:
        return every
    if fitting := [entry for entry in every if kind in entry.kinds]:
        return tuple(sorted(fitting, key=lambda entry: kind != entry.subject))
    known = sorted({other for entry in every for other in entry.kinds})
    raise UnknownName(
        f"the catalogue has no entry{' that injects a fault' if faults else ''} for {kind!r}",
        hint=f"{rehearsal.suggested(kind, known)}kinds: {', '.join(known)}",
    )


def breaking(kind: str) -> bool:
    """Return True when a drill of the catalogue injects a fault into a service of ``kind``."""
    return any(entry.breaks and entry.subject == kind for entry in entries())


def to_copy(kind: str, service: str = "", own: Container[str] = (), *, lab: bool = False, adapted: bool = False) -> str:
    """Return the name of the best shipped drill to copy for a service of ``kind``. The result is empty if there is none.

    Only drills that restore a service of this kind are considered. Each shipped drill was written for a service of a lab. A
    drill is preferred if this service has the name ``service``. A rehearsal is preferred to a drill that injects a fault.
    ``own``: names of the project's drills. If the best drill is already among them, the result is empty. ``lab``: True for a
    service of a lab. Drills of backups that no lab has are then left out. ``adapted``: True for a service for which any drill
    must be adapted. A drill that restores a routine backup is then preferred, because it needs the fewest changes.
    """
    drills = [entry for entry in entries() if entry.sort == "drill" and entry.subject == kind and entry.service]
    fitting = [entry for entry in drills if not (lab and discovery.needs_backup_job(entry.name))]
    if adapted:
        fitting = [entry for entry in fitting if discovery.restores_routine(entry.name)] or fitting
    best = sorted(fitting, key=lambda entry: (entry.service != service, entry.breaks, entry.lab != "embedded"))
    return best[0].name if best and best[0].name not in own else ""


def find(name: str) -> Entry:
    """Return the entry ``name``. Raises UnknownName when there is no such entry."""
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        raise UnknownName(
            f"the catalogue has no entry {name!r}",
            hint=f"{did_you_mean(name, known)}`invoke catalog` lists all",
        )
    return known[name]


def copies(names: Sequence[str]) -> dict[str, str]:
    """Return the contents of all files that the entries ``names`` need. Each key is the path of a file in a project.
    Raises UnknownName when one of the entries does not exist.
    """
    paths = dict.fromkeys(path for name in names for path in find(name).files)
    return {path: _with_schema(path) for path in paths}


def _with_schema(path: str) -> str:
    """Return the text of the shipped file ``path``, as it is written to a project. Drills and diagnosis trees get a first
    line that tells editors the path of their schema. Other files are unchanged.
    """
    text, parts = shipped_files.text(path), PurePosixPath(path).parts
    if parts[0] != "drills" or path.startswith(f"{RULES}/"):
        return text
    schema = "tree" if path.startswith(f"{TREES}/") else "drill"
    return f"# yaml-language-server: $schema={'../' * (len(parts) - 1)}.drillbook/{schema}.schema.json\n{text}"


def _order(entry: Entry) -> tuple[int, str]:
    return ("suite", "drill", "tree").index(entry.sort), entry.name


def _is_drill(path: str) -> bool:
    return path.endswith(".yml") and not path.startswith((f"{TREES}/", f"{RULES}/"))


def content(path: str) -> dict[str, Any]:
    """Return the content of a shipped file in YAML. It is empty if the file contains no mapping."""
    value = yaml.load(shipped_files.text(path), Loader=_Loader)  # noqa: S506  a SafeLoader
    return value if isinstance(value, dict) else {}


@functools.cache
def _durations() -> dict[str, float]:
    durations: dict[str, float] = json.loads(files("drillbook.catalog").joinpath(DURATIONS).read_text(encoding="utf-8"))
    return durations


def _drill(path: str, value: Mapping[str, Any]) -> Entry:
    docker = path.startswith(f"{DOCKER}/")
    lab = "docker" if docker else "embedded"
    services = _services(lab)
    files = [path]
    if value.get("diagnose"):
        files += shipped_files.below(TREES)
    files.append(f"inventory/{'docker' if docker else 'lab'}.yml")
    return Entry(
        name=str(value["drill"]),
        sort="drill",
        purpose=str(value["title"]),
        breaks=bool(value.get("inject")),
        kinds=tuple(sorted({services[name] for name in services_of(value, lab)})),
        subject=services.get(str(value.get("service")), ""),
        lab=lab,
        seconds=_durations().get(str(value["drill"])),
        files=tuple(files),
        service=str(value.get("service", "")) if value.get("restore") else "",
    )


def _suite(path: str, value: Mapping[str, Any], drills: Mapping[str, Entry]) -> Entry:
    members = [drills[name] for name in value["drills"]]
    docker = path.startswith(f"{DOCKER}/") or any(entry.lab == "docker" for entry in members)
    inventory = ["inventory/docker.yml"] if docker else []
    return Entry(
        name=str(value["suite"]),
        sort="suite",
        purpose=str(value["title"]),
        breaks=any(entry.breaks for entry in members),
        kinds=tuple(sorted({kind for entry in members for kind in entry.kinds})),
        subject="",
        lab="docker" if docker else "embedded",
        seconds=_durations().get(str(value["suite"])),
        files=tuple(dict.fromkeys([path, *(file for entry in members for file in entry.files), *inventory])),
        drills=tuple(entry.name for entry in members),
    )


def _trees() -> Iterator[Entry]:
    for path in shipped_files.below(TREES):
        value = content(path)
        kinds = value.get("kind", value.get("kinds", ()))
        known = (kinds,) if isinstance(kinds, str) else tuple(sorted(kinds))
        yield Entry(str(value["tree"]), "tree", str(value.get("title", "")), False, known, "", "", None, (path,))


def _others() -> Iterator[Entry]:
    rules = "Prometheus alert rules of the handbook, with tests for promtool"
    yield Entry("handbook-rules", "rules", rules, False, ("prometheus",), "", "", None, tuple(shipped_files.below(RULES)))
    lab = "Compose file, Dockerfile and settings of the Docker lab, as copies that you can change"
    paths = (*shipped_files.below(LAB), "inventory/docker.yml")
    yield Entry(DOCKER_LAB, "lab", lab, False, ("container",), "", "docker", None, paths)


@functools.cache
def _services(lab: str) -> dict[str, str]:
    """Return the kind of each service and backup source of a lab. Each key is its name."""
    known = content(f"inventory/{'docker' if lab == 'docker' else 'lab'}.yml")
    described = {**(known.get("services") or {}), **(known.get("backups") or {})}
    return {name: str(fields["kind"]) for name, fields in described.items()}


def services_of(drill: Mapping[str, Any], lab: str) -> set[str]:
    """Return the services and backup sources of ``lab`` whose names occur in the texts of ``drill``. A name may occur by
    chance, so the result may contain a service that the drill does not use.
    """
    texts = list(_texts(drill))
    words = set(texts) | {name for text in texts for name in _REFERENCE.findall(text)}
    return words & _services(lab).keys()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
