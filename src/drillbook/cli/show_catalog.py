"""Output of the task ``catalog``. It lists the shipped drills, suites, trees, rules and lab files, as lines or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from drillbook.catalog import entries
from drillbook.catalog.entries import Entry
from drillbook.cli import scaffold
from drillbook.cli.console import console, print_json
from drillbook.cli.earlier_durations import of_drills
from drillbook.errors import DrillbookError, UsageError
from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.journal.run_state import RunStates
from drillbook.project import newest_runs
from drillbook.project.project import Project
from drillbook.report.figures import lasted, seconds, took
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Prose

HEADS = {"suite": "Suites", "drill": "Drills", "tree": "Diagnosis trees", "rules": "Alert rules", "lab": "Lab files"}
"""Heading for each type of entry of the catalogue. The headings are printed in this order."""
ORDERS = (5, 10, 20, 40, 60, 120, 180, 300, 600, 1200, 1800, 3600)
"""Round numbers of seconds. A duration that was measured on another machine is only approximately right for this machine.
Therefore the catalogue shows the number in this list that is nearest to the duration.
"""
UNMEASURED = "not measured"
SOURCE = (
    "“last run”: duration of the newest passed run here; a suite that never passed shows the sum for its drills. "
    "“about”: approximate duration, measured on a running lab with 2 cores. "
    "A restore of your own data may take more or less time."
)


def catalog(kind: str, *, as_json: bool, faults: bool = False) -> int:
    """Print the entries of the catalogue for ``kind``. When ``kind`` is empty, print those of all kinds. ``faults``: print only
    entries that inject a fault. Raises UnknownName when there is no entry for ``kind``.
    """
    selected = entries.selected(kind, faults=faults)
    if as_json:
        print_json([asdict(entry) for entry in selected])
        return Exit.OK
    out, known = console(), last_runs()
    for sort, head in HEADS.items():
        if some := [entry for entry in selected if entry.sort == sort]:
            out.print(Text(head, style="bold"))
            width = max(len(entry.name) for entry in some)
            for entry in some:
                out.print(_whole(entry, known) if kind else _short(entry, width, known))
            out.print()
    kinds = sorted({name for entry in entries.entries() for name in entry.kinds})
    if not kind:
        out.print(Prose(Text(f"Kinds for --for: {', '.join(kinds)}."), 2))
    out.print(Prose(Text(SOURCE), 2))
    steps = [("see what the entries for one kind of service need", f"{program()} catalog --for KIND")] if not kind else []
    example = _to_copy(selected, kind) if kind else "NAME"
    steps += [("copy one into a project", f"{program()} init --with {example}")] if example else []
    if steps:
        out.print(shown_steps(steps))
    return Exit.OK


def _to_copy(selected: Sequence[Entry], kind: str) -> str:
    """Return the name of a drill or suite of ``selected`` that can be copied into this project, or an empty text.

    Drills of a service of ``kind`` come first, and drills come before suites. Diagnosis trees are never suggested, because
    every project has them. An entry is left out when the project already has a drill of this name. It is also left out when
    `init` would refuse to copy it, because the project has one of its files with other content.
    """
    try:
        project = Project.here()
    except DrillbookError:
        own, root = dict[str, Path](), None
    else:
        own, root = project.drill_names(), project.root
    lacking = [entry for entry in selected if entry.sort in ("drill", "suite") and entry.name not in own]
    ranked = sorted(lacking, key=lambda entry: (entry.subject != kind, entry.sort != "drill"))
    return next((entry.name for entry in ranked if root is None or _fits(root, entry)), "")


def _fits(root: Path, entry: Entry) -> bool:
    """Return True when the files of ``entry`` can be copied into the project in ``root``."""
    try:
        return bool(scaffold.free(root, names=[entry.name]))
    except UsageError:
        return False


def _whole(entry: Entry, known: Mapping[str, float]) -> RenderableType:
    """Return the name and the duration of an entry of the catalogue. The lines below them tell the purpose of the entry, and
    what the entry needs.
    """
    name = Text.assemble("  ", (entry.name, "bold"), (f"  {_takes(entry, known)}", "dim"))
    return Group(name, Prose(Text(entry.purpose), 6), Prose(Text(_needs(entry), style="dim"), 6))


def _short(entry: Entry, width: int, known: Mapping[str, float]) -> RenderableType:
    """Return the name and the purpose of an entry of the catalogue. The duration and the marks of the entry follow in
    parentheses. A mark tells that the entry injects a fault, or that it needs the Docker lab.
    """
    taken = _takes(entry, known)
    marks = [taken] if taken not in ("-", UNMEASURED) else []
    marks += ["breaks, then restores"] if entry.breaks else []
    marks += ["Docker lab"] if entry.lab == "docker" else []
    text = Text(entry.purpose).append(f" ({', '.join(marks)})" if marks else "", style="dim")
    return Prose(text, 2, label=Text(f"{entry.name:{width}}  ", style="bold"))


def _needs(entry: Entry) -> str:
    """Return a text with the services that ``entry`` needs, and its effect on them. A drill breaks only its main
    service, so the other services that it uses are listed separately.
    """
    place = f" ({entry.lab} lab)" if entry.lab == "docker" else ""
    if not entry.breaks:
        return f"{', '.join(entry.kinds)}{place}"
    others = ", ".join(kind for kind in entry.kinds if kind != entry.subject)
    uses = f"{'also ' if entry.subject else ''}uses: {others}" if others else ""
    return "; ".join(filter(None, [f"breaks, then restores: {entry.subject or 'services of its drills'}", uses])) + place


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
    duration_by_name: dict[str, float] = {}
    states = RunStates()
    for folder in sorted(folders, key=lambda folder: folder.name):
        ended = newest_runs.result(states.of(folder), states)
        if ended and ended.passed and (duration := lasted(ended.started, ended.finished)) is not None:
            duration_by_name[ended.name] = duration
    return duration_by_name


def _takes(entry: Entry, known: Mapping[str, float]) -> str:
    """Return a text with the duration of ``entry``, or ``-`` for an entry that runs on no lab. The text contains the first
    known of three durations: that of the newest passed run in this project, for a suite the sum of those of its passed
    drills, and the approximate duration on a lab. ``known``: see ``last_runs``.
    """
    if not entry.lab or entry.sort == "lab":
        return "-"
    if entry.name in known:
        return f"{took(known[entry.name])} last run"
    if sums := of_drills([known.get(drill) for drill in entry.drills]):
        return sums
    return UNMEASURED if entry.seconds is None else about(entry.seconds)


def about(measured: float) -> str:
    """Return a text with the approximate duration, such as ``about 1 min``. ``measured``: duration in seconds."""
    return f"about {seconds(min(ORDERS, key=lambda order: abs(math.log(max(measured, 1.0) / order))), 0)}"
