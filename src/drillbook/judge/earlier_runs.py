"""What earlier runs measured, read from their journals for the journal of a later one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.journal.journal import FILE, read
from drillbook.judge.judge import judge, points
from drillbook.judge.size_points import ACTION, Point
from drillbook.plan.planner import Plan

MOST_RUNS = 100
"""The newest runs with sizes that are looked at."""


def collects(plan: Plan) -> bool:
    """Does the plan measure the size of a service?"""
    return any(step.action == ACTION for step in plan.steps)


def capacity(folders: Iterable[Path], plan: Plan) -> list[dict[str, Any]]:
    """The points of the runs in ``folders`` (oldest first) in the environment of ``plan``, oldest first, as JSON.

    A journal that is damaged, unfinished or of another version has none.
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
    """Does the journal of a run hold a size? Judging all of them would take long."""
    try:
        return f'"{ACTION}"'.encode() in (folder / FILE).read_bytes()
    except OSError:
        return False
