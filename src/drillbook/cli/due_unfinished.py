"""Drills and suites with an unfinished run, for ``drill.due`` and the metrics. Their rows say so, and they are counted apart, because
changes of the run may remain although the schedule is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from drillbook.cli import open_runs
from drillbook.journal.run_state import RunState
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.plan.schedule import State
from drillbook.project.due_row import DueRow
from drillbook.sdk.run_names import RUN_ID, drill_of

Subject = tuple[str, str]
"""Name of a drill or suite, and the environment."""


def subjects(dead: Sequence[RunState]) -> frozenset[Subject]:
    """Return the drills of the unfinished runs among ``dead``, and the suites that started these runs. A run that ended, and only
    left changes, is not unfinished."""
    named = set()
    for state in dead:
        if open_runs.is_unfinished(state):
            place = _environment(state)
            suite = state.folder.parent.name
            names = [state.folder.name, *([suite] if RUN_ID.fullmatch(suite) else [])]
            named |= {(drill, place) for name in names if (drill := drill_of(name))}
    return frozenset(named)


def within(dead: Sequence[RunState], environment: str) -> list[RunState]:
    """Return the runs of ``environment``, or all of them if it is empty. A run of an unknown environment may be of any."""
    return [state for state in dead if not environment or _environment(state) in ("", environment)]


def is_unfinished(row: DueRow, named: Collection[Subject]) -> bool:
    """Return True for the row of a drill or suite in ``named``. An empty environment stands for any environment."""
    places = [place for drill, place in named if drill == row.drill]
    return any("" in (place, row.environment) or place == row.environment for place in places)


def is_apart(row: DueRow, named: Collection[Subject]) -> bool:
    """Return True for a row that is counted as unfinished. A drill that is overdue, or has never passed, is counted as such."""
    return row.state in (State.OK, State.DUE) and is_unfinished(row, named)


def shown(rows: Sequence[DueRow], named: Collection[Subject]) -> list[DueRow]:
    """Return the rows, with ``unfinished`` as the last run of the drills and suites in ``named``, without the findings and marks
    of the run before it. The loss of this run is an earlier one then."""
    return [_unfinished(row) if is_unfinished(row, named) else row for row in rows]


def _unfinished(row: DueRow) -> DueRow:
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    passed = row.last_verdict == Verdict.PASSED
    losses = earlier_losses.with_hidden(row.earlier_losses, row.last_run, row.last_started, row.last_lost, passed=passed)
    return replace(row, last_verdict=UNFINISHED, last_findings="", last_marks="", last_lost="", earlier_losses=losses)


def counts(dead: Sequence[RunState]) -> Counter[tuple[str, str, str]]:
    """Return the number of the unfinished runs among ``dead``, by service, drill and environment. The service and the environment are
    empty for a run whose journal does not begin with a plan."""
    unfinished = filter(open_runs.is_unfinished, dead)
    return Counter(
        (_planned(state, "service"), drill_of(state.folder.name) or "", _environment(state)) for state in unfinished
    )


def _environment(state: RunState) -> str:
    """Return the environment of a run. It is empty when the first line of the journal cannot be read."""
    return _planned(state, "inventory", "environment")


def _planned(state: RunState, *keys: str) -> str:
    """Return a text of the plan in the first line of a journal. It is empty when it cannot be read."""
    value: object = state.first_line
    for key in ("data", "plan", *keys):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
