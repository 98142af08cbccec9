"""Steps that the recoveries of a run carried out, and data that did not come back in these steps.

The result of a run is not changed by a recovery. But a loss of data must be told, also if only a recovery restored the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from drillbook.findings import Finding
from drillbook.installation.program_name import as_called
from drillbook.judge import shortfall
from drillbook.judge.recovery_record import Act, Recovery
from drillbook.judge.result import Result, StepResult

RESTORE = "restore."
"""Beginning of the names of the steps with which a run itself restores data."""
AnyStep = TypeVar("AnyStep", bound=shortfall.Outcome)


def with_later_steps(result: Result, recoveries: Iterable[Recovery], program: str) -> Result:
    """Return ``result`` with the steps of the recoveries, and with the findings about data that these steps did not bring back.

    The rows that the fault removed are compared with the rows that the last restore brought back, as for a run without a
    recovery. A finding that the run itself has is left out. ``program``: name of the program in remedies.
    """
    acts = [act for recovery in recoveries for act in recovery.acts if act.sort == "step"]
    if not acts:
        return result
    steps = {(act.step, act.host): _step(act) for act in acts}
    known = result.model_copy(update={"later_steps": tuple(steps.values())})
    own = set(map(_place, result.findings))
    merged = _merged(result.steps, known.later_steps)
    missing = [finding for finding in shortfall.findings(merged) if _place(finding) not in own]
    told = tuple(finding.model_copy(update={"remedy": as_called(finding.remedy, program)}) for finding in missing)
    return known.model_copy(update={"later_findings": told})


def lasting(steps: Sequence[AnyStep], later: Sequence[AnyStep]) -> list[AnyStep]:
    """Return the steps that tell which data was lost, and which backup was restored: those of the run itself, or, if only its
    recoveries restored the data or found a loss, those of the recoveries too.

    ``steps``: steps of the run. ``later``: last outcome of each step that its recoveries carried out.
    """
    merged = _merged(steps, later)
    restored = any(step.id.startswith(RESTORE) and step.status == "done" for step in steps)
    known = shortfall.shortfalls(steps)
    own = not later or (restored and all(loss in known for loss in shortfall.shortfalls(merged)))
    return list(steps) if own else merged


def _merged(steps: Sequence[AnyStep], later: Sequence[AnyStep]) -> list[AnyStep]:
    """Return the steps of a run with those of its recoveries. The steps of the run's own restore are left out: a later restore
    replaces what they brought back.
    """
    return [*(step for step in steps if not step.id.startswith(RESTORE)), *later]


def _step(act: Act) -> StepResult:
    took = None if act.start is None or act.end is None else act.end - act.start
    return StepResult.model_validate(
        {"id": act.step, "action": act.what, "host": act.host, "status": act.status, "seconds": took, "facts": act.facts}
    )


def _place(finding: Finding) -> tuple[str, str | None, str]:
    return finding.code, finding.step, finding.measured
