"""Lines of ``schedule.run`` about drills that it does not start again yet, because they were tried and did not pass.

A timer prints only those for which a person must recover a run, because cron mails all output. A person at a terminal sees all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drillbook.errors import UsageError, escaped
from drillbook.installation.program_name import program
from drillbook.journal.run_state import RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.plan.schedule import State
from drillbook.project.due_row import DueRow
from drillbook.project.project import Project
from drillbook.sdk.run_names import drill_of

STATES = {State.NEVER: "has never passed"}


@dataclass(frozen=True, slots=True)
class Wait:
    """Drill or suite that is due, and is not started again before the time ``until``. ``why``: reason for this time."""

    row: DueRow
    until: datetime
    why: str


def lines(project: Project, waits: Sequence[Wait], *, every: bool) -> list[str]:
    """Return a line for each of ``waits`` with an unfinished run, and, if ``every`` is true, for each other one. A drill that
    was refused while another run is unfinished counts as well.
    """
    if not waits:
        return []
    runs = _unfinished(project)
    told = [(wait, _to_recover(wait.row, runs)) for wait in waits]
    return [_line(wait, run) for wait, run in told if run or every]


def tell(project: Project, waits: Sequence[Wait]) -> None:
    """Print the lines about ``waits``: all of them at a terminal, and otherwise those for which a person is needed."""
    for line in lines(project, waits, every=sys.stdout.isatty()):
        sys.stdout.write(f"{escaped(line)}\n")


def _unfinished(project: Project) -> Mapping[str, Path]:
    """Return the runs that need a recovery, the newest first. Each key is the name of a run. The result is empty if the folder of
    all runs cannot be read."""
    from drillbook.cli import open_runs  # noqa: PLC0415  slow to load

    try:
        return {state.folder.name: state.folder for state in open_runs.dead(project, RunStates())}
    except UsageError:
        return {}


def _to_recover(row: DueRow, runs: Mapping[str, Path]) -> str:
    """Return the name of the unfinished run of the drill or suite, or of the newest one if the drill was refused."""
    of_drill = (name for name, folder in runs.items() if row.drill in _drills(name, folder.parent.name))
    newest: Iterable[str] = runs if row.last_verdict == Verdict.REFUSED else ()
    return next(of_drill, next(iter(newest), ""))


def _drills(*names: str) -> set[str]:
    return {drill_of(name) for name in names}


def _line(wait: Wait, run: str) -> str:
    row, own = wait.row, bool(run) and wait.row.drill in _drills(run)
    last = "is unfinished" if own else f"has the verdict {row.last_verdict}" if row.last_verdict else "could not begin"
    begun = f"{row.drill} {STATES.get(row.state, f'is {row.state}')}. Its last run {last}, so it is not tried again before "
    recover = f" First recover the unfinished run: {program()} drill.recover {run}" if run else ""
    return f"{begun}{wait.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {wait.why}.{recover}"
