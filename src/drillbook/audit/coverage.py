"""Rows of an audit about the services that drills cover, and about changed plans. All output formats share them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Any

from drillbook.audit.deciding_runs import deciding
from drillbook.audit.period import Period
from drillbook.audit.records import Record, planned_services
from drillbook.audit.run_evidence import recovered, source_by_drill, source_origin, sources_planned, sources_restored
from drillbook.inventory.inventory import Inventory
from drillbook.judge.result import Objective
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.report import remarks
from drillbook.report.figures import count
from drillbook.report.rows import ObjectiveRow, objective_rows
from drillbook.report.unproven_faults import brief_objectives
from drillbook.report.wording import badness
from drillbook.sdk.identity import Thing

NO_RUN = "no run"
NOT_YET = "not yet"
"""Word shown instead of a verdict for a span that begins in the future."""
LEFT_OUT = "left out"
"""Word in the cell of a span without runs, if the service is exempt from drills, or its environment was retired."""
REHEARSED = "rehearsed only"
"""Words that replace `passed` when the service recovered from a proven fault in none of the passed runs."""


def shown_verdict(verdict: str, recovered: int) -> str:
    """Return a verdict as the reports show it. The word `passed` is shown only when the service recovered from a fault.

    ``recovered``: number of passed runs in which the service recovered from a fault that was proven active.
    """
    return REHEARSED if verdict == Verdict.PASSED and not recovered else verdict


@dataclass(frozen=True, slots=True)
class Cell:
    """One service in one span of time: the number of its runs, and the worst verdict of its drills."""

    span: str
    runs: int
    passed: int
    last: str
    """Worst verdict of the drills. For each drill, the verdict of one run counts; ``deciding`` selects this run.

    If no run falls into the span, the field has one of four other values: ``not yet`` (the span is in the future), ``left out``
    (the service is exempt, or its environment was retired), ``no record`` (see ``record_begin``) or ``no run``.
    """
    residue: bool
    recovered: int = 0
    """Number of passed runs in which the service recovered from a fault that was proven active."""
    still_failed: tuple[str, ...] = ()
    """Drills that had failed before this span of time, and that neither passed nor failed again in this span."""
    refused: int = 0
    """Number of refused runs in ``runs``. They changed nothing."""
    unfinished: bool = False
    """True if the verdict ``last`` is of a run that still needs a recovery because its controller died."""

    @property
    def tried(self) -> int:
        """Number of runs that were not refused. If all runs were refused, the number of all runs."""
        return self.runs - self.refused or self.runs

    @property
    def shown(self) -> str:
        """Verdict as the reports show it. If the service recovered from a fault in no run of this span, other words replace
        `passed`.
        """
        return UNFINISHED if self.unfinished else shown_verdict(self.last, self.recovered)

    @property
    def count(self) -> str:
        """Number of runs, such as `3 runs`. If not all runs passed, the number of passed runs is added, as in `2 of 3 runs
        passed`. Refused runs are counted separately. The drills in ``still_failed`` are named.
        """
        text = (
            count(self.tried, "run") if self.passed == self.tried else f"{self.passed} of {count(self.tried, 'run')} passed"
        )
        text += f", {self.refused} refused" if self.tried < self.runs else ""
        text += f", {self.recovered} with a recovery from a fault" if 0 < self.recovered < self.passed else ""
        return text + (f", {', '.join(self.still_failed)} failed before" if self.still_failed else "")


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Coverage of one service in one environment, over all spans of the period."""

    environment: str
    service: str
    cells: tuple[Cell, ...]
    runs: int
    passed: int
    gaps: tuple[str, ...]
    """Labels of the past and present spans in which the service had no run, since the record began. An exempt service has no such
    labels, and neither has a service in a retired environment.
    """
    unproven: tuple[str, ...]
    """Labels of the spans in which the service had runs, but no passed run."""
    recovered: int = 0
    """Number of passed runs in which the service recovered from a fault that was proven active."""
    left_out: str = ""
    """Reason why the service is exempt from drills, from the field `not_drilled` of the inventory. It is empty when the
    service is not exempt.
    """
    lapsed: tuple[str, ...] = ()
    """Drills whose last verdict is `failed`. Runs that neither passed nor failed are ignored."""
    backup_of: str = ""
    """Service whose data is in this backup. It is empty when this row is not about a backup."""
    restored: str = ""
    """Start of the newest passed run that restored this backup. It is empty if no passed run of the period restored the
    backup. It is also empty if, after the passed run, a run failed that should restore the backup.
    """
    taken: str = ""
    """Text which says that the run of ``restored`` also took the backup, or that another drill did, or ran at that time. It is empty
    for a backup that is older than the run and of no drill."""
    by_drill: bool = False
    """True if a drill took the backup of ``taken``, or may have taken it. Such a restore does not confirm the routine backups."""
    keeps_data: bool = True
    """False for a kind of service without data of its own, such as `http`. Such a service needs no RPO."""
    retired: bool = False
    """True when the environment of the service was retired. ``left_out`` then contains the text about the retirement."""
    kind: str = ""
    """Kind of the service in the newest plan of its environment. It is empty when this plan does not contain the service."""
    not_run: int = 0
    """Number of runs in ``runs`` that did nothing, because a service that the drill needs was not installed on the hosts."""
    refused: int = 0
    """Number of refused runs in ``runs``. They changed nothing."""

    @property
    def share(self) -> str:
        """Share of passed runs in all runs that were not refused, such as `2 of 3`. Refused runs are counted separately, as
        in `2 of 3, 1 refused`.
        """
        return self._share(str(self.runs - self.refused))

    @property
    def share_of_runs(self) -> str:
        """Text such as `2 of 3 runs` or `2 of 3 runs, 1 refused`; see ``share``."""
        return self._share(count(self.runs - self.refused, "run"))

    def _share(self, tried: str) -> str:
        part = f"{self.passed} of {tried}" if self.refused < self.runs else "none ran"
        return f"{part}, {self.refused} refused" if self.refused else part

    @property
    def untried(self) -> bool:
        """True when the service has runs, and all of them have the verdict `not run here`."""
        return 0 < self.runs == self.not_run

    @property
    def doubtful(self) -> bool:
        """True for a backup that the inventory exempts from drills, although no run of the period proved that a routine
        backup can be restored.
        """
        return bool(self.left_out and self.backup_of and not self.runs and (self.by_drill or not self.restored))


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A run of a drill whose plan differs from the plan of the previous run."""

    environment: str
    drill: str
    at: str
    run: str
    before: str
    after: str
    changed: tuple[str, ...]


def drill_of(record: Record) -> tuple[str, str, str]:
    """Return the key by which runs are grouped: environment, service and drill."""
    return record.environment, record.service, record.drill


def by_drill(records: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Group runs by environment, service and drill. The oldest run comes first in each group."""
    runs_by_drill: dict[tuple[str, str, str], list[Record]] = {}
    for record in sorted(records, key=lambda record: (record.started or "", record.name)):
        runs_by_drill.setdefault(drill_of(record), []).append(record)
    return dict(sorted(runs_by_drill.items()))


def coverage(runs: Sequence[Record], earlier: Sequence[Record], period: Period, today: date) -> list[CoverageRow]:
    """Return the coverage of every service that was drilled, or that is in the newest plan of its environment.

    A span that begins after ``today`` (UTC) is not a gap. A service that the newest plan exempts from drills has no gaps.
    """
    wanted = {(record.environment, record.service) for record in [*earlier, *runs] if record.plan}
    newest = {
        record.environment: record
        for record in sorted([*earlier, *runs], key=lambda record: record.started or "")
        if record.plan
    }
    for environment, record in newest.items():
        wanted |= {(environment, str(name)) for name in planned_services(record)}
    wanted |= {(run.environment, run.service) for run in runs}
    rows = {row: [run for run in runs if _of(run, *row, newest.get(row[0]))] for row in wanted}
    counted = {record.folder for mine in rows.values() for record in mine}
    for record in runs:
        if record.folder not in counted:  # the newest plan uses this name for another service
            place = thing.place if (thing := _thing(record, record.service)) else "another thing"
            rows.setdefault((record.environment, f"{record.service} ({place})"), []).append(record)
    covered = []
    for row in sorted(rows):
        written = _written(newest.get(row[0]), row[1])
        made = _row(row, rows[row], period, today, str(written.get("not_drilled") or ""))
        backup_of = str(written.get("service") or "")
        made = _restored(made, runs) if backup_of else made
        keeps = _keeps_data(newest.get(row[0]), row[1])
        kind = str(written.get("kind") or "")
        covered.append(replace(made, backup_of=backup_of, keeps_data=keeps, kind=kind))
    return covered


def _written(newest: Record | None, service: str) -> dict[str, Any]:
    """Return the settings of ``service`` in the newest plan of its environment. The result is empty when the plan does
    not contain the service.
    """
    written = planned_services(newest).get(service) if newest else None
    return written if isinstance(written, dict) else {}


def _restored(row: CoverageRow, runs: Sequence[Record]) -> CoverageRow:
    """Return the row of a backup with the newest passed run that restored it. A run that restored a routine backup goes before
    newer runs with a backup that a drill took.

    The row stays as it is if no passed run restored the backup, or if a newer run that should restore it failed.
    """
    known = row
    for run in sorted(runs, key=lambda run: (run.started or "", run.name), reverse=True):
        if run.environment == row.environment and row.service in sources_restored(run):
            by_drill = source_by_drill(run, row.service, runs)
            if not (by_drill and known.restored):
                taken = source_origin(run, row.service, runs)
                known = replace(row, restored=run.started or "", taken=taken, by_drill=by_drill)
            if not by_drill:
                break
        elif run.environment == row.environment and run.verdict == Verdict.FAILED and row.service in sources_planned(run):
            break
    return known


def _of(record: Record, environment: str, service: str, newest: Record | None) -> bool:
    """Return True when the run drilled the same service that the environment's newest plan calls ``service``.

    The names may differ between plans. So the hosts, the servers and the parts (such as databases) are compared instead.
    """
    if record.environment != environment:
        return False
    mine, wanted = _thing(record, record.service), _thing(newest, service) if newest else None
    if mine is None or wanted is None or newest is None:
        return record.service == service
    if record.plan["inventory"].get("lab") or newest.plan["inventory"].get("lab"):  # every new lab uses other ports
        own = _thing(record, service)
        return record.service == service or (own is not None and own[:3] == mine[:3])
    return mine[:3] == wanted[:3]


def _keeps_data(newest: Record | None, service: str) -> bool:
    """Return False if ``service`` is of a kind that stores no data of its own, otherwise True.

    Return True also if the kind is unknown. The kind is unknown when the newest plan cannot be read, or does not contain
    the service.
    """
    known = _inventory(newest)
    return service not in known.services or known.services[service].KEEPS_DATA if known else True


def _inventory(record: Record | None) -> Inventory | None:
    """Return the inventory in the run's plan. Returns None when it cannot be read."""
    try:
        return Inventory.model_validate(record.plan.get("inventory")) if record else None
    except ValueError:
        return None


def _thing(record: Record, service: str) -> Thing | None:
    """Return the identity of ``service`` in the run's plan: its host, its server, and its part of the server's data.

    The result is None if the plan is unreadable, or does not contain the service.
    """
    inventory = _inventory(record)
    return inventory.thing(service) if inventory and service in inventory.services else None


def _row(row: tuple[str, str], runs: Sequence[Record], period: Period, today: date, left_out: str) -> CoverageRow:
    cells = tuple(
        _cell(
            span.label,
            [run for run in runs if run.started and span.holds(run.started)],
            [run for run in runs if run.started and span.begins_after(run.started)],
            NOT_YET if span.first > today else LEFT_OUT if left_out else NO_RUN,
        )
        for span in period.spans()
    )
    return CoverageRow(
        *row,
        cells,
        len(runs),
        sum(run.verdict == Verdict.PASSED for run in runs),
        tuple(cell.span for cell in cells if cell.last == NO_RUN),
        tuple(cell.span for cell in cells if cell.runs and not cell.passed),
        sum(map(recovered, runs)),
        left_out,
        tuple(name for name, record in sorted(_deciding(runs).items()) if record.verdict == Verdict.FAILED),
        not_run=sum(run.verdict == Verdict.NOT_RUN for run in runs),
        refused=_refused(runs),
    )


def _deciding(runs: Sequence[Record]) -> dict[str, Record]:
    return deciding(sorted(runs, key=lambda run: (run.started or "", run.name)))


def _cell(label: str, runs: Sequence[Record], before: Sequence[Record], without: str) -> Cell:
    """Make the cell of one span of time.

    ``before``: runs before this span. A drill that failed in these runs counts as failed until it passes. ``without``: word
    for a span without a run, such as ``no run``.
    """
    if not runs:
        return Cell(label, 0, 0, without, False)
    known = _deciding([*before, *runs])
    inside = {run.drill for run in runs}
    failed = tuple(
        name
        for name, record in sorted(known.items())
        if record.verdict == Verdict.FAILED and not any(record is run for run in runs)
    )
    counting = [record for name, record in known.items() if name in inside or name in failed]
    last = max((record.verdict for record in counting), key=badness)
    died = any(record.verdict == last and record.shown == UNFINISHED for record in counting)
    passed, left = sum(run.verdict == Verdict.PASSED for run in runs), any(run.residue for run in runs)
    return Cell(label, len(runs), passed, last, left, sum(map(recovered, runs)), failed, _refused(runs), died)


def _refused(runs: Sequence[Record]) -> int:
    return sum(run.verdict == Verdict.REFUSED for run in runs)


def objectives_of(record: Record) -> dict[str, Objective]:
    """Return the objectives of a run with their measurements, or nothing if the journal of the run cannot be trusted."""
    return brief_objectives(record.result) if record.result and not record.damage and not record.doubts else {}


def targets_of(record: Record) -> dict[str, float]:
    """Return the objectives in the run's plan, in seconds. Objectives that were not measured are included.
    Malformed objectives are left out.
    """
    objectives = record.plan.get("objectives")
    written = objectives.items() if isinstance(objectives, dict) else ()
    return {str(key): float(value) for key, value in written if isinstance(value, float | int)}


def row_of(record: Record, key: str) -> ObjectiveRow | None:
    """Return the report row of one objective of a run. Returns None when there is no trustworthy measurement."""
    objectives = objectives_of(record)
    told = remarks.of_result(record.result) if record.result else {}
    return objective_rows({key: objectives[key]}, told, record.verdict)[0] if key in objectives else None


def plan_changes(runs: Sequence[Record], earlier: Sequence[Record]) -> list[PlanRow]:
    """Return the runs of the period whose plan digest differs from the plan digest of the previous run of the same drill."""
    rows = []
    inside = {run.folder for run in runs}
    for drill, mine in by_drill([*earlier, *runs]).items():
        known = [record for record in mine if record.plan]
        for before, after in pairwise(known):
            old, new = (record.opening.plan_digest if record.opening else "" for record in (before, after))
            if old != new and after.folder in inside:
                changed = tuple(
                    key for key in sorted({*before.plan, *after.plan}) if before.plan.get(key) != after.plan.get(key)
                )
                rows.append(PlanRow(drill[0], drill[2], after.started or "", after.run, old, new, changed))
    return sorted(rows, key=lambda row: (row.at, row.run))
