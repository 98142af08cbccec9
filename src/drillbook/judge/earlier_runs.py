"""Results of earlier runs, read from their journals: sizes, passed steps, and the runs to compare a new run with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError, JournalError
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge import comparison
from drillbook.judge.capacity import points
from drillbook.judge.judge import judge
from drillbook.judge.result import Result, RunView
from drillbook.judge.size_points import ACTION
from drillbook.judge.verdicts import Verdict
from drillbook.plan.planner import Plan
from drillbook.sdk.earlier_results import EarlierStep
from drillbook.sdk.run_names import RUN_ID

MOST_RUNS = 100
"""Largest number of earlier runs that one search judges, newest first. A search looks for sizes of services that steps
`capacity` measured, or for the newest passed step with a given action and service.
"""
MOST_COMPARED, MOST_BYTES = 5, 32 * 2**20
"""Largest number of earlier runs to compare with, and largest number of bytes in all their journals together."""


def collects(plan: Plan) -> bool:
    """Return True when the plan measures the size of a service."""
    return any(step.action == ACTION for step in plan.steps)


def capacity(folders: Iterable[Path], plan: Plan) -> list[dict[str, Any]]:
    """Return the sizes that earlier runs measured in the environment of ``plan``, oldest first.

    ``folders``: folders of these runs. Each size is a ``Point`` as JSON. Unreadable journals and unfinished runs are skipped.
    """
    views = [_finished(state, plan) for state in _with_action(folders, ACTION)]
    return [point.model_dump(mode="json") for view in reversed(views) if view for point in points(view.result)]


def same_drill(folders: Iterable[Path], plan: Plan, states: RunStates) -> list[dict[str, Any]]:
    """Return the newest finished runs with the same drill and environment as ``plan``, as entries of the event `earlier.runs`.

    The newest run comes first. ``folders``: folders of runs, oldest first. Three kinds of runs are skipped: runs with an
    unreadable journal, runs that were refused, and runs that needed a service which is not installed. Reading stops
    after ``MOST_COMPARED`` runs or ``MOST_BYTES`` of journals.

    ``states``: states of the runs that were read already.
    """
    results: list[Result] = []
    left = MOST_BYTES
    for folder in reversed([folder for folder in folders if _drill_of(folder) == plan.drill]):
        left -= _size(folder)
        if left < 0 or len(results) == MOST_COMPARED:
            break
        view = _finished(states.of(folder), plan)
        if view and view.result.verdict not in (Verdict.REFUSED, Verdict.NOT_RUN):
            results.append(view.result)
    return comparison.as_entries(results)


def _drill_of(folder: Path) -> str:
    """Return the name of the drill, which is a part of the name of a run's folder. Return an empty text when the
    folder's name has another form.
    """
    named = RUN_ID.fullmatch(folder.name)
    return named[8] if named else ""


def _size(folder: Path) -> int:
    """Return the size of a journal in bytes. Returns 0 when there is no journal."""
    try:
        return (folder / FILE).stat().st_size
    except OSError:
        return 0


def last_step(folders: Sequence[Path], plan: Plan, action: str, service: str) -> EarlierStep | None:
    """Return the newest passed step with ``action`` on ``service``, from a finished run in the environment of ``plan``.

    ``folders``: folders of runs, oldest first. Unreadable journals are skipped. At most ``MOST_RUNS`` runs are judged: the
    newest runs whose journals contain the name of the action.
    """
    for state in _with_action(folders, action):
        view = _finished(state, plan)
        for step in reversed(view.steps if view else ()):
            if (step.result.action, step.result.status, step.params.get("service")) == (action, "done", service):
                return EarlierStep(state.folder.name, view.result.started if view else "", step.result.facts)
    return None


def drill_at(folders: Sequence[Path], plan: Plan, at: datetime) -> str:
    """Return the name of the drill that ran at the time ``at``, if its plan takes backups of the service of ``plan``, in the same
    environment. The name is empty if no such drill ran, and if this cannot be read.

    ``folders``: folders of runs, oldest first. Only runs that ended count, and at most ``MOST_RUNS`` runs that began before ``at``.
    """
    before = [folder for folder in folders if _begun(folder) <= at]
    for state in map(RunState, islice(reversed(before), MOST_RUNS)):
        if _ended(state) < at:
            continue
        other = state.first_line.get("data", {}).get("plan", {})
        if _takes_backups(other, plan):
            return str(other.get("drill", ""))
    return ""


def _ended(state: RunState) -> datetime:
    """Return the time at which a run ended. A run without a readable result counts as ended long ago."""
    try:
        return datetime.fromisoformat(str(state.result.as_object().get("finished")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _begun(folder: Path) -> datetime:
    """Return the time in the name of a run's folder, at which the run began. A folder with another name counts as never begun."""
    named = RUN_ID.fullmatch(folder.name)
    if not named:
        return datetime.max.replace(tzinfo=UTC)
    year, month, day, hour, minute, second, thousandth = map(int, named.groups()[:7])
    return datetime(year, month, day, hour, minute, second, thousandth * 1000, UTC)


def _takes_backups(other: Mapping[str, Any], plan: Plan) -> bool:
    """Return True if a step of the phase `backup` in the plan ``other`` does more than read. ``plan``: plan with the same service and
    environment. Return False for a plan of another service or environment."""
    place = other.get("inventory", {})
    same = (other.get("service"), place.get("environment")) == (plan.service, plan.inventory.environment)
    labs = {place.get("lab") or "", plan.inventory.lab} - {""}
    backup = [step for step in other.get("steps", ()) if str(step.get("id", "")).startswith("backup.")]
    return same and len(labs) < 2 and any(step.get("effect") != "read" for step in backup)


def _finished(state: RunState, plan: Plan) -> RunView | None:
    """Judge a run from its journal.

    Return None in three cases: the journal cannot be read, the run has not finished, or the run used another environment
    or another lab than ``plan``.
    """
    try:
        view = judge(state.history)
    except (OSError, ValueError, KeyError, DrillbookError):
        return None
    result = view.result
    same = result.environment == plan.inventory.environment and not _in_other_lab(view, plan)
    return view if result.finished and same else None


def _in_other_lab(view: RunView, plan: Plan) -> bool:
    """Return True when both runs used a lab of Drillbook, and not the same one. In older projects, the embedded lab and the
    Docker lab have the same environment, but their durations differ.
    """
    recorded = view.plan.get("inventory", {}).get("lab")
    return bool(recorded and plan.inventory.lab and recorded != plan.inventory.lab)


def _with_action(folders: Iterable[Path], action: str) -> Iterator[RunState]:
    """Yield the newest runs whose journals contain the name of the action, at most ``MOST_RUNS``, newest first.
    ``folders``: folders of runs, oldest first.

    A search for the name comes first, because it is fast. Computing the result of a run from its journal is slow.
    """
    states = (RunState(folder) for folder in reversed([*folders]))
    yield from islice((state for state in states if _contains(state, action)), MOST_RUNS)


def _contains(state: RunState, action: str) -> bool:
    try:
        return f'"{action}"'.encode() in state.data
    except JournalError:
        return False
