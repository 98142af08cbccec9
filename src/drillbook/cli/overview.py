"""The lists that ``drill.list`` and ``report.list`` print. The list of ``drill.list`` shows drills with their due
dates, and the list of ``report.list`` shows runs.

They are fast even for hundreds of runs, because they read only a small part of each run: the name of its folder, the
start of the result, and the end of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.cli import finding_lines, open_runs, repetitions, reservation_marks, short_list
from drillbook.cli.columns import GAP, Column, cut, fitting, print_lines, width
from drillbook.cli.console import console, print_json
from drillbook.cli.short_list import WORDS, Entry
from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.journal import damaged
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunStates
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.plan.schedule import State
from drillbook.project import due, newest_runs, run_index, schedules
from drillbook.project.due_row import DueRow
from drillbook.project.newest_runs import Ended, Standing
from drillbook.project.project import Project
from drillbook.project.schedules import Scheduled
from drillbook.report import folders
from drillbook.report.figures import against, count, lasted, one_line, took
from drillbook.report.terminal.prose import Prose
from drillbook.values import Duration

MOST_RUNS = 30
LEAST_TITLE = 40
"""Smallest width, in columns of the terminal, of the titles in the list of drills. If all titles are shorter, the
width of the longest title is used instead."""
UNCOUNTED = "() = does not count: the run did not pass, or the objective was not verified"
"""Meaning of the parentheses around a figure in the list of runs."""
OPEN = "! = open findings of medium severity or higher, of a run that began and ended: the report names them"
"""Meaning of the mark after a verdict in the list of runs."""


def drills(project: Project, *, everything: bool = False, as_json: bool = False) -> int:
    """List drills and suites, each with its last run, its last passed run and its due date. They are in the order of
    `drill.due`: the most urgent come first, and drills that need something before they can run, such as another inventory,
    come last. Unless ``everything`` is true, a long table is shortened; JSON is always complete. After the drills, list
    runs that are in progress or need a recovery.
    """
    out = console()
    runs, states = list(project.runs()), RunStates()
    run_index.refresh(project, states)
    wanted = schedules.read(project)
    known = newest_runs.read([folder for folder in runs if not states.of(folder).lost], project, states)
    newest, rows = newest_runs.newest(known), due.in_order(project, wanted, known, datetime.now(UTC))
    due_rows = {row.drill: row for row in reversed(rows)}
    unsettled = open_runs.unsettled(_with_lost(runs, project))
    if as_json:
        listed = [_drill(schedule, newest.get(schedule.name), due_rows.get(schedule.name)) for schedule in wanted]
        print_json({"drills": listed, "open": [asdict(run) for run in unsettled]})
        return Exit.OK
    newest = open_runs.with_dead(newest, unsettled, states, project.reports)
    if wanted:
        places = {name: number for number, name in enumerate(reversed(due_rows))}
        ordered = sorted(wanted, key=lambda drill: (places.get(drill.name, len(places)), not drill.suite, drill.services))
        notes = _notes(project, ordered, newest)
        every = [
            _listed(each, newest.get(each.name), due_rows.get(each.name), notes.get(each.name, ""), out.width)
            for each in ordered
        ]
        entries, most = [line.entry for line in every], short_list.most_lines(out)
        shown, rest = short_list.short(every, entries, everything=everything, most=most)
        if shown:
            _print_drills(shown, out)
        short_list.print_rest(rest, "drill.list", out)
        reservation_marks.print_legend((line.marks for line in shown), out)
        out.print(Text(_summary(wanted, newest, due_rows), style="bold"))
    else:
        out.print(f"no drill in drills/; to see the drills to copy: {program()} catalog")
    open_runs.show(unsettled, out)
    return Exit.OK


def _summary(wanted: Sequence[Scheduled], newest: Mapping[str, Standing], due_rows: Mapping[str, DueRow]) -> str:
    """Return a line of numbers about the drills and suites: how many passed in their newest run, how many have an
    unfinished run, must run again, cannot be read, are due now, or have no schedule.
    """
    lasts = {each.name: newest[each.name].last for each in wanted if each.name in newest}
    passed, dead = ([last.verdict for last in lasts.values()].count(word) for word in (Verdict.PASSED, UNFINISHED))
    again = sum(bool(repetitions.again(each, lasts.get(each.name), due_rows.get(each.name))) for each in wanted)
    now = sum(each.name in due_rows and due_rows[each.name].is_due for each in wanted)
    bare = sum(not (each.every or each.planned_by or each.broken) for each in wanted)
    parts = [f"last run passed: {passed} of {count(len(wanted), 'drill or suite', 'drills and suites')}"]
    unread = sum(bool(each.broken or each.mistake) for each in wanted)
    parts += [f"{dead} unfinished"] if dead else []
    parts += [f"{again} {short_list.AGAIN}"] if again else []
    parts += [f"{unread} cannot be read"] if unread else []
    parts += [f"{now} due now: {program()} drill.due"] if now else []
    parts += [f"{bare} without a schedule (-)"] if bare else []
    return "; ".join(parts)


def _drill(wanted: Scheduled, standing: Standing | None, row: DueRow | None) -> dict[str, Any]:
    """Return the fields of one drill or suite, including its newest runs, for the JSON output."""
    last, passed = (standing.last, standing.passed) if standing else (None, None)
    return {
        "name": wanted.name,
        "title": wanted.title,
        "suite": wanted.suite,
        "services": list(wanted.services),
        "broken": wanted.broken or wanted.mistake,
        "last": last
        and {
            "run": last.run,
            "started": last.started,
            "verdict": last.verdict,
            "exit": last.exit,
            "findings": last.beside,
            "lost": last.lost,
            "marks": last.marks,
            "recovered": last.recovered,
        },
        "earlier_losses": [asdict(loss) for loss in standing.losses] if standing else [],
        "passed": passed and {"run": passed.run, "started": passed.started},
        "due": str(row.state) if row else "",
    }


def _with_lost(runs: Sequence[Path], project: Project) -> list[Path]:
    return sorted([*runs, *project.lost()], key=lambda folder: folder.name)


@dataclass(frozen=True, slots=True)
class Listed:
    """One drill or suite in the list. ``more``: further lines for a drill that needs attention, otherwise an empty text."""

    name: str
    service: str
    title: str
    last: Text
    verdict: Text
    due: Text
    more: Text
    entry: Entry
    marks: str = ""


def _notes(project: Project, wanted: Sequence[Scheduled], newest: Mapping[str, Standing]) -> dict[str, str]:
    if all(standing.last.verdict != Verdict.REFUSED for standing in newest.values()):
        return {}
    from drillbook.cli import permitted_inventory  # noqa: PLC0415  keeps start-up fast

    return permitted_inventory.notes(project, wanted, newest)


def _listed(wanted: Scheduled, standing: Standing | None, row: DueRow | None, note: str, room: int) -> Listed:
    last, passed = (standing.last, standing.passed) if standing else (None, None)
    marked = Text(
        f"{last.verdict}{_left(last)}" if last else "never run", style=WORDS.get(last.verdict, "") if last else "dim"
    )
    if last:
        reservation_marks.add(marked, last.marks, last.beside)
    told = finding_lines.below_drill(wanted.name, standing) if standing else []
    if why := wanted.broken or wanted.mistake:
        more = Text(f"✗ cannot be read: {one_line(why)}", style="bold red")
    else:
        older = f"last passed {day(passed.started)}" if passed and passed is not last else ""
        needs = f"needs {row.needs}" if row and row.state is State.NOT_HERE else ""
        facts, commands = (
            (last.recovered if last else "", older, needs),
            (*told, note or repetitions.again(wanted, last, row)),
        )
        more = Text(short_list.below(facts, commands, room - GAP), style="dim")
    return Listed(
        wanted.name + (" (suite)" if wanted.suite else ""),
        _services(wanted.services),
        one_line(wanted.title),
        Text(day(last.started) if last else "-"),
        marked,
        until(row, last.verdict if last else "") if row or not wanted.planned_by else Text(f"by {wanted.planned_by}", "dim"),
        more,
        short_list.of_drill(
            wanted,
            last,
            row,
            1 + short_list.height_of(more.plain, room - GAP),
            attention=bool(told),
            lossy=bool(standing and standing.lossy),
        ),
        last.marks if last else "",
    )


def _services(names: Sequence[str]) -> str:
    """Return the name of the service of a drill or suite. If there are several services, return their number."""
    return one_line(names[0]) if len(names) == 1 else count(len(names), "service") if names else "-"


def _print_drills(listed: Sequence[Listed], out: Console) -> None:
    """Print one line for each drill. Each title is shortened to the room that is left beside the other columns. If this room
    is narrower than ``LEAST_TITLE``, no titles are printed, and a last line tells where to read them.
    """
    least = min(LEAST_TITLE, max(Text(line.title).cell_len for line in listed))
    columns = _drill_columns(listed, out.width - least - GAP)
    room = out.width - width(columns) - GAP
    if room < least:
        columns = _drill_columns(listed, out.width, minutes=False)
    else:
        columns.insert(1, Column("title", 0, [Text(cut(line.title, room), style="dim") for line in listed]))
    print_lines(columns, out, [line.more for line in listed])
    if room < least:
        out.print(Text(f"titles need a wider terminal; a drill's title: {program()} drill.plan NAME", style="dim"))


def _drill_columns(listed: Sequence[Listed], room: int, *, minutes: bool = True) -> list[Column]:
    """Return the columns of the list of drills that fit into ``room``, a width on the terminal. The time of the last run is
    shown with hours and minutes. If the columns do not fit, and ``minutes`` is False, only the date is shown.
    """
    last = [line.last for line in listed]
    columns = [
        Column("drill", 0, [Text(line.name) for line in listed]),
        Column("service", 2, [Text(line.service) for line in listed]),
        Column("last run (UTC)", 0 if minutes else 1, last),
        Column("verdict", 0, [line.verdict for line in listed]),
        Column("due", 0, [line.due for line in listed]),
    ]
    if not minutes and width(columns) > room:
        columns[2] = Column("last run", 1, [Text(text.plain[:10]) for text in last])
    return fitting(columns, room)


def _left(ended: Ended) -> str:
    """Return a text to append to the verdict of a run that left changes. It is empty for any other run."""
    return "" if ended.exit != Exit.RESIDUE else " + residue, closed" if ended.settled else " + residue"


def until(row: DueRow | None, verdict: str = "") -> Text:
    """Return a text that tells how soon the drill or suite is due, or for how long it has been overdue. The text is
    ``-`` when ``row`` is None, or when the schedule is unknown. If the newest run is unfinished or did not end well, the text
    is the next step; see ``short_list.next_step``. ``verdict``: that of the newest run, by default the one in ``row``.

    The text is red if the drill or suite is overdue, and yellow if it is due. For a drill that has never passed, the text is
    also red, with two exceptions. If the drill never ran, or if its last run was aborted, the text is yellow.
    """
    verdict = verdict or (row.last_verdict if row else "")
    if step := short_list.next_step(verdict, row.state if row else None):
        return Text(step, style=WORDS[verdict])
    if row is None or row.state is State.UNKNOWN:
        return Text("-", style="dim")
    if row.state is State.NOT_HERE:
        return Text(row.state, style="dim")
    if row.state is State.NEVER:
        style = "bold red" if row.last_verdict not in ("", Verdict.ABORTED) else "yellow"
        return Text(f"now, every {span(float(Duration.parse(row.every)))}" if row.every else "now", style=style)
    if row.state is State.OVERDUE:
        return Text(f"overdue {span(row.overdue_s)}", style="bold red")
    seconds = row.until_due_s
    return Text(f"in {span(seconds)}") if seconds > 0 else Text("now", style="yellow")


def span(seconds: float) -> str:
    """Return a duration in its largest whole unit, such as ``3 d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def day(started: str) -> str:
    """Return the date, hour and minute of a time in UTC, for a table."""
    return started[:16].replace("T", " ")


def runs(project: Project, *, everything: bool = False, as_json: bool = False) -> int:
    """List runs with time, verdict and name, the newest first, and below a suite the runs of its drills: at most ``MOST_RUNS``
    runs and suites, unless ``everything`` is true. If a run is missing in ``index.html``, this page is written again."""
    out = console()
    states = RunStates()
    run_index.refresh(project, states)
    run_folders = _with_lost(list(project.runs()), project)
    tops = {folder if folder.parent == project.reports else folder.parent for folder in run_folders}
    listed = sorted(tops, key=lambda folder: folder.name, reverse=True)
    shown = listed if everything else listed[:MOST_RUNS]
    if as_json:
        print_json(
            [
                _run(folder, states)
                for top in shown
                for folder in (top, *(path for path in run_folders if path.parent == top))
            ]
        )
        return Exit.OK
    if not listed:
        out.print(f"no drill has run yet; to see the drills: {program()} drill.list")
        return Exit.OK
    inner = {top: [folder for folder in run_folders if folder.parent == top] for top in shown}
    _print_runs([(folder, folder is not top) for top in shown for folder in (top, *inner[top])], states, out)
    if len(listed) > len(shown):
        out.print(f"\n{count(len(listed) - len(shown), 'older run')}: {program()} report.list --all")
    return Exit.OK


def _run(folder: Path, states: RunStates) -> dict[str, Any]:
    """Return the fields of one run for the JSON output."""
    verdict = _verdict(folder, result := newest_runs.result(states.of(folder), states))
    own = result if result and verdict == result.verdict else None
    started = result.started if result else folders.begun(folder.name)
    row = {"run": folder.name, "started": started, "verdict": verdict, "exit": result.exit if result else None}
    row |= {"marks": own.marks if own else "", "lost": own.lost if own else ""}
    return row | {"seconds": lasted(result.started, result.ended) if result else None, "rto": _rto_fields(result)}


def _rto_fields(result: Ended | None) -> dict[str, Any] | None:
    """Return the measured RTO, its measurement error and its target for the JSON output. Returns None when no RTO was
    measured."""
    if result is None or result.rto is None:
        return None
    value, error, target = result.rto
    return {"seconds": value, "error": error, "target": target, "counts": result.rto_counts}


def _verdict(folder: Path, result: Ended | None) -> str:
    """Return the verdict of the run in ``folder``. If the run has no verdict, return its state, such as ``running``.
    ``result``: the result of the run, or None.
    """
    verdict = result.verdict if result else "unfinished"
    inside = [] if (folder / FILE).exists() else damaged.drills_in(folder)
    if inside and result is None:
        verdict = "running" if any(folders.alive(path) for path in inside) else "unfinished"
    elif not inside and damaged.lost(folder):
        verdict = "journal lost"
    elif (folder / FILE).exists() and folders.last_word(folder) is None:
        verdict = "running" if folders.alive(folder) else "unfinished"
    return verdict


def _print_runs(runs: Sequence[tuple[Path, bool]], states: RunStates, out: Console) -> None:
    """Print one line for each run. ``runs``: pairs of a run's folder, and True when this run belongs to a suite."""
    results = [newest_runs.result(states.of(folder), states) for folder, _ in runs]
    verdicts = [_verdict(folder, result) for (folder, _), result in zip(runs, results, strict=True)]
    begun = [
        result.started if result else folders.begun(folder.name) for (folder, _), result in zip(runs, results, strict=True)
    ]
    columns = fitting(
        [
            Column("begun (UTC)", 3, [Text(day(at) or "-") for at in begun]),
            Column("verdict", 0, [_shape(*pair) for pair in zip(verdicts, results, strict=True)]),
            Column("took", 2, [Text(_took(result)) for result in results]),
            Column("RTO", 1, [Text(_rto(result)) for result in results]),
            Column("run", 0, [_name(*run, verdict) for run, verdict in zip(runs, verdicts, strict=True)]),
        ],
        out.width,
    )
    print_lines(columns, out, name=len(columns) - 1)
    if any(result and result.rto and not result.rto_counts for result in results):
        out.print(Text(UNCOUNTED, style="dim"))
    if any(result and result.beside for result in results):
        out.print(Text(OPEN, style="dim"))
    reservation_marks.print_legend((result.marks for result in results if result), out)
    for line in finding_lines.below_runs(filter(None, results)):
        out.print(Prose(Text(line, style="yellow")))


def _shape(verdict: str, result: Ended | None) -> Text:
    shape = Text(verdict, style=WORDS.get(verdict, ""))
    if result and verdict not in ("journal lost", UNFINISHED):
        shape.append(_left(result), style="" if result.settled else "bold red")
        reservation_marks.add(shape, result.marks, result.beside)
    return shape


def _took(result: Ended | None) -> str:
    seconds = lasted(result.started, result.ended) if result else None
    return "-" if seconds is None else took(seconds)


def _rto(result: Ended | None) -> str:
    """Return the measured RTO with its measurement error. It is in parentheses if the run did not pass or did not verify the
    objective. The result is ``-`` for a suite, and for a run without an objective or without a measured RTO.
    """
    if result is None or result.rto is None:
        return "-"
    value, error, target = result.rto
    figure = against(value, error, target, latest=True)
    return figure if result.rto_counts else f"({figure})"


def _name(folder: Path, inner: bool, verdict: str) -> Text:
    text = Text("  " if inner else "")
    text.append(one_line(folder.name), style="bold red" if verdict in ("unfinished", "journal lost") else "")
    return text
