"""Decides if a recorded run contains evidence of a recovery. Uncertain evidence does not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.audit.records import Record, planned_steps
from drillbook.inventory.inventory import Inventory
from drillbook.judge.result import Injection, StepResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import backup_origin, compared_content, remarks
from drillbook.report.figures import moment, one_line
from drillbook.report.proven_restore import Outcome
from drillbook.report.restore_steps import restored_backup, restores
from drillbook.report.rows import rows_of
from drillbook.report.wording import MET, NOT_VERIFIED


def tested(record: Record) -> bool:
    """Return True if three conditions are met: the run tested recovery, it passed or failed, and its journal confirms this
    verdict.

    A run tested recovery if it injected a fault or restored a backup. For example, a check of backups tests no recovery.
    """
    faults = record.result.faults if record.result else ()
    return record.verdict in (Verdict.PASSED, Verdict.FAILED) and (
        any(fault.injection is Injection.INJECTED for fault in faults) or bool(_restores(record))
    )


def carried_out(record: Record) -> bool:
    """Return True when a step of the restore phase changed something, and the journal confirms the verdict. The verdict need
    not be `passed`.

    Steps that only read, such as a check of backups, carry out no part of a recovery.
    """
    reads = {step["id"] for step in planned_steps(record) if step.get("effect") == "read"}
    done = [step for step in _steps(record) if step.id.startswith("restore.") and step.status == "done"]
    return record.verdict != NOT_VERIFIED and any(step.id not in reads or restored_backup(step) for step in done)


def restored(record: Record) -> bool:
    """Return True when the run passed and restored a backup."""
    return record.result is not None and Outcome.of(record.result, record.verdict).restored


def sources_planned(record: Record) -> frozenset[str]:
    """Return the names of the backups from which the plan's restore phase restores."""
    return frozenset(_sources(record).values())


def sources_restored(record: Record) -> frozenset[str]:
    """Return the names of the backups from which the run restored, if it passed."""
    names = _sources(record)
    return frozenset(names[step.id] for step in _restores(record) if step.id in names) if restored(record) else frozenset()


def taken_by_run(record: Record, source: str = "") -> str:
    """Return a text which says that the run itself took all backups that it restored. The result is empty for a run that
    restored an older backup, or no backup.

    ``source``: name of a backup. When it is given, only restores of this backup are considered.
    """
    names = _sources(record)
    others = {step.id for step in _restores(record) if source and names.get(step.id) != source}
    steps = [step for step in _steps(record) if step.id not in others]
    return remarks.taken_by_run(steps, record.result.started) if record.result else ""


def taken_by_drill(record: Record) -> str:
    """Return a text which says that every backup restored in the run was taken by an earlier run of a drill. The result is
    empty for any other run.
    """
    return "" if taken_by_run(record) else backup_origin.taken_by_drill(_steps(record))


def taken_during_drill(record: Record, runs: Sequence[Record]) -> str:
    """Return a text about a run that restored only backups which drills took, or which were taken while drills of ``runs`` took
    backups. At least one of them was taken while a drill ran. The result is empty for any other run, and for a run for which
    ``taken_by_run`` or ``taken_by_drill`` returns a text.
    """
    if taken_by_run(record) or taken_by_drill(record):
        return ""
    steps = _restores(record)
    during = [taken_during(record, step, runs) for step in steps]
    known = [text or backup_origin.origin(step, _steps(record)) for text, step in zip(during, steps, strict=True)]
    return next(filter(None, during), "") if known and all(known) else ""


def taken_during(record: Record, step: StepResult, runs: Sequence[Record]) -> str:
    """Return a text which names the drill that ran when the backup that ``step`` restored was taken. A drill takes backups, so
    such a backup is perhaps no routine backup. The result is empty if no other run of ``runs`` took backups of the same service
    at that time, and if the time of the backup is unknown. A run may have recorded the name of the drill itself.
    """
    if told := backup_origin.taken_during(step):
        return told
    backup = step.facts.get("backup")
    at = moment(str(backup.get("taken_at"))) if isinstance(backup, Mapping) else None
    if at is None:
        return ""
    place = (record.environment, record.service)
    for other in runs:
        began, ended = moment(other.started or ""), moment(other.ended)
        if other.run == record.run or (other.environment, other.service) != place or not (began and ended):
            continue
        if began <= at <= ended and _takes_backups(other):
            return f"a backup that was taken while the drill {one_line(other.drill)} ran"
    return ""


def _takes_backups(record: Record) -> bool:
    """Return True if the plan of the run has a step of the phase `backup` that does more than read."""
    return any(step["id"].startswith("backup.") and step.get("effect") != "read" for step in planned_steps(record))


def source_origin(record: Record, source: str, runs: Sequence[Record]) -> str:
    """Return a text which says that drills took all backups of ``source`` that were restored in ``record``, or that a drill
    of ``runs`` ran when they were taken. The result is empty if at least one of them is older than the run and of no drill.
    """
    names = _sources(record)
    steps = [step for step in _restores(record) if names.get(step.id) == source]
    texts = [backup_origin.origin(step, _steps(record)) or taken_during(record, step, runs) for step in steps]
    return taken_by_run(record, source) or (texts[0] if texts and all(texts) else "")


def source_by_drill(record: Record, source: str, runs: Sequence[Record]) -> bool:
    """Return True if the backups of ``source`` that were restored in ``record`` are perhaps no routine backups, because drills took
    them, or may have taken them. Return False for a backup of the run's own time if no step of the run may have taken it, and for
    an archived log, which always ends in the run: these are routine backups.
    """
    if not taken_by_run(record, source):
        return bool(source_origin(record, source, runs))
    names = _sources(record)
    backups = [step.facts.get("backup") for step in _restores(record) if names.get(step.id) == source]
    continuous = all(isinstance(backup, Mapping) and backup.get("until") for backup in backups)
    return _takes_backups(record) and not continuous


def _sources(record: Record) -> dict[str, str]:
    """Find the steps of the plan's restore phase that restore a backup. Return the name of each step's backup, with the id
    of the step as the key.
    """
    backups = {step["id"]: step["params"].get("from") for step in planned_steps(record)}
    return {step: name for step, name in backups.items() if step.startswith("restore.") and isinstance(name, str)}


def compared(record: Record) -> bool:
    """Return True when the run passed, restored a backup, and compared the restored content.

    When the plan names a service for both the restore and the comparison, the services must be the same.
    """
    if not restored(record):
        return False
    proofs = compared_content.proofs(_steps(record))
    return any(_same_service(record, proof, _restores(record)) for proof in proofs)


def measured(record: Record) -> bool:
    """Return True when the run passed, and measured and met its RTO and RPO. An objective that the drill does not set is not
    needed, but the drill must set one of them.

    A run whose RPO was met with a reservation does not count, even if its RTO was met without one. For example, the RPO perhaps
    does not include a known loss of data.
    """
    states = _goals(record)
    return bool(states) and all(state == MET for state in states)


def with_reservation(record: Record) -> bool:
    """Return True when the run passed, but met its RTO or its RPO only with a reservation."""
    return bool(_goals(record)) and not measured(record)


def _goals(record: Record) -> list[str]:
    """Return the states of the RTO and the RPO of a run that passed."""
    if record.result is None or record.verdict != Verdict.PASSED:
        return []
    return [row.state for row in rows_of(record.result) if row.key in ("rto", "rpo")]


def recovered(record: Record) -> bool:
    """Return True when the run passed, its fault was proven active, and its restore phase succeeded."""
    return record.result is not None and Outcome.of(record.result, record.verdict).recovered


def _steps(record: Record) -> tuple[StepResult, ...]:
    return record.result.steps if record.result else ()


def _restores(record: Record) -> list[StepResult]:
    return restores(_steps(record))


def _same_service(record: Record, proof: StepResult, restores: Sequence[StepResult]) -> bool:
    """Return True when the step ``proof`` compared a restored service. ``restores``: the steps that restored services.

    Two names that stand for the same data count as the same service. Return True also when the plan names no service for
    ``proof``, or for one of the steps in ``restores``.
    """
    names = _services(record)
    mine, wanted = names.get(proof.id), {names.get(step.id) for step in restores}
    if mine is None or None in wanted or mine in wanted:
        return True
    try:
        inventory = Inventory.model_validate(record.plan.get("inventory"))
    except ValueError:
        return False
    return any(inventory.same_thing(mine, name) for name in wanted if name)


def _services(record: Record) -> dict[str, str]:
    """Return the name of the service that each step of the plan works on or restores. The key of each entry is the id of the
    step.
    """
    service_by_step = {}
    for step in planned_steps(record):
        params = step["params"]
        restores = params.get("restores")
        name = params.get("service") or (restores.get("service") if isinstance(restores, dict) else None)
        if isinstance(name, str) and name and "{{" not in name:
            service_by_step[step["id"]] = name
    return service_by_step
