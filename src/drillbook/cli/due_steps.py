"""Next steps of ``drill.due``: commands about the drill or suite that most needs attention, and about unfinished runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drillbook.cli import short_list
from drillbook.installation.program_name import program
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.plan.schedule import State
from drillbook.project import estate
from drillbook.project.due_row import DueRow
from drillbook.project.project import Project
from drillbook.report.figures import one_line
from drillbook.report.next_steps import run_again
from drillbook.report.wording import badness

MOST_AGAIN = 3
"""Largest number of drills that must run again and that the next steps name. The table has the command of each of them."""
Steps = Sequence[tuple[str, str]]
"""Suggested commands. Each entry is a pair: the description of the command, and the command."""


def steps(rows: Sequence[DueRow], every: Sequence[DueRow], project: Project, recover: Steps = ()) -> list[tuple[str, str]]:
    """Return all commands to suggest below the table, each with a description. ``rows``: rows of the table; ``every``: also those of
    services without a drill; ``recover``: commands for unfinished runs.
    """
    return [*next_steps(rows, project, recover), *gone(every, project)]


def next_steps(rows: Sequence[DueRow], project: Project, recover: Steps = ()) -> list[tuple[str, str]]:
    """Return the commands to suggest to the user, each with a description. The result is empty if no drill or suite is
    urgent and no run is unfinished.

    The commands are about the drill or suite that ``_most_urgent`` returns. If its last run did not pass, the first command
    opens the report of this run, and the second command runs the drill again. Before them are the commands of other drills
    that must run again.

    ``recover``: commands for unfinished runs. They come before all other commands; see ``_recovery``.
    """
    if recover:
        return _recovery(rows, project, recover)
    row = _most_urgent(rows)
    others = [other for other in rows if other is not row and short_list.must_run_again(other.last_verdict, other.state)]
    steps = [(_repeat(other), again(other)) for other in others[:MOST_AGAIN]]
    if row is None:
        return steps
    if not project.inventory_names():
        return [("this project has no inventory, so first make an inventory", f"{program()} init FOLDER")]
    return [*steps, *_steps_of(row, project)]


def _recovery(rows: Sequence[DueRow], project: Project, recover: Steps) -> list[tuple[str, str]]:
    """Return the commands for unfinished runs, the commands that run their drills again after that, and then those about the
    other drills and suites. If the most urgent of these was refused, the report of the refused run is not suggested, because
    this report only names the unfinished runs.
    """
    dead = [row for row in rows if row.last_verdict == UNFINISHED]
    rows = [row for row in rows if row.last_verdict != UNFINISHED]
    row = _most_urgent(rows)
    repeated = [row for row in dead if row.drill and not row.needs][:MOST_AGAIN]
    refused = [row] if row and row.last_verdict == Verdict.REFUSED and not row.needs else []
    then = [(f"then run {one_line(row.drill)} again", again(row)) for row in [*repeated, *refused]]
    return [*recover, *then, *([] if refused else next_steps(rows, project))]


def _steps_of(row: DueRow, project: Project) -> list[tuple[str, str]]:
    """Return the commands about the drill or suite that most needs attention."""
    if row.needs:
        return [(f"{row.drill} {needed(row)}", again(row))]
    if not _unsuccessful(row):
        return [(_first(row), again(row))]
    return [
        (f"read why {row.drill} {_ended(row.last_verdict)}", _open(row, project)),
        ("then run it again", again(row)),
    ]


def _most_urgent(rows: Sequence[DueRow]) -> DueRow | None:
    """Return the drill or suite that most needs attention, or None if none needs attention.

    A drill or suite is a candidate if it is overdue, if it has never passed, or if it is due because its last run did not
    pass. If there is no such drill or suite, those that are `ok` are candidates too, if their last run did not pass. A
    candidate is repeatable if its last run did not pass, and nothing is needed before it can run again. Normally the
    first candidate in ``rows`` is returned. But if the first candidate is repeatable, the repeatable candidate with the worst
    verdict is returned. For example, `failed` is worse than `aborted`.
    """
    asked = (State.OVERDUE, State.NEVER)
    urgent = [row for row in rows if row.drill and (row.state in asked or (_unsuccessful(row) and row.state is State.DUE))]
    urgent = urgent or [row for row in rows if is_kept_by_older_run(row)]
    if not urgent or urgent[0].needs or not _unsuccessful(urgent[0]):
        return urgent[0] if urgent else None
    return max((row for row in urgent if _unsuccessful(row) and not row.needs), key=lambda row: badness(row.last_verdict))


def is_kept_by_older_run(row: DueRow) -> bool:
    """Return True for a drill or suite that is `ok` by an earlier run, while its last run did not pass, and could be repeated."""
    return bool(row.drill) and row.state is State.OK and not row.needs and _unsuccessful(row)


def _unsuccessful(row: DueRow) -> bool:
    return row.last_verdict not in ("", Verdict.PASSED)


def again(row: DueRow) -> str:
    """Return the command that runs the drill or suite."""
    return run_again(program(), row.drill, row.inventory)


def run_it_again(row: DueRow) -> str:
    """Return the command of a drill that must run again. Its label is short, because the list shows the step itself."""
    return f"{needed(row) if row.needs else 'again'}: {again(row)}"


def _first(row: DueRow) -> str:
    """Describe the command that is suggested for ``row``, such as "run the drill that is overdue longest".

    ``row``: the most urgent drill or suite.
    """
    kind = "suite" if row.suite else "drill"
    if row.state is State.OVERDUE:
        return f"run the {kind} that is overdue longest"
    return f"run a {kind} that {'restores data and ' if row.restores else ''}has never passed"


def needed(row: DueRow) -> str:
    """Return the text about what the drill needs before it can run. The command follows this text."""
    return f"needs {one_line(row.needs)}" + (", then" if not row.needs.endswith(f" {row.inventory}") else "")


def _repeat(row: DueRow) -> str:
    """Describe the command that runs a drill again. After a failed run, it would only fail again without a correction."""
    first = "after a correction, " if row.last_verdict == Verdict.FAILED else ""
    return f"{first}run {row.drill} again, which {_ended(row.last_verdict)}"


def _ended(verdict: str) -> str:
    return (
        f"was {verdict}" if verdict in (Verdict.NOT_RUN, Verdict.REFUSED, Verdict.ABORTED, Verdict.INCONCLUSIVE) else verdict
    )


def gone(rows: Sequence[DueRow], project: Project) -> list[tuple[str, str]]:
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
