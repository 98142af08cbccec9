"""Results of earlier runs, read from their journals: measured sizes, and the facts of the newest passed step of an action."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.journal.journal import FILE, read
from drillbook.judge.capacity import points
from drillbook.judge.judge import judge
from drillbook.judge.result import RunView
from drillbook.judge.size_points import ACTION, Point
from drillbook.plan.planner import Plan
from drillbook.sdk.earlier import EarlierStep

MOST_RUNS = 100
"""Maximum number of journals with sizes to read, newest first."""


def collects(plan: Plan) -> bool:
    """Return True when the plan measures the size of a service."""
    return any(step.action == ACTION for step in plan.steps)


def capacity(folders: Iterable[Path], plan: Plan) -> list[dict[str, Any]]:
    """Sizes measured by the runs in ``folders`` in the environment of ``plan``, oldest first; each is a ``Point`` as JSON.

    Unreadable journals and unfinished runs are skipped.
    """
    found: list[Point] = []
    for folder in [folder for folder in folders if _contains(folder, ACTION)][-MOST_RUNS:]:
        if view := _finished(folder, plan):
            found += points(view.result)
    return [point.model_dump(mode="json") for point in found]


def last_step(folders: Sequence[Path], plan: Plan, action: str, service: str) -> EarlierStep | None:
    """Return the newest step that passed with ``action`` on ``service`` in a finished run in the environment of ``plan``.

    ``folders`` are folders of runs, oldest first. Unreadable journals are skipped; at most ``MOST_RUNS`` are read.
    """
    for folder in [folder for folder in folders if _contains(folder, action)][: -MOST_RUNS - 1 : -1]:
        view = _finished(folder, plan)
        for step in reversed(view.steps if view else ()):
            if (step.result.action, step.result.status, step.params.get("service")) == (action, "done", service):
                return EarlierStep(folder.name, view.result.started if view else "", step.result.facts)
    return None


def _finished(folder: Path, plan: Plan) -> RunView | None:
    """Judge a run; None when it cannot be read, has not finished, or ran in another environment than that of ``plan``."""
    try:
        view = judge(read(folder / FILE))
    except (OSError, ValueError, KeyError, DrillbookError):
        return None
    result = view.result
    return view if result.finished and result.environment == plan.inventory.environment else None


def _contains(folder: Path, action: str) -> bool:
    """Return True when the journal contains the name of the action; other runs are skipped, since judging them is slow."""
    try:
        return f'"{action}"'.encode() in (folder / FILE).read_bytes()
    except OSError:
        return False
