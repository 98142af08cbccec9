"""Evidence of recovery that a run of the record may have. What is not certain does not count."""

from __future__ import annotations

from collections.abc import Mapping

from drillbook.audit.records import Record
from drillbook.errors import DrillbookError
from drillbook.judge.result import StepResult, Verdict
from drillbook.report.rows import objective_rows
from drillbook.report.wording import MET, NOT_VERIFIED
from drillbook.sdk.action import find


def tested(one: Record) -> bool:
    """Return True when the run gave a result: it passed or failed, and its journal confirms this."""
    return one.verdict in (Verdict.PASSED, Verdict.FAILED)


def carried_out(one: Record) -> bool:
    """Return True when a step of the restore phase was done, whatever the verdict, and the journal confirms the verdict."""
    return one.verdict != NOT_VERIFIED and any(
        step.id.startswith("restore.") and step.status == "done" for step in _steps(one)
    )


def restored(one: Record) -> bool:
    """Return True when the run passed and restored a backup."""
    return one.verdict == Verdict.PASSED and any(
        step.id.startswith("restore.") and step.status == "done" and _of_backup(step) for step in _steps(one)
    )


def compared(one: Record) -> bool:
    """Return True when the run passed, restored a backup, and compared the restored content."""
    return restored(one) and any(
        step.id.startswith("verify.") and step.status == "done" and _proves_content(step) for step in _steps(one)
    )


def measured(one: Record) -> bool:
    """Return True when the run passed, and its RTO or RPO was measured and met."""
    objectives = one.result.objectives if one.result and one.verdict == Verdict.PASSED else {}
    return any(row.state == MET for row in objective_rows(objectives) if row.key in ("rto", "rpo"))


def recovered(one: Record) -> bool:
    """Return True when the run passed, its fault was proven active, and its restore phase succeeded."""
    result = one.result
    return (
        result is not None
        and one.verdict == Verdict.PASSED
        and result.clocks.get("disruption_s") is not None
        and not any(item.code == "fault-unproven" for item in result.findings)
        and any(phase.phase == "restore" and phase.status == "done" for phase in result.phases)
    )


def _steps(one: Record) -> tuple[StepResult, ...]:
    return one.result.steps if one.result else ()


def _of_backup(step: StepResult) -> bool:
    """Return True when the step restored a backup: it names the identity of the restored data, or the backup itself."""
    made, backup = step.facts.get("made"), step.facts.get("backup")
    return (isinstance(made, Mapping) and "unknown" not in made) or isinstance(backup, Mapping)


def _proves_content(step: StepResult) -> bool:
    """Return True when the action of the step declares that it compared content. Unknown actions do not."""
    try:
        return bool(find(step.action).proves_content(step.facts))
    except DrillbookError:
        return False
