"""Runs that the guard of their drill refused because of the environment. Such a run tried nothing, and a repetition would be
refused too, so the next step is to end the demand for the drill in this environment."""

from __future__ import annotations

import shlex

from drillbook.audit.content import Audit
from drillbook.audit.findings import FindingRow
from drillbook.audit.run_rows import RunRow
from drillbook.installation.program_name import NEUTRAL
from drillbook.judge.verdicts import Verdict
from drillbook.plan.permitted import FORBIDDEN
from drillbook.report import next_steps


def finding(audit: Audit, run: RunRow) -> FindingRow | None:
    """Return the finding that the guard does not permit the environment of ``run``, the newest run of its drill there. Returns
    None for a run that was not refused for this reason."""
    if run.verdict != Verdict.REFUSED:
        return None
    mine = (row for row in audit.findings if (row.environment, row.drill) == (run.environment, run.drill))
    return next((row for row in mine if row.code == FORBIDDEN and row.known_now), None)


def verdict(audit: Audit, run: RunRow) -> str:
    """Return the verdict of ``run`` for the state of its service: a run that was refused because of the environment counts as not
    run there, because it was no attempt."""
    return Verdict.NOT_RUN if finding(audit, run) else run.verdict


def step(audit: Audit, run: RunRow, refused: FindingRow) -> str:
    """Return the next step after ``run``. ``refused``: see ``finding``. Only a retirement, or another guard, closes the row. A
    run in a permitted environment is suggested too, unless there is none, or the drill passed in another environment in the
    period.
    """
    place = run.environment
    retire = f"{NEUTRAL} schedule.retire {shlex.quote(run.drill)} --environment {shlex.quote(place)} --reason TEXT"
    text = f"this drill does not belong in {place}: retire it there (`{retire}`), or add {place} to its `guard.environments`"
    passed = any(
        other.drill == run.drill and other.environment != place and other.verdict == Verdict.PASSED for other in audit.runs
    )
    return text if passed or not refused.wanted else f"{text}. Elsewhere: {next_steps.permitted_step(refused.remedy)}"
