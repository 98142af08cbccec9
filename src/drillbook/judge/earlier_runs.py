"""Sizes measured by earlier runs, read from their journals to be recorded in the journal of a new run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.journal.journal import FILE, read
from drillbook.judge.capacity import points
from drillbook.judge.judge import judge
from drillbook.judge.size_points import ACTION, Point
from drillbook.plan.planner import Plan

MOST_RUNS = 100
"""Maximum number of journals with sizes to read, newest first."""


def collects(plan: Plan) -> bool:
    """Return True when the plan measures the size of a service."""
    return any(step.action == ACTION for step in plan.steps)


def capacity(folders: Iterable[Path], plan: Plan) -> list[dict[str, Any]]:
    """Sizes measured by the runs in ``folders``, if in the environment of ``plan``; oldest first, each a ``Point`` as JSON.

    Unreadable journals and unfinished runs are skipped.
    """
    found: list[Point] = []
    for folder in [folder for folder in folders if _collected(folder)][-MOST_RUNS:]:
        try:
            result = judge(read(folder / FILE)).result
        except (OSError, ValueError, KeyError, DrillbookError):
            continue
        if result.environment == plan.inventory.environment and result.finished:
            found += points(result)
    return [point.model_dump(mode="json") for point in found]


def _collected(folder: Path) -> bool:
    """Return True when the journal contains the name of the size action; other runs need not be judged, which is slow."""
    try:
        return f'"{ACTION}"'.encode() in (folder / FILE).read_bytes()
    except OSError:
        return False
