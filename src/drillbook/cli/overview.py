"""Overviews: ``drill.list`` with due dates, and ``report.list`` with every run.

Fast with hundreds of runs: of each run, only its name, the start of its result and the end of its journal are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillbook.cli.console import console
from drillbook.journal import damaged
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState
from drillbook.project.project import Project
from drillbook.report import folders
from drillbook.report.figures import count, moment, one_line
from drillbook.values import Duration

WORDS = {
    "passed": "green",
    "failed": "red",
    "inconclusive": "yellow",
    "refused": "yellow",
    "aborted": "yellow",
    "not run here": "yellow",
    "unfinished": "bold red",
    "journal lost": "bold red",
    "running": "cyan",
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HEAD = 4096
"""Number of bytes at the start of a result file that are searched for the verdict."""
MOST_RUNS = 30
VERDICT = re.compile(rb'^ {2}"verdict": "([a-z ]+)",$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Fields of a drill's or suite's file that ``drill.list`` shows."""

    name: str
    title: str
    suite: bool
    every: Duration | None
    broken: str = ""
    """Reason why the file cannot be read; empty when it can."""


@dataclass(frozen=True, slots=True)
class Standing:
    """State of one drill or suite: its newest run, and its newest run that passed."""

    last: dict[str, Any] | None
    passed: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Open:
    """A run in progress, or one that still needs a recovery.

    ``state`` is ``running``, ``unfinished``, ``residue`` (changes were not undone), ``damaged`` (the journal is damaged),
    ``lost`` (the journal is missing), or ``gone`` (the lab no longer exists); ``said`` explains the state.
    """

    run: str
    state: str
    said: str


def drills(project: Project) -> int:
    """List drills and suites with last result, last pass and due date; then the runs in progress or in need of a recovery."""
    out = console()
    runs = list(project.runs())
    standings = _standings([folder for folder in runs if not damaged.lost(folder)], project)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("drill", overflow="fold")
    for column in ("last run (UTC)", "verdict", "due"):
        table.add_column(column, no_wrap=True)
    now = datetime.now(UTC)
    for name, path in project.drill_names().items():
        _row(table, _wanted(name, path), standings.get(name, Standing(None, None)), now)
    out.print(table)
    _print_open(_unsettled(_with_lost(runs, project)), out)
    return 0


def _with_lost(runs: Sequence[Path], project: Project) -> list[Path]:
    return sorted([*runs, *project.lost()], key=lambda folder: folder.name)


def _row(table: Table, wanted: Wanted, standing: Standing, now: datetime) -> None:
    last, passed = standing.last, standing.passed
    name = Text(wanted.name + (" (suite)" if wanted.suite else ""))
    if wanted.broken:
        name.append(f"\n✗ cannot be read: {one_line(wanted.broken)}", style="bold red")
    else:
        name.append(f"\n{one_line(wanted.title)}", style="dim")
    verdict = f"{last['verdict']}{_left(last)}" if last else "never run"
    shape = Text(verdict, style=WORDS.get(last["verdict"], "") if last else "dim")
    when = Text(_day(str(last["started"])) if last else "-")
    if passed and passed is not last:
        when.append(f"\n{_day(str(passed['started']))}", style="dim")
        shape.append("\nlast passed", style="dim")
    table.add_row(name, when, shape, _due(wanted.every, passed, now))


def _left(result: dict[str, Any]) -> str:
    """Text appended to the verdict of a run whose changes were not all undone; else empty."""
    return "" if result["exit"] != 5 else " + residue, closed" if result["settled"] else " + residue"


def _due(every: Duration | None, passed: dict[str, Any] | None, now: datetime) -> Text:
    """Text with the time until the drill or suite must pass again, or the time for which this has been overdue."""
    if every is None:
        return Text("-", style="dim")
    at = moment(str(passed["started"])) if passed else None
    if at is None:
        return Text(f"now: every {every}", style="bold red")
    due = at + timedelta(seconds=float(every))
    if due <= now:
        return Text(f"overdue {_span((now - due).total_seconds())}", style="bold red")
    return Text(f"in {_span((due - now).total_seconds())}")


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def _day(started: str) -> str:
    return started[:16].replace("T", " ")


def _wanted(name: str, path: Path) -> Wanted:
    """Read only the listed fields from the file of the drill or suite ``name``, so that the list stays fast."""
    title, suite, every = "", False, None
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith("title:"):
                title = line.removeprefix("title:").strip().strip("\"'")
            elif line.startswith("every:"):
                every = _duration(line.removeprefix("every:"))
            suite = suite or line.startswith("suite:")
    except OSError as error:
        return Wanted(name, title, suite, every, f"{path.name}: {error.strerror}")
    return Wanted(name, title, suite, every, _broken(text, path))


def _broken(text: str, path: Path) -> str:
    """Reason why ``text`` is not YAML with a title; empty when it is. Checks nothing else, so that the list stays fast."""
    try:
        for _ in yaml.parse(text, Loader=_LOADER):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        return f"{path.name}{where}: {error.problem}"
    except yaml.YAMLError as error:
        return f"{path.name}: {error}"
    return "" if re.search(r"^title:", text, re.MULTILINE) else f"{path.name}: the file has no title"


def _duration(text: str) -> Duration | None:
    try:
        return Duration.parse(text.partition(" #")[0].strip().strip("\"'"))
    except ValueError:
        return None  # `drill.plan` reports an invalid value


def _standings(runs: Sequence[Path], project: Project) -> dict[str, Standing]:
    """State of every drill and suite. Reads newest runs first, and older results only to find the last pass."""
    suites = {folder.parent for folder in runs if folder.parent != project.reports}
    found: dict[str, Standing] = {}
    for folder in sorted([*runs, *suites], key=lambda folder: folder.name, reverse=True):
        known = found.get(folders.drill_of(folder.name))
        if known and (known.passed or not _says_passed(folder)):
            continue
        result = _result(folder)
        if result is None:
            continue
        name = result["name"]
        known = found.get(name, Standing(None, None))
        good = result if result["verdict"] == "passed" and not result["exit"] else None
        found[name] = Standing(known.last or result, known.passed or good)
    return found


def _says_passed(folder: Path) -> bool:
    try:
        with (folder / "result.json").open("rb") as file:
            verdict = VERDICT.search(file.read(HEAD))
    except OSError:
        return False
    return verdict is None or verdict[1] == b"passed"


def _result(folder: Path) -> dict[str, Any] | None:
    """Read the result in ``folder``; None for a missing or damaged file (`invoke report RUN` writes it again)."""
    try:
        result = json.loads((folder / "result.json").read_bytes())
        return {
            "name": str(result.get("drill") or result["suite"]),
            "verdict": str(result["verdict"]),
            "started": str(result["started"]),
            "exit": result["exit"],
            "settled": bool(result.get("settled")),
        }
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _unsettled(runs: Sequence[Path]) -> list[Open]:
    """Runs that did not end, and runs whose changes were not all undone; newest first."""
    found = []
    for folder in reversed(runs):
        word = folders.last_word(folder)
        if word is None or word.get("residue"):
            found.append(_open(folder, ended=word is not None))
    return found


def _open(folder: Path, *, ended: bool) -> Open:
    state = RunState(folder)
    if state.alive:
        return Open(folder.name, "running", "still running")
    if not ended and state.lost:
        return Open(folder.name, "lost", state.lost)
    from drillbook.engine import lab_gone  # noqa: PLC0415  loads the plan's models; most projects have no such run

    if gone := lab_gone.lab_gone(folders.first_event(folder)):
        return Open(folder.name, "gone", gone)
    if state.damage:
        return Open(folder.name, "damaged", "for the steps of the manual cleanup")
    return Open(folder.name, "residue" if ended else "unfinished", "")


def _print_open(unsettled: Sequence[Open], out: Console) -> None:
    for one in unsettled:
        out.print()
        if one.state in ("unfinished", "residue"):
            what = "unfinished" if one.state == "unfinished" else "changes not undone"
            out.print(Text(f"✗ {what}: {one.run}", style="bold red"), soft_wrap=True)
            out.print(Text(f"  undo them: invoke drill.recover {one.run}"), soft_wrap=True)
        elif one.state == "damaged":
            out.print(Text(f"✗ unfinished, and its journal is damaged: {one.run}", style="bold red"), soft_wrap=True)
            out.print(Text(f"  {one.said}: invoke drill.recover {one.run}"), soft_wrap=True)
        elif one.state == "lost":
            out.print(Text(f"✗ journal lost: {one.run}", style="bold red"), soft_wrap=True)
            out.print(Padding(Text(f"{one.said}: invoke report.verify {one.run}"), (0, 0, 0, 2), expand=False))
        elif one.state == "gone":
            out.print(Text(f"- {one.run}"), soft_wrap=True)
            out.print(
                Padding(
                    Text(f"{one.said}. Nothing is left to undo; to record this: invoke drill.recover"),
                    (0, 0, 0, 2),
                    expand=False,
                )
            )
        else:
            out.print(Text(f"… running: {one.run}", style="cyan"), soft_wrap=True)
            out.print(Padding(Text(one.said), (0, 0, 0, 2), expand=False))


def runs(project: Project, *, everything: bool = False) -> int:
    """List runs, newest first: time, verdict, name; the drills of a suite follow the suite."""
    out = console()
    found = _with_lost(list(project.runs()), project)
    tops = {folder if folder.parent == project.reports else folder.parent for folder in found}
    listed = sorted(tops, key=lambda folder: folder.name, reverse=True)
    shown = listed if everything else listed[:MOST_RUNS]
    if not listed:
        out.print("no drill has run yet; to see the drills: invoke drill.list")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("begun (UTC)", "verdict", "run"):
        table.add_column(column, no_wrap=column != "run", overflow="fold")
    for top in shown:
        _run_row(table, top, inner=False)
        for folder in (folder for folder in found if folder.parent == top):
            _run_row(table, folder, inner=True)
    out.print(table)
    if len(listed) > len(shown):
        out.print(f"\n{count(len(listed) - len(shown), 'older run')}: invoke report.list --all")
    return 0


def _run_row(table: Table, folder: Path, *, inner: bool) -> None:
    result = _result(folder)
    verdict = result["verdict"] if result else "unfinished"
    inside = [] if inner or (folder / FILE).exists() else damaged.drills_in(folder)
    if inside and result is None:
        verdict = "running" if any(folders.alive(one) for one in inside) else "unfinished"
    elif not inside and damaged.lost(folder):
        verdict = "journal lost"
    elif (folder / FILE).exists() and folders.last_word(folder) is None:
        verdict = "running" if folders.alive(folder) else "unfinished"
    shape = Text(verdict, style=WORDS.get(verdict, ""))
    if result and verdict != "journal lost":
        shape.append(_left(result), style="" if result["settled"] else "bold red")
    started = result["started"] if result else folders.begun(folder.name)
    name = one_line(folder.name)
    text = Text("  " if inner else "")
    text.append(name, style="bold red" if verdict in ("unfinished", "journal lost") else "")
    table.add_row(Text(_day(started) or "-"), shape, text)
