"""Figures that the rehearsals of a period measured.

A rehearsal restores a backup into a sandbox or to a spare service, and injects no fault. So it measures neither RTO nor RPO,
and proves no objective. Its figures are shown separately from those of drills.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from drillbook.audit.coverage import by_drill
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.records import UNKNOWN, Record, planned_services, planned_steps
from drillbook.audit.run_evidence import taken_during
from drillbook.judge.result import StepResult
from drillbook.judge.verdicts import Verdict, without_refused
from drillbook.language.lists import leading
from drillbook.report import backup_origin, rehearsal_results, remarks
from drillbook.report.figures import count, one_line, readable, size, took
from drillbook.report.markdown_syntax import code, escape, table

MEASURES = {rehearsal_results.MEASURE: "from", "loss.measure": "service"}
"""Actions that measure how much data would be lost in a failure. Their figures are tried in this order. Each value is the name
of a parameter of the restore step. This parameter names a service or a backup source. A figure counts only if the parameter
`service` of the measuring step names the same one.
"""
NOT_MEASURED = "not measured"
MOST_NAMED = 4
"""Largest number of services in the line of figures. A printed page shows this line when it has no room for the table."""
TITLE = "Measured by rehearsals"
LEAD = (
    "A rehearsal restores a backup into a sandbox or to a spare service. It breaks nothing, so it measures no RTO and no RPO, "
    "and proves no objective. Each row is about the newest rehearsal of the period that passed, or says that none did. Restored "
    "in: time from the choice of the backup to the end of its restore, by the controller's monotonic clock, without sampling "
    "error. A recovery takes longer: somebody must notice the fault, decide, and switch the service to the restored data. Would "
    "be lost: time from the newest data in the backup to the measurement in that run. The number after ± is the error of this "
    "time; the clock is named below. A time without ± is exact by this clock, but the difference between this clock and that of "
    "the controller was not measured. Right before the next backup, more would be lost."
)

SHORT = (
    "Rehearsals restore backups into a sandbox or to a spare service and break nothing, so these figures are no RTO and no "
    "RPO, and prove no objective. The restore is timed by the controller's monotonic clock; the report names the clock of each "
    "loss. A loss without ± has no sampling error: the time of the newest data is exact by that clock."
)
"""Shorter text than ``LEAD``, for places with less room. It explains the figures of rehearsals."""

STAYS = "the reservation stays until a drill restores in place a backup that it did not take itself"
"""Words that a rehearsal of a routine backup does not remove the reservation of an RPO, because it restores into a sandbox."""


@dataclass(frozen=True, slots=True)
class RehearsedRow:
    """One backup source that a drill rehearses: the figures of the newest run of the period that passed."""

    environment: str
    service: str
    drill: str
    source: str
    """Name of the backup source in the inventory, or of the store in which a step found the backup. It is empty when no
    rehearsal passed, and when the plan names neither."""
    kind: str
    """Kind of the restored service, such as ``postgres``. It is empty when it is unknown."""
    runs: int
    passed: int
    run: str
    at: str
    """Start of the run that is named in ``run``. The name and the start are empty when no rehearsal passed."""
    restore_s: float | None
    used_bytes: int | None
    """Size of the restored data on the disk of the sandbox."""
    loss_s: float | None
    error_s: float | None
    basis: str
    """Text about the time of the newest restored data: where this time was found, for example in a commit, and which clock set
    it."""
    notes: tuple[str, ...]
    taken: str = ""
    """Text which says that the rehearsal, or a run of another drill, took the backup, or that the backup was taken while such a
    drill ran. It is empty for any other backup.
    """
    stored: bool = False
    """True for a backup that Drillbook stored. The age of such a backup is known only if a step found it in the store."""
    during: bool = False
    """True if the backup was only taken while a drill ran. A later run of the rehearsal may find a routine backup."""

    @property
    def share(self) -> str:
        """Text with two numbers: the rehearsals in the period that passed, and all rehearsals in the period."""
        return f"{self.passed} of {count(self.runs, 'run')} passed"

    @property
    def tells_age(self) -> bool:
        """True if the rehearsal measured the age of a backup that no drill had taken."""
        return self.loss_s is not None and not self.taken

    @property
    def restored(self) -> str:
        """Text with the duration of the restore and the size of the restored data."""
        if self.restore_s is None:
            return NOT_MEASURED
        return took(self.restore_s) + (f", {size(self.used_bytes)} on disk" if self.used_bytes else "")

    @property
    def lost(self) -> str:
        """Text with the measured loss and its measurement error. If a drill took the backup, the text says this."""
        words = rehearsal_results.unsampled({"loss_s": self.loss_s, "error_s": self.error_s})
        told = f" ({words})" if words else ""
        return f"{self.figure}{told}" + (f", with {self.taken}" if self.taken and self.loss_s is not None else "")

    @property
    def figure(self) -> str:
        """Text with the measured loss and its measurement error. Unlike ``lost``, it does not tell when the backup was
        taken."""
        if self.loss_s is None:
            return NOT_MEASURED
        return rehearsal_results.loss_figure(self.loss_s, self.error_s, self.basis)


def rehearsed(runs: Sequence[Record]) -> list[RehearsedRow]:
    """Return a row for each backup source that a drill rehearsed in the period, sorted by environment, service and drill. A
    drill without a passed rehearsal has one row without a backup source."""
    rows = []
    for (environment, service, drill), every in by_drill(runs).items():
        restores_stored = any(_faultless(record) and _stored(record) for record in every)
        mine = [record for record in every if (_faultless(record) if restores_stored else planned(record))]
        passed = [
            record for record in mine if record.verdict == Verdict.PASSED and (_stored(record) or any(_restores(record)))
        ]
        head = (environment, service, drill)
        if passed:
            newest, notes = passed[-1], _newest(without_refused(mine[::-1])[0], passed[-1])
            runs_of = (len(mine), len(passed))
            rows += [_placed(_row(head, newest, step, runs_of, notes), newest, step, runs) for step in _restores(newest)]
            rows += [
                _placed(_stored_row(head, newest, step, runs_of, notes), newest, step, runs) for step in _stored(newest)
            ]
        elif mine:
            untried = all(record.verdict == Verdict.NOT_RUN for record in mine)
            notes = ("it was not run here" if untried else "no rehearsal of the period passed",)
            rows.append(RehearsedRow(*head, "", "", len(mine), 0, "", "", None, None, None, None, "", notes))
    return rows


def longest(rows: Iterable[RehearsedRow]) -> RehearsedRow | None:
    """Return the row with the longest restore. Returns None when no restore was timed."""
    return max((row for row in rows if row.restore_s is not None), key=lambda row: row.restore_s or 0.0, default=None)


def largest(rows: Iterable[RehearsedRow]) -> RehearsedRow | None:
    """Return the row with the largest sum of measured loss and measurement error. Returns None when no loss was measured."""
    known = (row for row in rows if row.loss_s is not None)
    return max(known, key=lambda row: (row.loss_s or 0.0) + (row.error_s or 0.0), default=None)


def beyond(row: RehearsedRow, target_s: float) -> str:
    """Return words for an age of a backup that is larger than an RPO of ``target_s`` seconds, such as ``more than``. The result is
    empty if the age is not larger.
    """
    loss, error = row.loss_s or 0.0, row.error_s or 0.0
    if loss - error > target_s:
        return "more than"
    return "perhaps more than" if loss + error > target_s else ""


def noted(goals: Iterable[ProvenRow], rows: Sequence[RehearsedRow]) -> Iterator[ProvenRow]:
    """Yield ``goals``. An RPO that has a reservation because its drill took the restored backup gets a note on the rehearsal of a
    routine backup of the service, if there was one: the age of the backup, and that the reservation stays.
    """
    for goal in goals:
        known = [row for row in rows if (row.environment, row.service) == (goal.environment, goal.service) and row.tells_age]
        if known and goal.reserved and remarks.FRESH in remarks.reasons(goal.mark):
            note = f"{known[-1].drill} restored a routine backup, {known[-1].figure} old; {STAYS}"
            yield replace(goal, notes=(*goal.notes, note))
        else:
            yield goal


def brief(rows: Sequence[RehearsedRow]) -> tuple[str, str]:
    """Return two texts: the duration of the longest restore, and the largest loss. A text is empty without such a figure."""
    long, large = longest(rows), largest(rows)
    return (
        f"restored in {took(long.restore_s or 0.0)}" if long else "",
        f"{large.figure} would be lost{f', with {large.taken}' if large.taken else ''}" if large else "",
    )


def line(rows_by_name: Sequence[tuple[str, Sequence[RehearsedRow]]]) -> str:
    """Return the figures of rehearsals in one line, for a printed page whose table has no room for them. The name of each
    service stands before its rows. The result is empty without figures."""
    told = [(name, [text for text in brief(rows) if text]) for name, rows in rows_by_name]
    shown, others = leading([f"{name} {' and '.join(texts)}" for name, texts in told if texts], MOST_NAMED)
    return one_line("; ".join([*shown, *([f"and {count(others, 'more service')}, in the audit"] if others else [])]))


def planned(record: Record) -> bool:
    """Return True when the plan of a run restores backups, and no step of it injects a fault."""
    return _faultless(record) and any(step.get("action") == rehearsal_results.RESTORE for step in planned_steps(record))


def _faultless(record: Record) -> bool:
    """Return True when no step of the run's plan injects a fault."""
    steps = planned_steps(record)
    return bool(steps) and all(step.get("effect") != "fault" for step in steps)


def _stored(record: Record) -> list[StepResult]:
    """Return the steps that restored a backup which Drillbook stored. The result is empty for a run that injected a fault."""
    steps = record.result.steps if record.result and not record.result.faults else ()
    return [step for step, _ in rehearsal_results.stored(steps) if step.action != rehearsal_results.RESTORE]


def _restores(record: Record) -> Iterator[StepResult]:
    """Yield the steps that restored a backup into a sandbox. Yield nothing for a run that injected a fault."""
    if record.result and not record.result.faults:
        for step in record.result.steps:
            if step.action == rehearsal_results.RESTORE and step.status == "done" and not step.facts.get("in_place"):
                yield step


def _newest(newest: Record, passed: Record) -> tuple[str, ...]:
    if newest is passed:
        return ()
    return (f"the newest run {newest.outcome} on {(newest.started or '')[:10] or 'an unknown day'}",)


def _row(
    head: tuple[str, str, str], record: Record, step: StepResult, runs: tuple[int, int], notes: tuple[str, ...]
) -> RehearsedRow:
    params = {step["id"]: step["params"] for step in planned_steps(record)}
    mine = params.get(step.id, {})
    losses, restored = _losses(record, params, mine), step.facts.get("backup", {}).get("id")
    measured = next((facts for facts in losses if facts.get("backup", restored) == restored), {})
    if losses and not measured:
        text = f"{rehearsal_results.loss(losses[0])} was measured for {losses[0]['backup']}, but {restored} was restored"
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
        readable(str(measured.get("basis", ""))),
        notes,
        _taken(record, step),
    )


def _stored_row(
    head: tuple[str, str, str], record: Record, step: StepResult, runs: tuple[int, int], notes: tuple[str, ...]
) -> RehearsedRow:
    """Return the row about a backup that Drillbook stored and that ``step`` restored."""
    steps = record.result.steps if record.result else ()
    plan = {planned_step["id"]: planned_step["params"] for planned_step in planned_steps(record)}
    finders = [plan.get(other.id, {}) for other in steps if other.facts.get("manifest") == step.facts.get("manifest")]
    stores = [str(params["store"]) for params in finders if params.get("store")]
    measured = next(
        known[rehearsal_results.MEASURE] for restore, known in rehearsal_results.stored(steps) if restore is step
    )
    seconds, used, age = (
        (step.facts.get("seconds") or {}).get("total"),
        step.facts.get("database_bytes"),
        measured.get("loss_s"),
    )
    return RehearsedRow(
        *head,
        stores[-1] if stores else "",
        _kind(record, plan.get(step.id, {}).get("service")),
        *runs,
        record.run,
        record.started or "",
        float(seconds) if isinstance(seconds, int | float) else None,
        used if isinstance(used, int) else None,
        float(age) if isinstance(age, int | float) else None,
        measured.get("error_s"),
        readable(str(measured.get("basis", ""))),
        notes,
        _taken(record, step),
        stored=True,
    )


def _placed(row: RehearsedRow, record: Record, step: StepResult, runs: Sequence[Record]) -> RehearsedRow:
    """Return ``row`` with the drill that ran when the backup was taken, if there was one."""
    text = "" if row.taken else taken_during(record, step, runs)
    return replace(row, taken=text, during=True) if text else row


def _taken(record: Record, step: StepResult) -> str:
    """Return a text which says that the run itself, or an earlier run of a drill, took the backup that ``step`` restored. It
    is empty for any other backup."""
    if record.result is None:
        return ""
    mark = remarks.fresh(step, record.result.steps, record.result.started)
    return remarks.TAKEN.get(mark, "") or backup_origin.origin(step, record.result.steps)


def _losses(record: Record, params: Mapping[str, Mapping[str, Any]], restore: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the facts of those steps that measured how much data a restore step would lose. ``restore``: parameters of this
    restore step.
    """
    return [
        step.facts
        for action, key in MEASURES.items()
        for step in (record.result.steps if record.result else ())
        if step.action == action
        and step.status == "done"
        and params.get(step.id, {}).get("service") == restore.get(key)
        and rehearsal_results.loss(step.facts)
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
