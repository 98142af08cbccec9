"""The work of ``drill.due``. It lists the drills that are due, overdue, or have never passed, as a table or as JSON.
Monitoring can use the exit status of this task.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from rich.console import Console
from rich.text import Text

from drillbook.cli import (
    due_steps,
    due_unfinished,
    finding_lines,
    open_runs,
    reservation_marks,
    short_list,
    undrilled_services,
)
from drillbook.cli.columns import GAP, Column, fitting, print_lines
from drillbook.cli.console import console, stdout
from drillbook.cli.overview import day, until
from drillbook.installation.program_name import program
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.language.lists import listed
from drillbook.plan.permitted import only_in
from drillbook.plan.schedule import State
from drillbook.project import due, run_index, schedule_record
from drillbook.project.due import Due
from drillbook.project.due_row import DueRow
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Prose

MOST_UNSCHEDULED = 3
"""Largest number of drills without a schedule that the short list names. Further drills are only counted."""
WITHOUT_PROOF = "services without a proven restore"
OF_DRILLS = "proven only with backups of drills, so no routine backup"
MOST_UNPROVEN = 6
"""Largest number of services without a proven restore that the short list names. Further services are only counted."""
NOT_ROUTINE = f"{State.OK} with no routine backup"
"""Word for drills that are `ok`, but restored no routine backup, and for their number."""
FEWER = range(1, 10)
"""Numbers of lines that the most urgent row loses one after the other, if the output does not fit on the terminal otherwise."""
STYLES = {
    State.OVERDUE: "bold red",
    State.NEVER: "bold red",
    State.UNKNOWN: "bold red",
    State.DUE: "yellow",
    State.NOT_HERE: "dim",
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

    Returns 1 when a drill, suite or service is overdue or has never passed, when a run needs a recovery, or when nothing has a
    schedule. If none of this is true, returns 3 when a schedule or an inventory cannot be read, or when the record of schedules is
    damaged. Returns 0 when all is well.
    """
    runs = RunStates()
    if not dry:
        run_index.refresh(project, runs)
    # first, so that no journal is read twice
    dead = open_runs.dead(project, runs, noting=not dry)
    unsettled = open_runs.unsettled(list(project.runs())) if as_json else []
    states = due.read(project, now, environment, noting=not dry, runs=runs)
    states = replace(states, to_recover=len(due_unfinished.within(dead, environment)))
    if as_json:
        told = states.as_data() | {"open": [asdict(run) for run in unsettled]}
        stdout().write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(states, console(), project, everything=everything, dead=dead)
    return states.status


def _print(
    states: Due, out: Console, project: Project | None = None, *, everything: bool = False, dead: Sequence[RunState] = ()
) -> None:
    """Print the rows, the most urgent first, and then the summary. If ``project`` is given, and something is overdue or has
    never passed, suggest commands to the user before the summary. Unless ``everything`` is true, a long table is shortened,
    so that the whole output fits on a small terminal. ``dead``: runs that need a recovery. Their commands are suggested first.
    """
    unfinished = due_unfinished.subjects(dead)
    rows = [row for row in states.rows if not undrilled_services.is_undrilled(row)]
    rows, least = due_unfinished.shown(rows, unfinished), short_list.LEAST_LINES
    with out.capture() as below:
        _print_below(states, out, project, rows, open_runs.to_recover(dead), everything=everything)
        out.print(Text(summary(states, unfinished), style=_summary_style(states, dead=bool(dead))))
    entries = _entries(rows, out.width)
    sizes = [(most, 0) for most in range(short_list.most_lines(out), least - 1, -1)] + [(least, fewer) for fewer in FEWER]
    for most, fewer in sizes:
        shown, rest = short_list.short(rows, entries, everything=everything, most=most)
        with out.capture() as above:
            rest = [*_print_tables(shown, out, fewer=fewer if len(shown) == 1 else 0), *rest]
            short_list.print_rest(rest, "drill.due", out, _soonest([row for row in rows if row not in shown]))
            reservation_marks.print_legend((row.last_marks for row in shown), out)
        text = above.get() + below.get()
        if everything or text.count("\n") < short_list.height(out):
            break
    out.file.write(text)


def _print_below(
    states: Due,
    out: Console,
    project: Project | None,
    rows: Sequence[DueRow],
    recover: due_steps.Steps,
    *,
    everything: bool,
) -> None:
    """Print what is between the table and the summary: services without a drill, problems, a note about an incomplete
    ``schedule.jsonl``, drills without a schedule, services without a proven restore, and the next steps. ``rows``: rows of
    the table. ``recover``: commands for unfinished runs.
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
    for lead, places in ((WITHOUT_PROOF, states.unproven), (OF_DRILLS, states.of_drills)):
        if places:
            names = listed(_named(places, states), len(places) if everything else MOST_UNPROVEN)
            out.print(Prose(Text(f"{lead}: {names}", style="dim")))
    if project is not None and (steps := due_steps.steps(rows, states.rows, project, recover)):
        out.print(shown_steps(steps))
        out.print()


def _named(services: Sequence[tuple[str, str]], states: Due) -> list[str]:
    """Return the names of services, each of which is a pair with its environment. If the rows are about more than one environment, the
    names contain theirs."""
    places = {place for place, _ in (*states.unproven, *states.of_drills)}
    places |= {row.environment for row in states.rows if row.environment}
    return [
        f"{one_line(name)} in {one_line(place)}" if len(places) > 1 and place else one_line(name) for place, name in services
    ]


def _entries(rows: Sequence[DueRow], width: int) -> list[short_list.Entry]:
    """Return an entry for each row: its urgency, and its number of lines in a table of ``width`` columns of the terminal."""
    if not rows:
        return []
    shown = {column.head for column in _fitting(rows, width)}
    return [_entry(row, 1 + short_list.height_of(_more(row, shown, width - GAP), width - GAP)) for row in rows]


def _entry(row: DueRow, lines: int) -> short_list.Entry:
    if row.last_verdict == UNFINISHED:
        return short_list.Entry(-2, UNFINISHED, lines)
    if short_list.must_run_again(row.last_verdict, row.state):
        return short_list.Entry(-1, short_list.AGAIN, lines)
    if due_steps.is_kept_by_older_run(row):
        return short_list.Entry(due.URGENCY[State.DUE], f"{row.state} (last run {row.last_verdict})", lines)
    if row.state is State.OK and reservation_marks.is_repeated(row.last_marks):
        return short_list.Entry(due.URGENCY[row.state], NOT_ROUTINE, lines)
    return short_list.Entry(due.URGENCY[row.state], row.state, lines, row.state is State.OK)


def _soonest(rows: Sequence[DueRow]) -> dict[str, str]:
    """Return a text with the drill or suite of ``rows`` that is due first, and the time until it is due: one for those that are
    `ok`, and one for those of them that restored no routine backup. The key is the word with which the line counts them.
    """
    first: dict[str, DueRow] = {}
    for row in sorted(rows, key=lambda row: row.until_due_s):
        first.setdefault(_entry(row, 1).word, row)
    return {
        word: f"first due: {_drill(first[word]).plain} {until(first[word]).plain}"
        for word in (State.OK, NOT_ROUTINE)
        if word in first
    }


def _print_tables(rows: Sequence[DueRow], out: Console, *, fewer: int = 0) -> list[short_list.Entry]:
    """Print the rows, the most urgent first. Drills that cannot run with the usual inventory on this machine follow in a second
    table. ``fewer``: number of lines to leave out below a single row, for which there is no room. Return an entry for each of them.
    """
    left_out: list[short_list.Entry] = []
    elsewhere = [row for row in rows if row.is_elsewhere]
    here = [row for row in rows if not row.is_elsewhere]
    if here:
        left_out += _print_rows(here, out, fewer)
    if elsewhere:
        if here:
            out.print()
        out.print(Text("drills that need another inventory, or a service that is not installed:", style="bold"))
        left_out += _print_rows(elsewhere, out, fewer)
    return left_out


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


def summary(states: Due, unfinished: Collection[due_unfinished.Subject] = ()) -> str:
    """Return one line with the number of drills and suites in each state. It also counts the services without a proven restore,
    and the services whose proof is overdue. ``unfinished``: drills and suites with an unfinished run. They are counted apart,
    and so are those that must run again."""
    planned = [row for row in states.rows if row.drill and row.drill not in states.unscheduled]
    apart = [row for row in planned if due_unfinished.is_apart(row, unfinished)]
    again = [row for row in planned if short_list.must_run_again(row.last_verdict, row.state) and row not in apart]
    numbers = {UNFINISHED: len(apart), short_list.AGAIN: len(again)}
    apart += again
    numbers |= {str(state): sum(row.state is state and row not in apart for row in planned) for state in due.URGENCY}
    said = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
    none = "no drill or suite has a schedule (`every`)"
    if states.elsewhere:
        none = f"no drill or suite that has a schedule (`every`) may run in {one_line(states.environment)}"
    first = f"{count(len(planned), 'schedule')}: {said}" if said else none
    never = sum(bool(row.drill) for row in states.rows) - len(planned)
    old = sum(not row.drill and row.state is State.OVERDUE for row in states.rows)
    parts = [first, f"{count(never, 'drill')} never passed" if never else ""]
    parts += [f"{count(len(states.unproven), 'service')} without a proven restore" if states.unproven else ""]
    parts += [f"{count(old, 'service')} with an overdue proof" if old else ""]
    parts += [f"{count(len(states.unread), 'inventory', 'inventories')} cannot be read" if states.unread else ""]
    parts += [f"{schedule_record.FILE} is damaged or cannot be read" if states.record else ""]
    return "; ".join(filter(None, parts))


def _print_rows(rows: Sequence[DueRow], out: Console, fewer: int) -> list[short_list.Entry]:
    """Print one line for each row. Below it, print further details if there are any; see ``_more``. For ``fewer``, see
    ``_print_tables``.
    """
    columns, room = _fitting(rows, out.width), out.width - GAP
    shown = {column.head for column in columns}
    more = [short_list.without_lines(_more(row, shown, room), fewer, room) for row in rows]
    print_lines(columns, out, [Text(text, style="dim") for text, _ in more])
    words = [
        f"{'line' if number == 1 else 'lines'} of {_drill(row).plain}" for row, (_, number) in zip(rows, more, strict=True)
    ]
    return [short_list.Entry(0, word) for word, (_, number) in zip(words, more, strict=True) for _ in range(number)]


def _fitting(rows: Sequence[DueRow], width: int) -> list[Column]:
    columns = fitting(_columns(rows), width)
    if any(column.head == "last run" for column in columns):
        return columns
    columns = fitting(_columns(rows, runs=False), width)
    if any(column.head == "service" for column in columns):
        return columns
    return fitting(_columns(rows, runs=False, minutes=False), width)


def _columns(rows: Sequence[DueRow], *, runs: bool = True, minutes: bool = True) -> list[Column]:
    """Return all columns. When ``runs`` is False, the column of the last run is left out, and its marks stand beside the state.
    When ``minutes`` is False, the time of the last passed run is shown as a date only. Both leave space for other columns.
    """
    places = {row.environment for row in rows if row.environment}
    return [
        Column("drill", 0, [_drill(row) for row in rows]),
        Column("service", 2, [Text(_service(row)) for row in rows]),
        Column("environment", 3 if len(places) > 1 else 5, [Text(one_line(row.environment) or "-") for row in rows]),
        Column("state", 0, [_state(row, "" if runs else row.last_marks) for row in rows]),
        Column(
            "last passed (UTC)" if minutes else "last passed",
            1,
            [Text((day(_passed(row)) if minutes else _passed(row)[:10]) or "-") for row in rows],
        ),
        *([Column("last run", 4, [_verdict(row) for row in rows])] if runs else []),
        Column("due", 0, [until(row) for row in rows]),
    ]


def _state(row: DueRow, marks: str = "") -> Text:
    """Return the state of a row, followed by ``marks``. A drill whose newest run is unfinished or did not end well is shown neither
    as `ok` nor as `due`: its newest run tells its state.
    """
    if row.state in (State.OK, State.DUE) and short_list.next_step(row.last_verdict, row.state):
        state = Text(row.last_verdict, style=short_list.WORDS[row.last_verdict])
    else:
        state = Text(row.state, style=_style(row))
    reservation_marks.add(state, marks)
    return state


def _style(row: DueRow) -> str:
    """Return the style in which the state of a row is printed. The style of each state is in ``STYLES``.

    There is one exception. A row that has never passed is yellow instead of red, if it never ran or if its last run was
    aborted.
    """
    return "yellow" if row.state is State.NEVER and row.last_verdict in ("", Verdict.ABORTED) else STYLES[row.state]


def _summary_style(states: Due, *, dead: bool = False) -> str:
    """Return the style of the summary. It is red if the table has a red row, if a file could not be read, or if a run needs a
    recovery (``dead``). It is yellow in other alarms, and if a drill must run again.
    """
    if dead or states.unread or states.record or any("red" in _style(row) for row in states.rows):
        return "bold red"
    again = any(short_list.must_run_again(row.last_verdict, row.state) for row in states.rows)
    return "bold yellow" if states.status or again else "bold"


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
    verdict = row.last_verdict or (Verdict.REFUSED if row.permitted_in else "never run")
    shown = Text(verdict, style=short_list.WORDS.get(verdict, "dim"))
    reservation_marks.add(shown, row.last_marks, row.last_findings)
    return shown


def _more(row: DueRow, shown: Container[str], room: int) -> str:
    """Return the lines below a row, or an empty text when there is nothing to add. For a row with the state ``ok``, they
    contain only the number of open findings of the last run, data that it or an earlier run lost, or that this run did not pass.
    If the drill must run again, the last line ends with the command. For any other row, the lines also contain the services
    of a suite, the cells of columns that are not in the table, and the things that the drill needs before it can run.
    ``shown``: heads of the columns in the table. ``room``: width of the lines.
    """
    left = finding_lines.below(row.last_name or row.drill, row.last_findings, row.last_lost, row.earlier_losses)
    last = f"last run {row.last_verdict}" if row.last_verdict and "last run" not in shown else ""
    again = due_steps.run_it_again(row) if short_list.must_run_again(row.last_verdict, row.state) else ""
    if row.state is State.OK:
        older = due_steps.is_kept_by_older_run(row)
        facts = ["" if again else last, row.last_recovered] if again or older else []
        return short_list.below(facts, (*left, again), room)
    services = one_line(row.service) if row.drill else ""
    facts = [
        services if ", " in services or "service" not in shown else "",
        f"in {one_line(row.environment)}" if row.environment and "environment" not in shown else "",
        last,
        row.last_recovered,
        _unproven(row),
    ]
    if row.needs:
        facts.append(only_in(row.permitted_in) if row.permitted_in else "")
        again = f"{due_steps.needed(row)}: {due_steps.again(row)}"
    elif row.permitted_in:
        again = f"{only_in(row.permitted_in)}: {due_steps.again(row)}"
    return short_list.below(facts, (*left, again), room)


def _unproven(row: DueRow) -> str:
    """Return a text about a service whose drills proved no restore. It names these drills. The result is empty for other
    rows.
    """
    if row.drill or row.state is not State.NEVER:
        return ""
    return f"the drills of this service proved no restore: {one_line(', '.join(row.drills))}"
