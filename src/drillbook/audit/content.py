"""Content of an audit, read once from the journals. The HTML, Markdown and JSON reports are all rendered from this content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime

from drillbook.audit import chain, coverage, deciding_runs, record_begin, retired, services, trend
from drillbook.audit.absences import AbsentRow, absences
from drillbook.audit.assurance import UNCHECKED, Assurance
from drillbook.audit.campaigns import Campaign
from drillbook.audit.chain import Problem
from drillbook.audit.controls import CONTROLS, Control, bearing
from drillbook.audit.coverage import CoverageRow, PlanRow
from drillbook.audit.evidence_rows import EvidenceRow, evidence_row
from drillbook.audit.findings import FindingRow, findings
from drillbook.audit.missed_drills import NEVER, MissedRow, missed, moment_of, never_ran, ran_in
from drillbook.audit.objective_states import ProvenRow, proven
from drillbook.audit.period import Period
from drillbook.audit.records import Record, Stray, first_runs
from drillbook.audit.rehearsal_figures import RehearsedRow, noted, rehearsed
from drillbook.audit.run_rows import RunRow, changes_left, counted, run_row
from drillbook.audit.suites import Suite, missing_runs
from drillbook.audit.timelines import Known
from drillbook.audit.trend import Plot
from drillbook.judge.outlook import Outlook
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.project.needed_inventories import Inventories
from drillbook.project.retirements import Retirement
from drillbook.project.schedule_record import Entry
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import count
from drillbook.report.folders import suite_of
from drillbook.report.wording import NOT_VERIFIED, of_environment
from drillbook.values import canonical, digest

ORDER = (*map(str, Verdict), UNFINISHED, NOT_VERIFIED)
INCOMPLETE = "The record of the period is incomplete, so there may have been more runs than it shows."


@dataclass(frozen=True, slots=True)
class CapacityRow:
    """Size, growth and predictions of one service, from the newest trustworthy run of the period that measured the size."""

    environment: str
    run: str
    at: str
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """An operator whom the journals of the period name, with the number of the operator's runs and recoveries."""

    operator: str
    runs: int
    recoveries: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of a period."""

    period: Period
    whole: bool
    sentence: str
    verdicts: dict[str, int]
    problems: tuple[Problem, ...]
    elsewhere: tuple[Problem, ...]
    unanchored: tuple[str, ...]
    newest: str
    """Time at which the newest of all runs began, even if that run is outside of the period."""
    outside: int
    """Number of journals of other periods. They were read too, because the chain of journals covers all runs."""
    runs: tuple[RunRow, ...]
    coverage: tuple[CoverageRow, ...]
    proven: tuple[ProvenRow, ...]
    plots: tuple[Plot, ...]
    findings: tuple[FindingRow, ...]
    operators: tuple[OperatorRow, ...]
    plans: tuple[PlanRow, ...]
    evidence: tuple[EvidenceRow, ...]
    evidence_digest: str
    controls: tuple[Control, ...] = CONTROLS
    capacity: tuple[CapacityRow, ...] = ()
    missed: tuple[MissedRow, ...] = ()
    schedule_damage: str = ""
    """Reason why the record of missed drills cannot be trusted. It is empty for an intact record, and without a record."""
    schedule_torn: str = ""
    """Text which says that the last line of ``schedule.jsonl`` is incomplete and ignored. It is empty for a complete line."""
    assurance: Assurance = UNCHECKED
    environment_notes: Mapping[str, str] = field(default_factory=dict)
    """Explanations of environments, for example that an environment is a lab. The key of each entry is the name of the
    environment. An explanation is included only if the plans of all runs in the environment show that it is true.
    """
    absent: tuple[AbsentRow, ...] = ()
    """Missing runs, and suites without an end."""
    rehearsed: tuple[RehearsedRow, ...] = ()
    """Figures of rehearsals. They prove no objective."""
    so_far: date | None = None
    """Date of the audit in UTC, if the period ends after this date. It is None for a period that has ended."""
    counted_from: date | None = None
    """Day on which the record began, if the period has days before it. Months without a run are counted from this day."""
    retired: tuple[Retirement, ...] = ()
    """Drills and environments that no longer exist."""
    drills: tuple[Scheduled, ...] = ()
    """Drills and suites in the files of the project. It is empty when they are unknown."""
    inventories: Inventories | None = None
    """Inventories of the project. The value is None when they are unknown."""
    never_passed: frozenset[tuple[str, str]] = frozenset()
    """Environment and name of each drill that has never passed in the whole record."""
    first_runs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Start of the first run of each drill and suite in the record. The key is the environment and the name."""

    @property
    def suites(self) -> frozenset[str]:
        """Folders of the suites to which runs of the period belong."""
        return frozenset(filter(None, (suite_of(row.folder) for row in self.runs)))

    @property
    def vouched(self) -> bool:
        """True when no journal is missing or changed, trusted keys signed every run, and the journals match an anchor."""
        known = self.assurance
        return self.whole and known.checked and bool(known.compared) and not known.unvouched

    @property
    def failing(self) -> dict[tuple[str, str], RunRow]:
        """Runs that decide the verdict of their drill, and did not pass. A failed run decides until a later run of the drill
        passes or fails. In any other case, the newest run decides. The key of each entry is the environment and the name of the
        drill.
        """
        places = dict.fromkeys(run.environment for run in self.runs)
        newest = [deciding_runs.deciding(run for run in self.runs if run.environment == place) for place in places]
        return {
            (run.environment, run.drill): run for runs in newest for run in runs.values() if run.verdict != Verdict.PASSED
        }

    @property
    def missed_beside_failures(self) -> tuple[MissedRow, ...]:
        """Missed drills. A drill that has never passed is left out if it is already listed with the failed runs."""
        failing = self.failing
        return tuple(
            row
            for row in self.missed
            if row.kind != NEVER or row.until or row.source != "journal" or (row.environment, row.drill) not in failing
        )

    @property
    def shown_findings(self) -> tuple[FindingRow, ...]:
        """Rows that the audit shows in all its formats, such as HTML and Markdown. A row is left out if all its findings
        are only consequences of other findings.
        """
        return tuple(row for row in self.findings if row.times)

    @property
    def not_passed(self) -> tuple[RunRow, ...]:
        """Runs that did not pass, or whose changes were not all undone."""
        return tuple(row for row in self.runs if row.verdict != Verdict.PASSED or row.residue)


def _of_period(records: Sequence[Record], period: Period) -> tuple[list[Record], list[Record]]:
    """Return the runs that began in ``period`` or at an unknown time, oldest first, and the runs before the period.

    Neither list contains the runs after the period.
    """
    runs = sorted(
        (record for record in records if period.holds(record.started)),
        key=lambda record: (record.started or "", record.name),
    )
    folders = {run.folder for run in runs}
    return runs, [record for record in records if record.folder not in folders and not period.ended_before(record.started)]


def make(
    records: Sequence[Record],
    strays: Sequence[Stray],
    period: Period,
    assurance: Assurance = UNCHECKED,
    today: date | None = None,
    *,
    scheduled: tuple[Sequence[Entry], str, str] = ((), "", ""),
    campaigns: Sequence[Campaign] = (),
    suites: Sequence[Suite] = (),
    wanted: Sequence[Scheduled] = (),
    inventories: Inventories | None = None,
    services: Mapping[tuple[str, str], bool] | None = None,
) -> Audit:
    """Make the audit of ``period`` from all journals and from ``scheduled``.

    ``scheduled``: result of ``schedule_record.read``. ``suites``: result of ``suites.find``. ``wanted``: schedules in the
    files of drills and suites, empty when the files are not known. ``inventories``: inventories of the project, which are
    used in the texts about next steps. ``services``: result of ``due.services``. ``today``: date of the audit in UTC, by
    default the present date.
    """
    followed = chain.follow(records, strays, campaigns)
    followed.problems += missing_runs(suites, records)
    day = today or datetime.now(UTC).date()
    gone = retired.in_force(scheduled[0], records, period)
    made = _without_retired(_of_journals(records, followed, period, assurance, day), gone)
    own = [record for record in records if not record.copy_of]
    known = Known(
        own, scheduled[0], suites, {schedule.name: schedule for schedule in wanted}, *moment_of(period, today), services
    )
    rows = retired.missed(missed(known, period, inventories), gone, period)
    so_far = day if day < period.until else None
    never = never_ran(wanted, ran_in(records, suites), rows, retired.places(gone), inventories)
    rows += retired.missed(never, gone, period)
    absent = tuple(absences(made.problems, suites, period))
    made = replace(made, so_far=so_far, absent=absent, drills=tuple(wanted), inventories=inventories)
    made = _since(made, record_begin.of(own, scheduled, [*followed.problems, *assurance.problems]))
    return replace(made, missed=tuple(rows), schedule_damage=scheduled[1], schedule_torn=scheduled[2])


def _since(made: Audit, begun: date | None) -> Audit:
    """Return a copy of the audit that counts months without a run from the day ``begun``."""
    covered = tuple(record_begin.coverage(made.coverage, made.period, begun))
    return replace(made, coverage=covered, counted_from=record_begin.within(made.period, begun))


def _without_retired(made: Audit, gone: tuple[Retirement, ...]) -> Audit:
    """Return a copy of the audit that does not report retired drills and environments as missing. ``gone``: retirements that
    are in force.
    """
    if not gone:
        return made
    covered = tuple(retired.coverage(made.coverage, gone))
    return replace(
        made,
        retired=gone,
        coverage=covered,
        proven=tuple(retired.proven(made.proven, gone)),
        sentence=_sentence(made.runs, covered),
    )


def _of_journals(
    records: Sequence[Record], followed: chain.Chain, period: Period, assurance: Assurance, today: date
) -> Audit:
    kept = [record for record in records if not record.copy_of]
    runs, earlier = _of_period(kept, period)
    problems, elsewhere = chain.relevant([*followed.problems, *assurance.problems], period)
    whole = not any(problem.breaking for problem in problems)
    evidence = tuple(evidence_row(run, followed) for run in runs)
    rows = tuple(run_row(run, runs) for run in runs)
    covered = coverage.coverage(runs, earlier, period, today)
    rehearsals = tuple(rehearsed(runs))
    return Audit(
        period=period,
        whole=whole,
        sentence=_sentence(rows, covered),
        verdicts=_verdicts(rows),
        problems=_sorted(problems),
        elsewhere=tuple(elsewhere),
        unanchored=tuple(chain.unanchored(runs, followed, assurance.anchored)),
        newest=max((record.started or "" for record in kept), default=""),
        outside=len(kept) - len(runs),
        runs=rows,
        coverage=tuple(covered),
        proven=tuple(noted(proven(runs, earlier), rehearsals)),
        rehearsed=rehearsals,
        plots=tuple(trend.plots(runs, period)),
        findings=tuple(findings(runs)),
        operators=tuple(_operators(kept, period)),
        plans=tuple(coverage.plan_changes(runs, earlier)),
        evidence=evidence,
        assurance=assurance,
        capacity=_capacity(runs),
        controls=bearing(runs),
        environment_notes=_environment_notes([*earlier, *runs]),
        never_passed=_never_passed([*earlier, *runs]),
        first_runs=first_runs([*earlier, *runs]),
        evidence_digest=digest(canonical([[row.folder, row.sha256, row.head] for row in evidence])),
    )


def _environment_notes(records: Sequence[Record]) -> dict[str, str]:
    """Return explanations of environments, with the name of the environment as the key. An explanation says that the
    environment is a test environment. An environment has an explanation only if this is true for the plans of all its runs.
    """
    plans: dict[str, list[object]] = {}
    for record in records:
        if record.plan:
            plans.setdefault(record.environment, []).append(record.plan.get("inventory"))
    return {name: text for name, known in plans.items() if (text := of_environment(known))}


def _never_passed(records: Sequence[Record]) -> frozenset[tuple[str, str]]:
    """Return the environment and name of each drill that has no passed run."""
    passed = {(record.environment, record.drill) for record in records if record.verdict == Verdict.PASSED}
    return frozenset((record.environment, record.drill) for record in records) - passed


def _verdicts(rows: Sequence[RunRow]) -> dict[str, int]:
    return {verdict: number for verdict in ORDER if (number := sum(row.verdict == verdict for row in rows))}


def _sorted(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(
        sorted(problems, key=lambda problem: (not problem.breaking, problem.first or "", problem.run, problem.code))
    )


def _sentence(rows: Sequence[RunRow], covered: Sequence[CoverageRow]) -> str:
    """Describe the runs, their verdicts, exempt services, and changes that are not recorded as undone."""
    if not rows:
        text = "No run began in this period, so nothing was proven."
    else:
        text = f"{runs_sentence(rows)} {services.exempt_sentence(covered)}".rstrip()
    return f"{text} {changes_left(rows)}".rstrip()


def runs_sentence(rows: Sequence[RunRow]) -> str:
    """Return a sentence with the number of runs, drills, environments and verdicts."""
    if not rows:
        return "No run began in this period."
    drills, places = len({row.drill for row in rows}), len({row.environment for row in rows})
    what = f"{count(len(rows), 'run')} of {count(drills, 'drill')}{f' in {places} environments' if places > 1 else ''}"
    return f"{what}: {counted(rows, ORDER)}."


def _capacity(runs: Sequence[Record]) -> tuple[CapacityRow, ...]:
    newest: dict[tuple[str, str], CapacityRow] = {}
    for run in runs:
        for outlook in run.result.capacity if run.result and run.verdict != NOT_VERIFIED else ():
            newest[run.environment, outlook.service] = CapacityRow(run.environment, run.run, run.started or "", outlook)
    return tuple(newest[key] for key in sorted(newest))


def _operators(records: Sequence[Record], period: Period) -> list[OperatorRow]:
    """Return the operators of runs and recoveries in the period, sorted by name."""
    acts = [
        (record.operator, record.started or "", "run") for record in records if record.first and period.holds(record.started)
    ]
    acts += [
        (resumed.operator, resumed.at, "recovery")
        for record in records
        for resumed in record.recoveries
        if period.holds(resumed.at)
    ]
    rows = []
    for name in sorted({name for name, _, _ in acts}):
        mine = [(at, kind) for who, at, kind in acts if who == name]
        kinds = [kind for _, kind in mine]
        rows.append(OperatorRow(name, kinds.count("run"), kinds.count("recovery"), min(mine)[0], max(mine)[0]))
    return rows


ROWS = (
    "problems",
    "elsewhere",
    "runs",
    "coverage",
    "missed",
    "absent",
    "retired",
    "proven",
    "rehearsed",
    "findings",
    "operators",
    "plans",
    "evidence",
    "controls",
)
"""Fields of ``Audit`` that are lists of rows. The JSON of the audit contains all these rows."""


def as_data(audit: Audit) -> dict[str, object]:
    """Return the content of the audit for JSON. Keys may be added but are never renamed."""
    rows = {name: [asdict(row) for row in getattr(audit, name)] for name in ROWS}
    return {
        "schema": "drillbook/audit/1",
        "since": str(audit.period.since),
        "until": str(audit.period.until),
        "so_far_to": str(audit.so_far or ""),
        "counted_from": str(audit.counted_from or ""),
        "whole": audit.whole,
        "sentence": audit.sentence if audit.whole else f"{audit.sentence} {INCOMPLETE}",
        "verdicts": audit.verdicts,
        "unanchored": list(audit.unanchored),
        "vouched": audit.vouched,
        "unvouched": list(audit.assurance.unvouched),
        "anchors": list(audit.assurance.compared),
        "newest_run_began": audit.newest,
        "runs_outside": audit.outside,
        "schedule_damage": audit.schedule_damage,
        "schedule_torn": audit.schedule_torn,
        "unit": audit.period.unit,
        "evidence_digest": audit.evidence_digest,
        **rows,
        "capacity": [
            {"environment": row.environment, "run": row.run, "at": row.at, **row.outlook.model_dump(mode="json")}
            for row in audit.capacity
        ],
    }
