"""Compares the objectives of a run with its measurements. Each objective is then met, missed or not verified. The
objectives for RTO and RPO are met only if the verify phase passed.
"""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, contents
from drillbook.events.runs import PhaseEnded
from drillbook.judge import detection
from drillbook.judge.figures import Figures
from drillbook.judge.result import Objective, StepView
from drillbook.plan.planner import Plan

CLOCK_OF = {
    "rto": "disruption to sustained recovery",
    "rpo": "acknowledged writes",
    "detect": "disruption to the end of the first bad sample",
}
BY_ALERT = "disruption to the expected alert"
BAD = ("failed", "unverified", "error", "unknown", "cancelled")
"""Statuses of a step that did not succeed, and that was not allowed to fail."""


def unverified(steps: Sequence[StepView], events: Sequence[Event]) -> str | None:
    """Return the reason why the RTO and the RPO cannot be verified, or None if they can. There are four reasons: the verify
    phase is missing, it did not pass, one of its steps was skipped, or a step used a backup without a trusted signature.
    """
    checks = [view for view in steps if view.phase == "verify"]
    if not checks:
        return "the drill has no verify steps"
    ended = [what.status for what in contents(events, PhaseEnded) if what.phase == "verify"]
    if not ended:
        return "the verification did not run"
    if ended[-1] == "interrupted":
        return "the verification was interrupted"
    step = next((view.result.id for view in steps if view.result.facts.get("unvouched")), None)
    if step:
        return f"{step} used a backup that has no trusted signature"
    bad = [view.result.id for view in checks if view.result.status in (*BAD, "allowed")]
    if bad:
        return f"the verification did not pass ({', '.join(bad)})"
    left_out = next((view for view in checks if view.result.status == "skipped"), None)
    return f"the verification {left_out.result.id} was skipped ({left_out.message})" if left_out else None


def objectives(plan: Plan, figures: Figures, unverified: str | None) -> dict[str, Objective]:
    """Compare each objective of the plan with its measurement.

    If the comparison is inconclusive, ``met`` is None and a reason is given.
    """
    result = {}
    for key, target in plan.objectives.items():
        figure = figures.objectives[key]
        reason = figure.reason
        if reason is None and key in ("rto", "rpo") and unverified:
            reason = unverified
        measured, error = figure.seconds, figure.error
        met = False if figure.missed else None if measured is None or reason else measured + (error or 0.0) <= target
        if met is False and measured is not None and measured <= target:
            reason, met = f"{measured:.3f} s is within {target:g} s only when its error of {error:.3f} s is ignored", None
        clock = BY_ALERT if key == "detect" and detection.expected(plan) else CLOCK_OF[key]
        clock = figures.rpo_clock or clock if key == "rpo" else clock
        objective = Objective(target_s=target, measured_s=measured, error_s=error, met=met, reason=reason, clock=clock)
        if key == "rpo" and figures.lost_writes is not None:
            objective = objective.model_copy(
                update={
                    "lost_writes": figures.lost_writes,
                    "acknowledged_writes": figures.acknowledged,
                    "lost_numbers": tuple(figures.lost_numbers),
                    "lost_spans": tuple(figures.lost_spans) if figures.lost_spans != figures.lost_numbers else None,
                }
            )
        result[key] = objective
    return result
