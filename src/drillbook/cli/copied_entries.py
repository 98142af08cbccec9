"""Entries of the catalogue that `init` copies into a project: their files, the next commands, and what must be adapted first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from drillbook.catalog import entries
from drillbook.catalog.entries import Entry
from drillbook.project import adaptation, needed_inventories, schedules
from drillbook.project.adaptation import Adaptation
from drillbook.project.project import Project
from drillbook.report import open_findings
from drillbook.sdk import discovery

LABS = tuple(f"inventory/{name}.yml" for name in sorted(adaptation.LABS))
"""Paths of the inventories of labs. A drill of the catalogue is copied together with that of its lab."""


def contents(folder: Path, names: Sequence[str], *, own: bool) -> dict[str, str]:
    """Return the contents of the files of the entries ``names``, with their paths as keys. Raises UnknownName for an unknown
    entry.

    A project with inventories of its own and without a lab gets no inventory of a lab with a drill or suite, because other
    commands would then use the lab. An entry that is a lab itself is copied completely. ``own``: True for a new project that
    gets an inventory of its own, and no lab.
    """
    text_by_path = entries.copies(names)
    if not own and not adaptation.is_own(Project(folder)):
        return text_by_path
    labs = entries.copies([name for name in names if entries.find(name).sort == "lab"])
    return {path: text for path, text in text_by_path.items() if path not in LABS or path in labs}


def adapted(folder: Path, names: Sequence[str]) -> dict[str, Adaptation]:
    """Return what must be adapted before each of the entries ``names`` can run in the project in ``folder``. The key is the name
    of the entry. The result is empty if the project has a lab.
    """
    project = Project(folder)
    if not names or not adaptation.is_own(project):
        return {}
    runs = [entry for entry in map(entries.find, names) if entry.sort in ("drill", "suite")]
    return {entry.name: told for entry in runs if (told := adaptation.of(entry, project))}


def to_adapt(known: Mapping[str, Adaptation]) -> list[str]:
    """Return an instruction for each drill and suite that must be adapted."""
    return [text for name, told in known.items() if (text := told.words(name))]


def of_jobs(folder: Path, names: Sequence[str]) -> list[str]:
    """Return a line about copied drills that restore the backups of a team's own job, if the project in ``folder`` has no
    inventory for them but that of a lab. They cannot pass there."""
    asked = [name for name in names if discovery.needs_backup_job(name)]
    if not asked:
        return []
    project = Project(folder)
    inventories = needed_inventories.read(project)
    drills = [each.name for each in schedules.read(project) if each.name in asked and inventories.unmet(each)]
    verb = "needs" if len(drills) == 1 else "need"
    return (
        [f"{open_findings.named(drills)} {verb} an inventory of your own: the lab keeps no such backups"] if drills else []
    )


def commands(names: Sequence[str], adapted: Mapping[str, Adaptation]) -> list[tuple[str, str]]:
    """Return the next commands to suggest after the entries ``names`` of the catalogue were copied. Each command comes with
    its purpose. ``adapted``: see ``adapted``.
    """
    runs = [entry for entry in map(entries.find, names) if entry.sort in ("drill", "suite")]
    return [(f"drill.plan {entry.name}{_option(entry, adapted)}", f"see what {entry.name} would do") for entry in runs]


def _option(entry: Entry, adapted: Mapping[str, Adaptation]) -> str:
    """Return the option that selects the inventory for ``entry``. It is empty for the inventory `lab`."""
    if told := adapted.get(entry.name):
        return f" --inventory {shlex.quote(told.inventory)}"
    return " --inventory docker" * (entry.lab == "docker")
