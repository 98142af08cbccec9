"""Reads figures of a project's runs from their results, for the metrics of the project. The figures are about
objectives, backups, restores, residue and trends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.exits import Exit
from drillbook.journal.run_state import RunStates
from drillbook.judge import objective_proof
from drillbook.judge.objective_proof import Answer
from drillbook.judge.result import Objective
from drillbook.judge.verdicts import Verdict, without_refused
from drillbook.project.project import Project
from drillbook.report import remarks, wording
from drillbook.report.figures import moment
from drillbook.report.proven_restore import MALFORMED, proves
from drillbook.report.remarks import RESERVED
from drillbook.report.wording import MET_OF
from drillbook.statistics import line

MOST_RUNS = 20
"""Number of runs from which trends and repeated misses are computed. These are the newest runs of a drill in one
environment.
"""
OBJECTIVES = ("rto", "rpo", "detect")
_NUMBERS = ("target_s", "measured_s", "error_s")


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Figures of one finished run, from its ``result.json``. ``data``: the whole result."""

    data: Mapping[str, Any]

    @property
    def subject(self) -> tuple[str, str, str]:
        """Key by which runs are grouped: the service, the drill and the environment."""
        return self.data["service"], self.data["drill"], self.data["environment"]

    @property
    def verdict(self) -> str:
        """Verdict of the run."""
        return str(self.data["verdict"])

    @property
    def left(self) -> bool:
        """True when the run left changes that nobody undid or closed."""
        return self.open_residue > 0

    @property
    def passed(self) -> bool:
        """True when the run passed and has undone all its changes."""
        return bool(self.data["verdict"] == Verdict.PASSED and self.data["exit"] == Exit.OK)

    @property
    def proven(self) -> bool:
        """True when the run passed, has undone all its changes, and proved a restore."""
        return self.passed and proves(self.data)

    @property
    def started_s(self) -> float:
        """Start of the run, in seconds since 1970. It is 0 when the result does not contain a time."""
        start = moment(str(self.data["started"]))
        return start.timestamp() if start else 0.0

    def objective(self, key: str) -> Mapping[str, Any]:
        """Return the objective ``key`` with its measurement. The result is empty when the drill does not set this
        objective, or when it is malformed.
        """
        written = self.data.get("objectives")
        goal = written.get(key) if isinstance(written, dict) else None
        whole = isinstance(goal, dict) and all(isinstance(goal.get(name), float | int | None) for name in _NUMBERS)
        return goal if goal and whole else {}

    def state(self, key: str) -> str:
        """Return the state of the objective ``key`` as the reports and the audit show it, such as `met with a reservation`.
        The result is empty when the drill does not set this objective, or when the steps are malformed.
        """
        goal = self.objective(key)
        try:
            rpo = _known(self.objective("rpo"))
            told = remarks.of_run(remarks.steps_of(self.data.get("steps") or []), str(self.data["started"]), rpo)
            return wording.state_of(goal.get("met"), goal.get("measured_s"), told.get(key)) if goal else ""
        except MALFORMED:
            return ""

    def answer(self, key: str, target_s: float) -> Answer:
        """Return the result of this run for the objective ``key``. Examples are ``PROVED``, ``MISSED``, and ``NONE`` for a run
        without a result for this objective. ``target_s``: present target of the objective.
        """
        state = self.state(key)
        if not state:
            return Answer.NONE
        verdict = "" if self.data["verdict"] == Verdict.PASSED and not self.passed else str(self.data["verdict"])
        goal = self.objective(key)
        held = objective_proof.within(goal.get("measured_s"), goal.get("error_s"), target_s)
        return objective_proof.answer(verdict, MET_OF.get(state), marked=state == RESERVED, held=held)

    @property
    def restore(self) -> Mapping[str, float]:
        """Return ``backup_age_s`` (largest possible age of the restored backup), ``bytes`` and ``seconds`` (size and duration of the
        restore), each from the last step of the run that measured it. Values that were not measured are left out. The result
        is empty when the steps are malformed.
        """
        try:
            return self._restore()
        except MALFORMED:
            return {}

    def _restore(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        for step in self.data.get("steps") or []:
            facts = step.get("facts") or {}
            if step.get("status") != "done":
                continue
            if isinstance(facts.get("age_s"), int | float) and not str(step["id"]).startswith("verify"):
                figures["backup_age_s"] = float(facts["age_s"]) + _error(facts.get("backup"))
            if str(step["id"]).startswith("restore."):
                figures.update(_restored(facts, step.get("seconds")))
        return figures

    @property
    def open_residue(self) -> int:
        """Number of changes that were neither undone nor closed with `drill.recover --settled`."""
        return 0 if self.data.get("settled") else len(self.data["residue"])


def _known(told: Mapping[str, Any]) -> Objective | None:
    """Return an objective of a result. Fields that only newer versions of Drillbook know are ignored."""
    return Objective.model_validate({key: told[key] for key in Objective.model_fields if key in told}) if told else None


def _error(backup: Any) -> float:
    """Return the largest known error of the time of a backup, in seconds: its data may be older than this time."""
    error = backup.get("error_s") if isinstance(backup, dict) else None
    return float(error) if isinstance(error, int | float) else 0.0


def _restored(facts: Mapping[str, Any], seconds: Any) -> dict[str, float]:
    """Return the size and the duration of one restore step. The result is empty when the facts of the step contain no
    size.
    """
    backup = facts.get("backup")
    sizes = [facts.get("used_bytes"), facts.get("bytes"), backup.get("bytes") if isinstance(backup, dict) else None]
    size = next((float(byte_count) for byte_count in sizes if isinstance(byte_count, int) and byte_count > 0), None)
    stages = facts.get("seconds")
    spent = stages.get("total") if isinstance(stages, dict) else seconds
    if size is None or not isinstance(spent, int | float) or spent <= 0:
        return {}
    return {"bytes": size, "seconds": float(spent)}


@dataclass(frozen=True, slots=True)
class DrillFigures:
    """Figures of one drill in one environment. ``every``: all its runs, from the newest to the oldest. There is at least one
    run.
    """

    every: tuple[RunFigures, ...]
    residue: int
    """Number of changes, over all runs, that were neither undone nor closed with `drill.recover --settled`."""
    last_pass: RunFigures | None
    """The newest run that passed and undid all its changes. The value is None when there is no such run."""
    last_proof: RunFigures | None = None
    """The newest run that passed, undid all its changes, and proved a restore. The value is None when there is no such run."""

    @property
    def runs(self) -> tuple[RunFigures, ...]:
        """The newest runs, from which trends and repeated misses are computed."""
        return self.every[:MOST_RUNS]

    @property
    def newest(self) -> RunFigures:
        """Figures of the newest run."""
        return self.every[0]

    @property
    def shown(self) -> RunFigures:
        """Figures of the run that lists show as the newest; see ``verdicts.without_refused``."""
        return without_refused(self.every)[0]

    def last_measured(self, key: str) -> Mapping[str, Any]:
        """Return the objective ``key`` of the newest run that measured it. If no run measured it, return the objective
        of the newest run.
        """
        measured = (run.objective(key) for run in self.runs if run.objective(key).get("measured_s") is not None)
        return next(measured, self.newest.objective(key))

    def misses(self, key: str) -> int:
        """Return the number of runs in a row that missed the objective ``key``, counted back from the newest run. Runs
        that could not verify the objective are skipped.
        """
        count = 0
        for run in self.runs:
            met = MET_OF.get(run.state(key))
            if met:
                break
            count += met is False
        return count

    def proven(self, key: str) -> bool:
        """Return True when the runs together prove the objective ``key``. The rule is ``judge.objective_proof.RULE``."""
        targets = (figures.objective(key).get("target_s") for figures in self.every)
        target_s = next((float(target) for target in targets if target is not None), math.inf)
        return objective_proof.standing(
            objective_proof.up_to_the_decision(figures.answer(key, target_s) for figures in self.every)
        ).proven

    def trend(self, key: str) -> tuple[float, float] | None:
        """Return how fast the measured value of the objective ``key`` grows over the passed runs, in seconds per day, and
        the error of this growth. Returns None when too few runs measured it.
        """
        points = [
            (run.started_s / 86400, float(run.objective(key)["measured_s"]))
            for run in self.runs
            if run.passed and run.objective(key).get("measured_s") is not None
        ]
        fitted = line.fit(points)
        return (fitted.slope, fitted.slope_error) if fitted else None

    def last_restore(self) -> Mapping[str, float]:
        """Return the age of the backup, and the size and the duration of the restore, from the newest run that measured at
        least one of these figures. The result is empty when no run measured any of them.
        """
        return next((run.restore for run in self.runs if run.restore), {})


def read(project: Project, states: RunStates) -> list[DrillFigures]:
    """Read the figures of each drill in each environment. They are sorted by service, drill and environment. Results
    that cannot be read are left out. ``states``: states of all runs that the task reads.
    """
    runs: dict[tuple[str, str, str], list[RunFigures]] = {}
    residue: dict[tuple[str, str, str], int] = {}
    passed: dict[tuple[str, str, str], RunFigures] = {}
    proven: dict[tuple[str, str, str], RunFigures] = {}
    for result in _results(sorted(project.runs(), key=lambda folder: folder.name, reverse=True), states):
        runs.setdefault(result.subject, []).append(result)
        residue[result.subject] = residue.get(result.subject, 0) + result.open_residue
        if result.passed:
            passed.setdefault(result.subject, result)
        if result.subject not in proven and result.proven:
            proven[result.subject] = result
    return [DrillFigures(tuple(runs[key]), residue[key], passed.get(key), proven.get(key)) for key in sorted(runs)]


def _results(folders: Sequence[Path], states: RunStates) -> Iterator[RunFigures]:
    for folder in folders:
        try:
            data = states.of(folder).result.parsed()
            figures = RunFigures(data)
            texts = (*figures.subject, data["verdict"], data["started"])
            if (
                all(isinstance(part, str) for part in texts)
                and isinstance(data["exit"], int)
                and isinstance(data["residue"], list)
            ):
                yield figures
        except (OSError, *MALFORMED):
            continue
