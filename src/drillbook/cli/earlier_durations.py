"""Durations of earlier runs of a drill, read from their results. ``drill.plan`` and the live view show them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from drillbook.journal.run_files import RESULT
from drillbook.judge.verdicts import Verdict
from drillbook.plan.planned_step import PlannedStep
from drillbook.project.project import Project
from drillbook.report.figures import count, took

RUNS = 20
"""Maximum number of runs that are read. The newest runs are read first."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Durations, in seconds, from previous runs of a drill. ``runs``: durations of whole runs. ``steps``: durations of
    each step. The key of a step is the pair of its id and its action.
    """

    runs: tuple[float, ...] = ()
    steps: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def about(self, step: PlannedStep) -> dict[str, Any]:
        """Return the median duration of ``step`` in previous runs, in seconds, and the number of these runs."""
        return median(self.steps.get((step.id, step.action), ()))


def median(seconds: Sequence[float]) -> dict[str, Any]:
    """Return the median of durations, in seconds, and their number. The median of no durations is None."""
    return {"seconds": round(statistics.median(seconds), 3) if seconds else None, "runs": len(seconds)}


def earlier(project: Project, drill: str) -> Earlier:
    """Return the durations of the newest runs of ``drill``. Refused, aborted and unfinished runs do not count."""
    durations: list[float] = []
    steps: dict[tuple[str, str], list[float]] = {}
    for result in _results(project, drill):
        try:
            if result["verdict"] in (Verdict.REFUSED, Verdict.ABORTED) or not result["finished"]:
                continue
            durations.append((_moment(result["finished"]) - _moment(result["started"])).total_seconds())
            for key, seconds in _seconds(result["steps"]).items():
                steps.setdefault(key, []).append(seconds)
        except (ValueError, KeyError, TypeError):
            continue  # The result is damaged; `invoke report RUN` writes it again from the journal.
        if len(durations) == RUNS:
            break
    return Earlier(tuple(durations), steps)


def phases_of_last(project: Project, drill: str) -> dict[str, float]:
    """Return the durations of the phases in the last passed run of ``drill``, in seconds. The result is empty if none of
    the newest runs passed.
    """
    for result in islice(_results(project, drill), RUNS):
        try:
            if result["verdict"] == Verdict.PASSED:
                return {str(row["phase"]): float(row["seconds"]) for row in result["phases"] if row["seconds"] is not None}
        except (ValueError, KeyError, TypeError):
            continue  # the result is damaged
    return {}


def last_of_suite(project: Project, suite: str) -> float | None:
    """Return the duration of the newest passed run of ``suite``, in seconds. Returns None if the suite never passed."""
    for result in _results(project, suite, "suite"):
        try:
            if result["verdict"] == Verdict.PASSED:
                return (_moment(result["finished"]) - _moment(result["started"])).total_seconds()
        except (ValueError, KeyError, TypeError):
            continue  # the result is damaged
    return None


def of_drills(durations: Sequence[float | None]) -> str:
    """Return a text about the duration of a suite that never passed as a whole, from the durations of its drills, such as
    "not known as a whole; 6 of 7 drills: 1 min 48 s". ``durations``: one duration in seconds for each drill, or None if it
    is unknown. The result is empty when no duration is known.
    """
    known = [seconds for seconds in durations if seconds is not None]
    if not known:
        return ""
    part = f"{len(known)} of " if len(known) < len(durations) else "its "
    return f"not known as a whole; {part}{count(len(durations), 'drill')}: {took(sum(known))}"


def _results(project: Project, drill: str, key: str = "drill") -> Iterator[dict[str, Any]]:
    """Yield the results of the runs of ``drill``, the newest first. Results that cannot be read are left out. ``key``: name
    of the field with the name of the drill, or of the suite.
    """
    paths = [*project.reports.glob(f"*-{drill}-*/{RESULT}"), *project.reports.glob(f"*/*-{drill}-*/{RESULT}")]
    known = [path for path in paths if "latest" not in path.parts]
    for path in sorted(known, key=lambda path: path.parent.name, reverse=True):
        try:
            result = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(result, dict) and result.get(key) == drill:
            yield result


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _seconds(steps: Sequence[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Return the duration, in seconds, of each successful step on its slowest host. The key of a step is the pair of its id
    and its action.
    """
    seconds_by_step: dict[tuple[str, str], float] = {}
    for step in steps:
        if step["status"] == "done" and step["seconds"] is not None:
            key = (str(step["id"]), str(step["action"]))
            seconds_by_step[key] = max(seconds_by_step.get(key, 0.0), float(step["seconds"]))
    return seconds_by_step
