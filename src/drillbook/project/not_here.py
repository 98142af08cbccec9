"""Drills that could only fail in a lab: they restore a routine backup that a job of the team takes, and no lab has such a job.

Their schedules ask for no run there. Nor does a run that they had there change this, if it found no backup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from drillbook.journal.run_state import RunState
from drillbook.judge.verdicts import Verdict
from drillbook.plan.schedule import State
from drillbook.project.due_row import DueRow, with_last
from drillbook.project.needed_inventories import OWN, Inventories
from drillbook.project.newest_runs import Ended, Standing, Standings
from drillbook.project.schedules import Scheduled

MISSING = "backup-missing"
"""Code of the finding that no backup is where the drill looks for it."""


def apart(wanted: Sequence[Scheduled], known: Standings, inventories: Inventories) -> tuple[Standings, Standings]:
    """Divide the standings ``known`` into those that count, and those of drills and suites that ran where they could only fail, and
    found no backup there. A drill that found one, which somebody placed there, counts: its schedule holds there.
    """
    drills = {scheduled.name: scheduled for scheduled in wanted}
    vain = {
        (name, place): standing
        for (name, place), standing in known.items()
        if not standing.passed
        and name in drills
        and inventories.unmet(drills[name], place)
        and found_none(standing.last.verdict, _findings(standing.last))
    }
    return {key: standing for key, standing in known.items() if key not in vain}, vain


def found_none(verdict: str, findings: Iterable[tuple[str, str]]) -> bool:
    """Return True for a run that found no backup, or did not get as far as to look for it. ``verdict``: that of the run.
    ``findings``: code and step of each of its findings; of a suite, those of its drills.
    """
    if verdict in (Verdict.REFUSED, Verdict.ABORTED, Verdict.NOT_RUN):
        return True
    return any(code == MISSING and step.startswith("backup.") for code, step in findings)


def _findings(last: Ended) -> Iterator[tuple[str, str]]:
    for result in _results(last):
        for finding in result.get("findings") or ():
            yield str(finding.get("code")), str(finding.get("step") or "")


def _results(last: Ended) -> Iterator[dict[str, Any]]:
    """Yield the result of a run, or of a suite and of its drills."""
    result = last.state.result.as_object()
    yield result
    for run in result.get("runs") or ():
        yield RunState(last.state.folder / str(run.get("folder"))).result.as_object()


def with_inventories(
    rows: Sequence[DueRow], wanted: Sequence[Scheduled], inventories: Inventories, vain: Standings
) -> list[DueRow]:
    """Add two fields to each row: the inventory for the next run, and what is needed before it, such as another inventory. Drills
    that could only fail get the state `not here`. ``vain``: see ``apart``.
    """
    drills = {scheduled.name: scheduled for scheduled in wanted}
    return [_placed(row, drills[row.drill], inventories, vain) for row in rows]


def _placed(row: DueRow, scheduled: Scheduled, inventories: Inventories, vain: Standings) -> DueRow:
    choice = inventories.choice(scheduled, row.environment)
    row = replace(row, restores=scheduled.restores, inventory=choice.inventory, needs=choice.needs)
    if row.last_run or row.state is not State.NEVER:
        return row
    unmet = inventories.unmet(scheduled, row.environment)
    if unmet:
        row = replace(row, state=State.NOT_HERE, inventory=OWN, needs=unmet)
    standing = _newest(row, vain)
    if standing is None:
        return row
    return with_last(replace(row, environment=standing.last.environment) if unmet else row, standing)


def _newest(row: DueRow, vain: Standings) -> Standing | None:
    known = [each for (name, place), each in vain.items() if name == row.drill and row.environment in ("", place)]
    return max(known, key=lambda standing: standing.last.run, default=None)
