"""Figures of the runs of a project for its metrics, from the runs' results: objectives, backups, restores, residue, trends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.judge.result import Verdict
from drillbook.project.project import Project
from drillbook.report.figures import moment
from drillbook.statistics import line

MOST_RUNS = 20
"""Number of newest runs of each drill and environment from which trends and repeated misses are computed."""
OBJECTIVES = ("rto", "rpo", "detect")


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Figures of one run that ended, from its ``result.json``; ``data`` is the whole result."""

    data: Mapping[str, Any]

    @property
    def subject(self) -> tuple[str, str, str]:
        """Service, drill and environment: the key by which runs are grouped."""
        return self.data["service"], self.data["drill"], self.data["environment"]

    @property
    def passed(self) -> bool:
        """True when the run passed, and undid all its changes."""
        return bool(self.data["verdict"] == Verdict.PASSED and self.data["exit"] == 0)

    @property
    def started_s(self) -> float:
        """Start of the run in seconds since 1970; 0 when the result does not contain a time."""
        found = moment(str(self.data["started"]))
        return found.timestamp() if found else 0.0

    def objective(self, key: str) -> Mapping[str, Any]:
        """Objective ``key`` with its measurement; empty when the drill does not set it."""
        found = self.data["objectives"].get(key)
        return found if isinstance(found, dict) else {}

    @property
    def restore(self) -> Mapping[str, float]:
        """``backup_age_s``, ``bytes`` and ``seconds`` of the newest restore step that measured them; without the others."""
        found: dict[str, float] = {}
        for step in self.data["steps"]:
            facts = step.get("facts") or {}
            if step.get("status") != "done":
                continue
            if isinstance(facts.get("age_s"), int | float) and not str(step["id"]).startswith("verify"):
                found["backup_age_s"] = float(facts["age_s"])
            if str(step["id"]).startswith("restore."):
                found.update(_restored(facts, step.get("seconds")))
        return found

    @property
    def open_residue(self) -> int:
        """Number of changes that were not undone, and that nobody has closed."""
        return 0 if self.data.get("settled") else len(self.data["residue"])


def _restored(facts: Mapping[str, Any], seconds: Any) -> dict[str, float]:
    """Size and duration of one restore step; empty when its facts contain no size."""
    backup = facts.get("backup")
    sizes = [facts.get("used_bytes"), facts.get("bytes"), backup.get("bytes") if isinstance(backup, dict) else None]
    size = next((float(one) for one in sizes if isinstance(one, int) and one > 0), None)
    stages = facts.get("seconds")
    spent = stages.get("total") if isinstance(stages, dict) else seconds
    if size is None or not isinstance(spent, int | float) or spent <= 0:
        return {}
    return {"bytes": size, "seconds": float(spent)}


@dataclass(frozen=True, slots=True)
class DrillFigures:
    """Figures of one drill in one environment; ``runs`` are its newest runs, newest first, never empty."""

    runs: tuple[RunFigures, ...]
    residue: int
    """Number of changes not undone and not closed, in all runs."""
    last_pass: RunFigures | None
    """The newest run of all that passed; None without one."""

    @property
    def newest(self) -> RunFigures:
        """Figures of the newest run."""
        return self.runs[0]

    def last_measured(self, key: str) -> Mapping[str, Any]:
        """Objective ``key`` of the newest run that measured it; without one, of the newest run."""
        measured = (one.objective(key) for one in self.runs if one.objective(key).get("measured_s") is not None)
        return next(measured, self.newest.objective(key))

    def misses(self, key: str) -> int:
        """Number of newest runs in a row that missed objective ``key``; runs that could not verify it are skipped."""
        count = 0
        for one in self.runs:
            met = one.objective(key).get("met")
            if met is True:
                break
            count += met is False
        return count

    def trend(self, key: str) -> tuple[float, float] | None:
        """Growth of a measurement in seconds a day over the runs that passed, and its error; None with too few runs."""
        points = [
            (one.started_s / 86400, float(one.objective(key)["measured_s"]))
            for one in self.runs
            if one.passed and one.objective(key).get("measured_s") is not None
        ]
        fitted = line.fit(points)
        return (fitted.slope, fitted.slope_error) if fitted else None

    def last_restore(self) -> Mapping[str, float]:
        """Age of the backup, size and duration of the newest restore that was measured; empty without one."""
        return next((one.restore for one in self.runs if one.restore), {})


def read(project: Project) -> list[DrillFigures]:
    """Read the figures of each drill and environment, sorted; unreadable results are left out."""
    runs: dict[tuple[str, str, str], list[RunFigures]] = {}
    residue: dict[tuple[str, str, str], int] = {}
    passed: dict[tuple[str, str, str], RunFigures] = {}
    for one in _results(sorted(project.runs(), key=lambda folder: folder.name, reverse=True)):
        runs.setdefault(one.subject, []).append(one)
        residue[one.subject] = residue.get(one.subject, 0) + one.open_residue
        if one.passed:
            passed.setdefault(one.subject, one)
    return [DrillFigures(tuple(runs[key][:MOST_RUNS]), residue[key], passed.get(key)) for key in sorted(runs)]


def _results(folders: Sequence[Path]) -> Iterator[RunFigures]:
    for folder in folders:
        try:
            data = json.loads((folder / "result.json").read_bytes())
            figures = RunFigures(data)
            if all(isinstance(part, str) for part in figures.subject) and data["residue"] is not None:
                yield figures
        except (OSError, ValueError, KeyError, TypeError):
            continue
