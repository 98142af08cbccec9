"""The work of ``drill.due``. It lists the drills that are due, overdue, or have never passed, as a table or as JSON.
Monitoring can use its exit status.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillbook.cli.console import console, stdout
from drillbook.cli.overview import WORDS, day, until
from drillbook.plan.schedule import State
from drillbook.project import due
from drillbook.project.due import Due, DueRow
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line

STYLES = {
    State.OVERDUE: "bold red",
    State.NEVER: "bold red",
    State.UNKNOWN: "bold red",
    State.DUE: "yellow",
    State.OK: "green",
}


def show(project: Project, *, environment: str = "", as_json: bool = False, now: datetime | None = None) -> int:
    """Print the state of each drill, suite and service by its schedule at the time ``now``. The default is the present
    time.

    Returns 1 when a drill, suite or service is overdue or has never passed. Otherwise returns 3 when a schedule cannot
    be read, and 0 when all is well.
    """
    found = due.read(project, now, environment)
    if as_json:
        stdout().write(json.dumps(found.as_data(), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(found, console())
    return found.status


def _print(found: Due, out: Console) -> None:
    urgent = [row for row in found.rows if row.state is not State.OK]
    out.print(Text(summary(found), style="bold red" if found.status else "bold"))
    if found.rows:
        out.print(_table(found.rows))
    for row in urgent:
        if row.why:
            out.print(Padding(Text(f"✗ {row.drill}: {one_line(row.why)}", style="bold red"), (0, 0, 0, 2), expand=False))
    if found.unscheduled:
        names = ", ".join(found.unscheduled)
        out.print(Text(f"without a schedule (`every`): {names}", style="dim"))


def summary(found: Due) -> str:
    """Return one line with the number of drills, suites and services in each state."""
    numbers = {state: sum(row.state is state for row in found.rows) for state in due.URGENCY}
    said = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
    return f"{count(len(found.rows), 'schedule')}: {said}" if said else "no drill or suite has a schedule (`every`)"


def _table(rows: Sequence[DueRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("service", "drill", "environment"):
        table.add_column(column, overflow="fold")
    for column in ("state", "last passed (UTC)", "last run", "due"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        verdict = row.last_verdict or "never run"
        table.add_row(
            one_line(row.service),
            Text(
                one_line(row.drill) + (" (suite)" if row.suite else "") if row.drill else "no drill",
                style="" if row.drill else "dim",
            ),
            one_line(row.environment) or "-",
            Text(row.state, style=STYLES[row.state]),
            day(row.passed) or "-",
            Text(verdict, style=WORDS.get(verdict, "dim")),
            until(row),
        )
    return table
