"""Output of the task ``catalog``. It lists the shipped drills, suites, trees, rules and lab files, as a table or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from drillbook.catalog import entries
from drillbook.catalog.entries import Entry
from drillbook.cli.console import console
from drillbook.cli.tables import print_json
from drillbook.errors import DrillbookError
from drillbook.installation.program_name import program
from drillbook.project import standings
from drillbook.project.project import Project
from drillbook.report.figures import lasted, seconds, took

ORDERS = (5, 10, 20, 40, 60, 120, 180, 300, 600, 1200, 1800, 3600)
"""Durations, in seconds, to which the duration of a run on another machine is rounded, because only its order of size holds."""
SOURCE = (
    "“last run”: the newest run here that passed. “about”: the order of size, measured on a running lab with 2 cores. A restore of "
    "your own data may take longer or shorter."
)


def catalog(kind: str, *, as_json: bool) -> int:
    """Print the entries of the catalogue for ``kind``. When ``kind`` is empty, print all entries. Raises UnknownName
    when there is no entry for ``kind``.
    """
    found = entries.selected(kind)
    if as_json:
        print_json([asdict(entry) for entry in found])
        return 0
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    words = {"entry": [_name(entry) for entry in found], "needs": [word for e in found for word in _needs(e).split()]}
    for column in ("entry", "needs", "takes"):
        longest = max(map(len, words.get(column, [""])), default=0)
        table.add_column(column, overflow="fold", no_wrap=column == "takes", min_width=longest)
    known = last_runs()
    for entry in found:
        name = Text(_name(entry))
        name.append(f"\n{entry.purpose}", style="dim")
        table.add_row(name, Text(_needs(entry)), Text(_takes(entry, known)))
    out.print(table)
    out.print(Text(f"\nNext: {program()} init --with {found[0].name}   copies it into a project"), soft_wrap=True)
    out.print(Text(SOURCE))
    return 0


def _name(entry: Entry) -> str:
    return entry.name if entry.sort in ("drill", "rules", "lab") else f"{entry.name} ({entry.sort})"


def _needs(entry: Entry) -> str:
    """Return the services that ``entry`` needs, and its effect on these services."""
    effect = "breaks, then restores: " if entry.breaks else ""
    place = f" ({entry.lab} lab)" if entry.lab == "docker" else ""
    return f"{effect}{', '.join(entry.kinds)}{place}"


def last_runs() -> dict[str, float]:
    """Return the duration of the newest passed run of each drill and suite of this project, in seconds.

    The result is empty outside a project.
    """
    try:
        project = Project.here()
        runs = list(project.runs())
    except DrillbookError:
        return {}
    folders = {*runs, *(run.parent for run in runs if run.parent != project.reports)}
    found: dict[str, float] = {}
    for folder in sorted(folders, key=lambda folder: folder.name):
        ended = standings.result(folder)
        if ended and ended.passed and (duration := lasted(ended.started, ended.finished)) is not None:
            found[ended.name] = duration
    return found


def _takes(entry: Entry, known: Mapping[str, float]) -> str:
    """Return the duration of the newest passed run of this project, or the order of size of ``entry`` on a lab."""
    if not entry.lab or entry.sort == "lab":
        return "-"
    if entry.name in known:
        return f"{took(known[entry.name])} last run"
    return "not measured" if entry.seconds is None else about(entry.seconds)


def about(measured: float) -> str:
    """Return the order of size of a duration, such as ``about 1 min``."""
    return f"about {seconds(min(ORDERS, key=lambda order: abs(math.log(max(measured, 1.0) / order))), 0)}"
