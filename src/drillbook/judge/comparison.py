"""Comparison of a run with the earlier runs of the same drill in the same environment.

The journal of the run records these earlier runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from drillbook.events.event import Event, contents
from drillbook.events.runs import EarlierRuns
from drillbook.judge import detection, shortfall
from drillbook.judge.changes import Comparison, FigureChange, FindingChange, LossChange, StepChange, TargetChange
from drillbook.judge.later_steps import lasting
from drillbook.judge.recovered_later import RECOVERED
from drillbook.judge.result import Result, StepResult
from drillbook.judge.verdicts import Verdict

FIGURES = {"rto": "rto", "rpo": "rpo", "detection": "detect"}
"""Clocks (measured durations) that are compared. The key of each entry is the clock, and the value is the objective of this
clock. If a run has no figure for a clock, the figure of the clock's objective is compared.
"""
LEAST_S, LEAST_PART = 0.2, 0.25
"""Least difference at which a step counts as slower or faster than in the earlier runs. The duration must differ by more
than ``LEAST_S`` seconds, and by more than the fraction ``LEAST_PART`` of the earlier duration.
"""


class ComparedStep(BaseModel):
    """One step of an earlier run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    action: str
    host: str
    status: str
    seconds: float | None


class ComparedLoss(BaseModel):
    """Data of one kind that did not come back completely. The fields are those of ``shortfall.Shortfall``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    what: str
    removed: int
    restored: int
    replaced: bool = False

    @property
    def missing(self) -> int:
        """Smallest possible number of missing items."""
        return self.removed - self.restored

    @property
    def text(self) -> str:
        """Short clause about the loss."""
        return shortfall.Shortfall(self.what, self.removed, self.restored, "", self.replaced).lost


class ComparedRun(BaseModel):
    """An earlier run, reduced to the data that later runs are compared with.

    It is one entry of the event `earlier.runs`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str
    started: str
    verdict: str
    exit: int
    tool: str
    plan_digest: str
    figures: dict[str, tuple[float | None, float | None]]
    """Value and error of each compared clock, in seconds."""
    findings: tuple[tuple[str, str], ...]
    """Code and title of each finding."""
    steps: tuple[ComparedStep, ...]
    targets: dict[str, float] | None = None
    """Target of each objective, in seconds. It is None in the entries of older journals."""
    unverified: tuple[str, ...] = ()
    """Objectives that were measured, but could not be verified. The value is empty in the entries of older journals."""
    lost: tuple[ComparedLoss, ...] | None = None
    """Data that did not come back. It is None in the entries of older journals."""


def reduced(result: Result) -> ComparedRun:
    """Reduce a result to the data that later runs are compared with. Data that its recoveries did not bring back is included."""
    return ComparedRun(
        run=result.run,
        started=result.started,
        verdict=result.verdict,
        exit=result.exit,
        tool=result.tool,
        plan_digest=result.plan_digest,
        figures={key: _figure(result, key) for key in FIGURES},
        findings=tuple((finding.code, finding.title.partition(f"; {RECOVERED}")[0]) for finding in result.every_finding),
        steps=tuple(ComparedStep.model_validate(step.model_dump(exclude={"facts"})) for step in result.steps),
        targets={key: objective.target_s for key, objective in result.objectives.items()},
        unverified=tuple(
            key for key, objective in result.objectives.items() if objective.met is None and objective.measured_s is not None
        ),
        lost=tuple(
            ComparedLoss(what=loss.what, removed=loss.removed, restored=loss.restored, replaced=loss.replaced)
            for loss in shortfall.shortfalls(lasting(result.steps, result.later_steps))
        ),
    )


def comparison(result: Result, events: Sequence[Event]) -> Comparison | None:
    """Compare ``result`` with the earlier runs that its journal records, newest first.

    An aborted run proves little, so it is compared with only if all earlier runs were aborted. Return None when the journal records no
    earlier run.
    """
    known = [ComparedRun.model_validate(run) for what in contents(events, EarlierRuns) for run in what.runs]
    if not known:
        return None
    earlier = [run for run in known if run.verdict != Verdict.ABORTED] or known
    last, now = earlier[0], reduced(result)
    old, new = set(last.findings), set(now.findings)
    before, present = _steps(last.steps), _steps(result.steps)
    return Comparison(
        run=last.run,
        started=last.started,
        verdict=last.verdict,
        exit=last.exit,
        tool=last.tool,
        same_plan=last.plan_digest == result.plan_digest,
        figures=tuple(_change(key, last, now) for key in FIGURES if _known(key, last, now)),
        added=tuple(_told(step) for key, step in present.items() if key not in before),
        removed=tuple(_told(step) for key, step in before.items() if key not in present),
        paced=tuple(_paced(present, [_steps(run.steps) for run in earlier])),
        new_findings=tuple(FindingChange(code=code, title=title) for code, title in sorted(new - old)),
        gone_findings=tuple(FindingChange(code=code, title=title) for code, title in sorted(old - new)),
        targets=tuple(_targets(last, now)),
        losses=tuple(_losses(last, now)),
        older=tuple(run.run for run in earlier[1:]),
        aborted=tuple(run.run for run in known[: known.index(last)]),
    )


def _targets(last: ComparedRun, now: ComparedRun) -> Iterator[TargetChange]:
    """Yield the objectives whose targets differ."""
    before, present = last.targets, now.targets or {}
    for key in sorted(present | before) if before is not None else ():
        if (before or {}).get(key) != present.get(key):
            yield TargetChange(key=key, before_s=(before or {}).get(key), now_s=present.get(key))


def _losses(last: ComparedRun, now: ComparedRun) -> Iterator[LossChange]:
    """Yield each kind of data that did not come back completely in at least one of the two runs."""
    before, present = ({loss.what: loss for loss in run.lost or ()} for run in (last, now))
    for what in sorted(before | present):
        old, new = _lost(last, before.get(what)), _lost(now, present.get(what))
        more = None if old is None or new is None else new[1] - old[1]
        yield LossChange(what=what, before=old and old[0], now=new and new[0], more=more)


def _lost(run: ComparedRun, loss: ComparedLoss | None) -> tuple[str, int] | None:
    """Return a clause about a loss in a run, and the number of missing items. If nothing was lost, the clause is empty.

    Returns None when it is unknown whether something was lost. This is so when the journal does not record losses, or when the run
    did not pass. A run that did not pass perhaps restored nothing, and so could not find a loss.
    """
    if loss is not None:
        return loss.text, loss.missing
    return ("", 0) if run.lost is not None and run.verdict == Verdict.PASSED else None


def _figure(result: Result, key: str) -> tuple[float | None, float | None]:
    value, error = result.clocks.get(f"{key}_s"), result.clocks.get(f"{key}_error_s")
    goal = result.objectives.get(FIGURES[key])
    if value is None and goal is not None:
        return goal.measured_s, goal.error_s
    return value, error


def _known(key: str, last: ComparedRun, now: ComparedRun) -> bool:
    return any(run.figures.get(key, (None, None))[0] is not None for run in (last, now))


def _change(key: str, last: ComparedRun, now: ComparedRun) -> FigureChange:
    (old, old_error), (new, new_error) = last.figures.get(key, (None, None)), now.figures[key]
    word: Literal["longer", "shorter", "same", "unknown"] = "unknown"
    if old is not None and new is not None and old_error is not None and new_error is not None:
        beyond = abs(new - old) > old_error + new_error
        word = ("longer" if new > old else "shorter") if beyond else "same"
    by_alert = detection.awaits_alert((step.id, step.action) for step in last.steps)
    return FigureChange(
        key=key,
        before_s=old,
        before_error_s=old_error,
        now_s=new,
        now_error_s=new_error,
        change=word,
        before_verified=FIGURES[key] not in last.unverified,
        before_by_alert=by_alert if key == "detection" and old is not None else None,
    )


Key = tuple[str, str, str, int]


def _steps(steps: Sequence[ComparedStep | StepResult]) -> dict[Key, ComparedStep | StepResult]:
    """Return the steps of a run as a mapping. The key of a step has four items: phase, action, host and a number. The number
    tells apart the steps that have the same phase, action and host.

    Ids are not compared, because the id of a step changes when another step is added before it.
    """
    step_by_key: dict[Key, ComparedStep | StepResult] = {}
    counts: dict[tuple[str, str, str], int] = {}
    for step in steps:
        place = (step.id.partition(".")[0], step.action, step.host)
        counts[place] = counts.get(place, 0) + 1
        step_by_key[(*place, counts[place])] = step
    return step_by_key


def _told(step: ComparedStep | StepResult) -> str:
    return f"{step.id} {step.action} on {step.host}"


def _paced(
    present: Mapping[Key, ComparedStep | StepResult], earlier: Sequence[Mapping[Key, ComparedStep | StepResult]]
) -> Iterator[StepChange]:
    """Return the steps that were slower than in every earlier run, or faster than in every earlier run. Only earlier runs in
    which the step succeeded are compared.
    """
    for key, step in present.items():
        known = [
            steps[key].seconds
            for steps in earlier
            if key in steps and steps[key].status == "done" and steps[key].seconds is not None
        ]
        past = [value for value in known if value is not None]
        if step.status != "done" or step.seconds is None or not past:
            continue
        low, high = min(past), max(past)
        slower = step.seconds > high + least_change(high)
        faster = step.seconds < low - least_change(low)
        if slower or faster:
            yield StepChange(step=_told(step), slower=slower, now_s=step.seconds, low_s=low, high_s=high, runs=len(past))


def least_change(earlier: float) -> float:
    """Return the difference, in seconds, above which a step counts as slower or faster. ``earlier``: its duration in the
    earlier run."""
    return max(LEAST_S, LEAST_PART * earlier)


def as_entries(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the entries of the event `earlier.runs`, one for each of ``results``. An entry holds only the data with which
    later runs are compared.
    """
    return [reduced(result).model_dump(mode="json") for result in results]
