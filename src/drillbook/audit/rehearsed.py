"""Figures that the rehearsals of a period measured.

A rehearsal restores a backup of the team's own tools into a sandbox, and injects no fault. So it measures neither RTO nor RPO,
and proves no objective. Its figures are shown apart from those of drills.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.audit.coverage import by_drill
from drillbook.audit.records import UNKNOWN, Record, planned_services, planned_steps
from drillbook.judge.result import StepResult, Verdict
from drillbook.report import rehearsal, remarks
from drillbook.report.figures import count, figure, size, took
from drillbook.report.markdown_syntax import code, escape, table

MEASURES = {rehearsal.MEASURE: "from", "loss.measure": "service"}
"""Actions that measure a loss of data, in the order in which their measurements are tried. The key is the action, and the
value is the parameter of the restore step that names the measured service.
"""
NOT_MEASURED = "not measured"
TITLE = "Measured by rehearsals"
LEAD = (
    "A rehearsal restores a backup of the team's own tools into a sandbox. It breaks nothing, so it measures no RTO and no RPO, "
    "and proves no objective. Each row is about the newest rehearsal of the period that passed, or says that none did. Restored "
    "in: from the choice of the backup to the end of its restore, by the controller's monotonic clock, without sampling error. A "
    "recovery takes longer: somebody must notice the fault, decide, and move the service to the copy. Would be lost: from the "
    "newest data in the backup to the measurement in that run; ± is its error, and the clock is named below. Right before the "
    "next backup, more would be lost."
)

SHORT = (
    "Rehearsals restore backups into a sandbox and break nothing, so these figures are no RTO and no RPO, and prove no "
    "objective. The restore is timed by the controller's monotonic clock; the report names the clock of each loss."
)
"""Text below the figures of rehearsals where there is no room for ``LEAD``."""


@dataclass(frozen=True, slots=True)
class RehearsedRow:
    """One backup source that a drill rehearses: the figures of the newest run of the period that passed."""

    environment: str
    service: str
    drill: str
    source: str
    """Name of the backup source in the inventory. It is empty when no rehearsal passed."""
    kind: str
    """Kind of the restored service, such as ``postgres``. It is empty when it is unknown."""
    runs: int
    passed: int
    run: str
    at: str
    """Start of ``run``. Both are empty when no rehearsal passed."""
    restore_s: float | None
    used_bytes: int | None
    """Size of the restored data on the disk of the sandbox."""
    loss_s: float | None
    error_s: float | None
    basis: str
    """Source of the time of the newest data, with its clock."""
    notes: tuple[str, ...]
    taken: str = ""
    """Words that say that the backup was taken during the run. It is empty for an older backup."""

    @property
    def share(self) -> str:
        """Text with the number of runs of the period that passed."""
        return f"{self.passed} of {count(self.runs, 'run')} passed"

    @property
    def restored(self) -> str:
        """Text with the duration of the restore and the size of the restored data."""
        if self.restore_s is None:
            return NOT_MEASURED
        return took(self.restore_s) + (f", {size(self.used_bytes)} on disk" if self.used_bytes else "")

    @property
    def lost(self) -> str:
        """Text with the loss and its error. It says so when the backup was taken during the run."""
        return f"{self.figure}, with {self.taken}" if self.taken and self.loss_s is not None else self.figure

    @property
    def figure(self) -> str:
        """Text with the loss and its error. Unlike ``lost``, it never tells when the backup was taken."""
        if self.loss_s is None:
            return NOT_MEASURED
        return figure(self.loss_s, self.error_s) if self.error_s else took(self.loss_s)


def rehearsed(runs: Sequence[Record]) -> list[RehearsedRow]:
    """Return a row for each backup source that a drill rehearsed in the period, sorted by environment, service and
    drill. A drill of which no rehearsal passed has one row without a backup source."""
    rows = []
    for (environment, service, drill), every in by_drill(runs).items():
        mine = [record for record in every if planned(record)]
        passed = [record for record in mine if record.verdict == Verdict.PASSED and any(_restores(record))]
        head = (environment, service, drill)
        if passed:
            newest, notes = passed[-1], _newest(mine[-1], passed[-1])
            rows += [_row(head, newest, step, (len(mine), len(passed)), notes) for step in _restores(newest)]
        elif mine:
            untried = all(record.verdict == Verdict.NOT_RUN for record in mine)
            notes = ("it was not run here" if untried else "no rehearsal of the period passed",)
            rows.append(RehearsedRow(*head, "", "", len(mine), 0, "", "", None, None, None, None, "", notes))
    return rows


def longest(rows: Iterable[RehearsedRow]) -> RehearsedRow | None:
    """Return the row with the longest restore. Returns None when no restore was timed."""
    return max((row for row in rows if row.restore_s is not None), key=lambda row: row.restore_s or 0.0, default=None)


def largest(rows: Iterable[RehearsedRow]) -> RehearsedRow | None:
    """Return the row with the largest loss, its error included. Returns None when no loss was measured."""
    known = (row for row in rows if row.loss_s is not None)
    return max(known, key=lambda row: (row.loss_s or 0.0) + (row.error_s or 0.0), default=None)


def planned(record: Record) -> bool:
    """Return True when the plan of a run restores backups, and no step of it injects a fault."""
    steps = planned_steps(record)
    return any(step.get("action") == rehearsal.RESTORE for step in steps) and all(
        step.get("effect") != "fault" for step in steps
    )


def _restores(record: Record) -> Iterator[StepResult]:
    """Yield the steps that restored a backup into a sandbox. Yield nothing for a run that injected a fault."""
    if record.result and not record.result.faults:
        for step in record.result.steps:
            if step.action == rehearsal.RESTORE and step.status == "done" and not step.facts.get("in_place"):
                yield step


def _newest(newest: Record, passed: Record) -> tuple[str, ...]:
    if newest is passed:
        return ()
    return (f"the newest run ended {newest.verdict} on {(newest.started or '')[:10] or 'an unknown day'}",)


def _row(
    head: tuple[str, str, str], record: Record, step: StepResult, runs: tuple[int, int], notes: tuple[str, ...]
) -> RehearsedRow:
    params = {step["id"]: step["params"] for step in planned_steps(record)}
    mine = params.get(step.id, {})
    losses, restored = _losses(record, params, mine), step.facts.get("backup", {}).get("id")
    measured = next((facts for facts in losses if facts.get("backup", restored) == restored), {})
    if losses and not measured:
        text = f"{rehearsal.loss(losses[0])} was measured for {losses[0]['backup']}, but {restored} was restored"
        notes = (*notes, text)
    value, error = measured.get("loss_s"), measured.get("error_s")
    seconds, used = step.facts.get("seconds", {}).get("total"), step.facts.get("used_bytes")
    return RehearsedRow(
        *head,
        str(mine.get("from") or UNKNOWN),
        _kind(record, mine.get("service")),
        *runs,
        record.run,
        record.started or "",
        float(seconds) if isinstance(seconds, int | float) else None,
        used if isinstance(used, int) else None,
        float(value) if isinstance(value, int | float) else None,
        float(error) if isinstance(error, int | float) else None,
        str(measured.get("basis", "")),
        notes,
        _taken(record, step),
    )


def _taken(record: Record, step: StepResult) -> str:
    """Return words for the backup that ``step`` restored if it was taken during the run."""
    return remarks.TAKEN.get(remarks.fresh(step, record.result.steps, record.result.started), "") if record.result else ""


def _losses(record: Record, params: Mapping[str, Mapping[str, Any]], restore: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the facts of the steps that measured a loss of data for the restore step with the parameters ``restore``."""
    return [
        step.facts
        for action, key in MEASURES.items()
        for step in (record.result.steps if record.result else ())
        if step.action == action
        and step.status == "done"
        and params.get(step.id, {}).get("service") == restore.get(key)
        and rehearsal.loss(step.facts)
    ]


def _kind(record: Record, service: object) -> str:
    known = planned_services(record).get(service) if isinstance(service, str) else None
    return str(known.get("kind") or "") if isinstance(known, dict) else ""


def markdown(rows: Sequence[RehearsedRow]) -> list[str]:
    """Return the figures of rehearsals as Markdown. The result is empty when the period has no rehearsals."""
    head = (
        "Drill",
        "Service",
        "Environment",
        "Backup",
        "Runs",
        "Restored in",
        "Would be lost",
        "Clock",
        "When",
        "Run",
        "Notes",
    )
    cells = [
        (
            *map(escape, (row.drill, row.service, row.environment, row.source)),
            row.share,
            row.restored,
            row.lost,
            escape(row.basis),
            row.at[:10],
            code(row.run) if row.run else "",
            escape("; ".join(row.notes)),
        )
        for row in rows
    ]
    return [f"### {TITLE}", escape(LEAD), table(head, cells)] if rows else []
