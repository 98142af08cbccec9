"""The work of ``drill.due``. It lists the drills that are due, overdue, or have never passed, as a table or as JSON.
Monitoring can use the exit status of this task.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Container, Sequence
from dataclasses import asdict
from datetime import datetime
from math import ceil

from rich.console import Console
from rich.text import Text

from drillbook.cli import open_runs, reservation_marks, short_list, undrilled_services
from drillbook.cli.columns import Column, fitting, print_lines
from drillbook.cli.console import console, stdout
from drillbook.cli.overview import WORDS, day, until
from drillbook.installation.program_name import program
from drillbook.journal.run_state import RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import listed
from drillbook.plan.schedule import State
from drillbook.project import due, estate, schedule_record
from drillbook.project.due import Due, DueRow
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line
from drillbook.report.next_steps import run_again
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Prose
from drillbook.report.wording import badness

MOST_UNSCHEDULED = 3
"""Largest number of drills without a schedule that the short list names. Further drills are only counted."""
Steps = Sequence[tuple[str, str]]
"""Suggested commands. Each entry is a pair: the description of the command, and the command."""
STYLES = {
    State.OVERDUE: "bold red",
    State.NEVER: "bold red",
    State.UNKNOWN: "bold red",
    State.DUE: "yellow",
    State.OK: "green",
}


def show(
    project: Project,
    *,
    environment: str = "",
    everything: bool = False,
    as_json: bool = False,
    now: datetime | None = None,
    dry: bool = False,
) -> int:
    """Print which drills, suites and proofs of services are due, overdue or missing. ``now``: time at which the states are
    determined; by default, the present time. Unless ``everything`` is true, a long table is shortened; JSON is always
    complete. Unless ``dry`` is true, changed schedules are first noted in ``schedule.jsonl``.

    Raises UsageError when nothing in the project names ``environment``.

    Returns 1 when a drill, suite or service is overdue or has never passed, or when nothing has a schedule. If none of this is
    true, returns 3 when a schedule or an inventory cannot be read, or when the record of schedules is damaged. Returns 0 when
    all is well.
    """
    runs = RunStates()
    # first, so that no journal is read twice
    recover = [] if as_json else open_runs.to_recover(project, runs, noting=not dry)
    unsettled = open_runs.unsettled(list(project.runs())) if as_json else []
    states = due.read(project, now, environment, noting=not dry, runs=runs)
    if as_json:
        told = states.as_data() | {"open": [asdict(run) for run in unsettled]}
        stdout().write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(states, console(), project, everything=everything, recover=recover)
    return states.status


def _print(
    states: Due, out: Console, project: Project | None = None, *, everything: bool = False, recover: Steps = ()
) -> None:
    """Print the rows, the most urgent first, and then the summary. If ``project`` is given, and something is overdue or has
    never passed, suggest commands to the user before the summary. Unless ``everything`` is true, a long table is shortened,
    so that the whole output fits on a small terminal. ``recover``: commands for unfinished runs. They are suggested first.
    """
    rows = [row for row in states.rows if not undrilled_services.is_undrilled(row)]
    with out.capture() as below:
        _print_below(states, out, project, recover, everything=everything)
    for most in range(short_list.MOST_LINES, short_list.LEAST_LINES - 1, -1):
        shown, rest = short_list.short(rows, _entries(rows, out.width), everything=everything, most=most)
        with out.capture() as above:
            _print_tables(shown, out)
            short_list.print_rest(rest, "drill.due", out, _soonest(rows) if any(entry.fine for entry in rest) else "")
            if shown and any(column.head == "last run" for column in _fitting(shown, out.width)):
                reservation_marks.print_legend((row.last_marks for row in shown), out)
        text = above.get() + below.get()
        if everything or text.count("\n") < short_list.TERMINAL:
            break
    out.file.write(text)


def _print_below(states: Due, out: Console, project: Project | None, recover: Steps, *, everything: bool) -> None:
    """Print everything below the table: services without a drill, problems, a note about an incomplete ``schedule.jsonl``,
    drills without a schedule, the next steps and the summary.
    """
    if text := undrilled_services.advice(states.rows, project, everything=everything):
        out.print(Prose(Text(text), 2))
    for row in states.rows:
        if row.why:
            out.print(Prose(Text(f"✗ {row.drill}: {one_line(row.why)}", style="bold red"), 2))
    for line in [*states.unread, *([_unsure(states.record)] if states.record else [])]:
        out.print(Prose(Text(f"✗ {one_line(line)}", style="bold red"), 2))
    if not states.scheduled:
        out.print(Prose(Text(_without_schedule(states), style="bold red"), 2))
    if states.torn:
        out.print(Prose(Text(f"! {one_line(states.torn)}", style="yellow"), 2))
    if states.unscheduled:
        names = listed(states.unscheduled, len(states.unscheduled) if everything else MOST_UNSCHEDULED)
        out.print(Prose(Text(f"without a schedule (`every`): {names}", style="dim")))
    if project is not None and (steps := [*_next(states.rows, project, recover), *_gone(states.rows, project)]):
        out.print(shown_steps(steps))
        out.print()
    out.print(Text(summary(states), style=_summary_style(states)))


def _entries(rows: Sequence[DueRow], width: int) -> list[short_list.Entry]:
    """Return an entry for each row: its urgency, and its number of lines in a table of ``width`` columns of the terminal."""
    if not rows:
        return []
    shown = {column.head for column in _fitting(rows, width)}
    return [
        short_list.Entry(due.URGENCY[row.state], row.state, 1 + ceil(len(_more(row, shown)) / width), row.state is State.OK)
        for row in rows
    ]


def _soonest(rows: Sequence[DueRow]) -> str:
    """Find the row that is due first among the rows with the state ``ok``. Return a text with the name of its drill or
    suite, and the time until it is due.
    """
    row = min((row for row in rows if row.state is State.OK), key=lambda row: row.until_due_s)
    return f"first due: {_drill(row).plain} {until(row).plain}"


def _print_tables(rows: Sequence[DueRow], out: Console) -> None:
    """Print the rows, the most urgent first. Drills that cannot run with the usual inventory on this machine follow in a second
    table."""
    elsewhere = [row for row in rows if row.is_elsewhere]
    here = [row for row in rows if not row.is_elsewhere]
    if here:
        _print_rows(here, out)
    if elsewhere:
        if here:
            out.print()
        out.print(Text("drills that need another inventory, or a service that is not installed:", style="bold"))
        _print_rows(elsewhere, out)


def _without_schedule(states: Due) -> str:
    """Return the line about a project in which nothing can become overdue, with the next step."""
    if not states.unscheduled:
        return f"✗ this project has no drill, so nothing would warn: `{program()} catalog` shows drills to copy"
    return (
        "✗ no drill or suite has a schedule, so nothing would warn: write `every: 7d` into one of their files "
        "(see `Schedules and alarms` in the documentation)"
    )


def _unsure(damage: str) -> str:
    step = "make the file readable for the owner of the folder reports"
    if damage.startswith(f"{schedule_record.FILE}:"):
        step = f"move the file elsewhere and keep it, then repeat earlier retirements with `{program()} schedule.retire`"
    unknown = "earlier schedules and retirements may be unknown"
    return f"{damage}; so {unknown}: {step} (see `Schedules and alarms` in the documentation)"


def _next(rows: Sequence[DueRow], project: Project, recover: Steps = ()) -> list[tuple[str, str]]:
    """Return the commands to suggest to the user, each with a description. The result is empty if no drill or suite is
    urgent and no run is unfinished.

    The commands are about the drill or suite that ``_most_urgent`` returns. If its last run did not pass, the first command
    opens the report of this run, and the second command runs the drill again.

    ``recover``: commands for unfinished runs. They come before all other commands. If there are any, and the last run of
    the drill was refused, the report of the refused run is not suggested, because this report only names the unfinished
    runs.
    """
    row = _most_urgent(rows)
    if row is None:
        return [*recover]
    if recover:
        refused = row.last_verdict == Verdict.REFUSED and not row.needs
        return [*recover, *([("then run it again", _again(row))] if refused else _next(rows, project, ()))]
    if not project.inventory_names():
        return [("this project has no inventory, so first make an inventory", f"{program()} init FOLDER")]
    if row.needs:
        return [(f"{row.drill} {_needed(row)}", _again(row))]
    if not _unsuccessful(row):
        return [(_first(row), _again(row))]
    return [
        (f"read why {row.drill} {_ended(row.last_verdict)}", _open(row, project)),
        ("then run it again", _again(row)),
    ]


def _most_urgent(rows: Sequence[DueRow]) -> DueRow | None:
    """Return the drill or suite that most needs attention, or None if none needs attention.

    A drill or suite is a candidate if it is overdue, if it has never passed, or if it is due because its last run did not
    pass. A candidate is repeatable if its last run did not pass, and nothing is needed before it can run again. Normally the
    first candidate in ``rows`` is returned. But if the first candidate is repeatable, the repeatable candidate with the worst
    verdict is returned. For example, `failed` is worse than `aborted`.
    """
    asked = (State.OVERDUE, State.NEVER)
    urgent = [row for row in rows if row.drill and (row.state in asked or (_unsuccessful(row) and row.state is State.DUE))]
    if not urgent or urgent[0].needs or not _unsuccessful(urgent[0]):
        return urgent[0] if urgent else None
    return max((row for row in urgent if _unsuccessful(row) and not row.needs), key=lambda row: badness(row.last_verdict))


def _unsuccessful(row: DueRow) -> bool:
    return row.last_verdict not in ("", Verdict.PASSED)


def _again(row: DueRow) -> str:
    return run_again(program(), row.drill, row.inventory)


def _first(row: DueRow) -> str:
    """Describe the command that is suggested for ``row``, such as "run the drill that is overdue longest".

    ``row``: the most urgent drill or suite.
    """
    kind = "suite" if row.suite else "drill"
    if row.state is State.OVERDUE:
        return f"run the {kind} that is overdue longest"
    return f"run a {kind} that {'restores data and ' if row.restores else ''}has never passed"


def _needed(row: DueRow) -> str:
    return f"needs {one_line(row.needs)}" + (", then" if not row.needs.endswith(f" {row.inventory}") else "")


def _ended(verdict: str) -> str:
    return (
        f"was {verdict}" if verdict in (Verdict.NOT_RUN, Verdict.REFUSED, Verdict.ABORTED, Verdict.INCONCLUSIVE) else verdict
    )


def _gone(rows: Sequence[DueRow], project: Project) -> list[tuple[str, str]]:
    """Return the command that retires an environment, with a description. It is suggested for an environment that no
    inventory of the project names any more, if a drill or service in this environment is overdue or has never passed.
    Without such an environment, the result is empty.
    """
    places = {row.environment for row in rows if row.environment and row.state in (State.OVERDUE, State.NEVER)}
    known = estate.read(project).environments if places else frozenset()
    options = (
        f"{program()} schedule.retire --environment {shlex.quote(place)} --reason TEXT" for place in sorted(places - known)
    )
    return [("if this environment no longer exists", option) for option in options][:1] if known else []


def _open(row: DueRow, project: Project) -> str:
    """Return the command that opens the report of the drill's last run. The command contains the name of the drill, which is
    short, if this name selects that run. Otherwise the command contains the name of the run.
    """
    newest = project.run(row.drill, suites=True).name == row.last_run
    return f"{program()} report.open {one_line(row.drill if newest else row.last_run)}"


def summary(states: Due) -> str:
    """Return one line with the number of drills and suites in each state. It also counts the services without a proven restore,
    and the services whose proof is overdue."""
    planned = [row for row in states.rows if row.drill and row.drill not in states.unscheduled]
    numbers = {state: sum(row.state is state for row in planned) for state in due.URGENCY}
    said = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
    none = "no drill or suite has a schedule (`every`)"
    if states.elsewhere:
        none = f"no drill or suite that has a schedule (`every`) may run in {one_line(states.environment)}"
    first = f"{count(len(planned), 'schedule')}: {said}" if said else none
    never = sum(bool(row.drill) for row in states.rows) - len(planned)
    old = sum(not row.drill and row.state is State.OVERDUE for row in states.rows)
    parts = [first, f"{count(never, 'drill')} never passed" if never else ""]
    parts += [f"{count(states.unproven, 'service')} without a proven restore" if states.unproven else ""]
    parts += [f"{count(old, 'service')} with an overdue proof" if old else ""]
    parts += [f"{count(len(states.unread), 'inventory', 'inventories')} cannot be read" if states.unread else ""]
    parts += [f"{schedule_record.FILE} is damaged or cannot be read" if states.record else ""]
    return "; ".join(filter(None, parts))


def _print_rows(rows: Sequence[DueRow], out: Console) -> None:
    """Print one line for each row. Below it, print a second line with further details if there are any; see ``_more``."""
    columns = _fitting(rows, out.width)
    shown = {column.head for column in columns}
    print_lines(columns, out, [Text(_more(row, shown), style="dim") for row in rows])


def _fitting(rows: Sequence[DueRow], width: int) -> list[Column]:
    columns = fitting(_columns(rows), width)
    if "service" not in {column.head for column in columns}:
        columns = fitting(_columns(rows, minutes=False), width)
    return columns


def _columns(rows: Sequence[DueRow], *, minutes: bool = True) -> list[Column]:
    """Return all columns. When ``minutes`` is False, the time of the last passed run is shown as a date only. This
    leaves space for other columns.
    """
    places = {row.environment for row in rows if row.environment}
    return [
        Column("drill", 0, [_drill(row) for row in rows]),
        Column("service", 2, [Text(_service(row)) for row in rows]),
        Column("environment", 3 if len(places) > 1 else 5, [Text(one_line(row.environment) or "-") for row in rows]),
        Column("state", 0, [Text(row.state, style=_style(row)) for row in rows]),
        Column(
            "last passed (UTC)" if minutes else "last passed",
            1,
            [Text((day(_passed(row)) if minutes else _passed(row)[:10]) or "-") for row in rows],
        ),
        Column("last run", 4, [_verdict(row) for row in rows]),
        Column("due", 0, [until(row) for row in rows]),
    ]


def _style(row: DueRow) -> str:
    """Return the style in which the state of a row is printed. The style of each state is in ``STYLES``.

    There is one exception. A row that has never passed is yellow instead of red, if it never ran or if its last run was
    aborted.
    """
    return "yellow" if row.state is State.NEVER and row.last_verdict in ("", Verdict.ABORTED) else STYLES[row.state]


def _summary_style(states: Due) -> str:
    """Return the style of the summary. It is red if the table has a red row, or if a file could not be read."""
    if states.unread or states.record or any("red" in _style(row) for row in states.rows):
        return "bold red"
    return "bold yellow" if states.status else "bold"


def _drill(row: DueRow) -> Text:
    if not row.drill:
        return Text(f"{one_line(row.service)}: {'not proven' if row.state is State.NEVER else 'proof'}")
    return Text(one_line(row.drill) + (" (suite)" if row.suite else ""))


def _passed(row: DueRow) -> str:
    """Return the start of the newest passed run. For a service, only runs that proved a restore count."""
    return row.passed if row.drill else row.proven


def _service(row: DueRow) -> str:
    names = one_line(row.service).split(", ")
    return names[0] if len(names) == 1 else count(len(names), "service")


def _verdict(row: DueRow) -> Text:
    verdict = row.last_verdict or "never run"
    shown = Text(verdict, style=WORDS.get(verdict, "dim")).append(" !" if row.last_findings else "", style="yellow")
    reservation_marks.add(shown, row.last_marks)
    return shown


def _more(row: DueRow, shown: Container[str]) -> str:
    """Return the second line of a row, or an empty text when there is nothing to add. For a row with the state ``ok``,
    the line contains only the number of open findings of the last run. For any other row, it also contains the services
    of a suite, the cells of columns that are not in the table, and the things that the drill needs before it can run.
    ``shown``: heads of the columns in the table.
    """
    left = f"! {row.last_findings} open: {program()} report.open {one_line(row.drill)}" if row.last_findings else ""
    if row.state is State.OK:
        return left
    services = one_line(row.service) if row.drill else ""
    parts = [
        services if ", " in services or "service" not in shown else "",
        f"in {one_line(row.environment)}" if row.environment and "environment" not in shown else "",
        f"last run {row.last_verdict}" if row.last_verdict and "last run" not in shown else "",
        row.last_recovered,
        left,
        _unproven(row),
        f"{_needed(row)}: {_again(row)}" if row.needs else "",
    ]
    return ", ".join(filter(None, parts))


def _unproven(row: DueRow) -> str:
    """Return a text about a service whose drills proved no restore. It names these drills. The result is empty for other
    rows.
    """
    if row.drill or row.state is not State.NEVER:
        return ""
    return f"the drills of this service proved no restore: {one_line(', '.join(row.drills))}"
