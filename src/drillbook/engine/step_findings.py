"""Findings of a step as they are journalled: with the id of the step, and with advice that depends on the drill."""

from __future__ import annotations

import re

from drillbook.findings import Finding
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan
from drillbook.sdk import discovery
from drillbook.sdk.action import Effect
from drillbook.sdk.service import kind_of

_ANSWERED = re.compile(r"status [1-4]\d\d\b")
"""Regular expression for an HTTP status below 500: the service answered, and the answer is not an error of the server."""
NO_JOB = (
    "The lab keeps no routine backups of this service. Run the drill with an inventory of your own, or place a backup where the "
    "drill looks for it."
)
"""Remedy for a routine backup that is missing in a lab."""


def of_step(problem: Finding, step: PlannedStep, plan: Plan) -> Finding:
    """Copy a finding of ``step``. If the service gave an answer that the drill did not expect, the mistake may be in the drill.
    The remedy of the copy then also names the line of the step. If a routine backup is missing in a lab, the remedy says that
    the lab has none.
    """
    answered = problem.code == "expectation" or (problem.code == "http-unexpected" and _ANSWERED.match(problem.measured))
    remedy = problem.remedy
    if answered and step.line:
        remedy += f" If the answer is right, correct the expectation in `{step.line}`."
    if problem.code == "backup-missing" and step.phase == "backup":
        remedy = of_missing_routine(plan) or remedy
    return problem.model_copy(update={"step": step.id, "remedy": remedy})


def of_missing_routine(plan: Plan) -> str:
    """Return the remedy for a missing routine backup, if the drill takes no backup itself and runs in a lab that has no routine
    backups of its service. The result is empty for any other drill.
    """
    service = plan.inventory.services.get(plan.service)
    own = service is not None and discovery.own_backups(kind_of(service))
    lacks = plan.inventory.lab and not own and all(step.effect is Effect.READ for step in plan.phase("backup"))
    return NO_JOB if lacks else ""
