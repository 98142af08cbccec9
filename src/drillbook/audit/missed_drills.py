"""Missed drills.

These are drills and suites that were overdue, services whose newest proof was overdue, scheduled runs that could not begin,
and drills and suites that never ran.

The first event of a run contains the schedule of the drill, and ``schedule.jsonl`` notes each change of
a schedule. Each past moment is judged by the schedule that held at that moment. So a later change of the drill's file cannot
hide that the drill was overdue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.audit.suites import Suite
from drillbook.audit.timelines import Begun, Known, Timeline
from drillbook.journal.run_files import RESULT
from drillbook.plan import schedule_terms
from drillbook.plan.permitted import demanded
from drillbook.plan.schedule import Schedule
from drillbook.plan.schedule_terms import Span, Terms
from drillbook.project import not_here
from drillbook.project.needed_inventories import Inventories
from drillbook.project.recorded_schedules import may_run
from drillbook.project.schedule_record import MISSED, NOT_BEGUN, Entry
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import moment, seconds
from drillbook.report.folders import suite_of

OVERDUE, NEVER, NEVER_RAN = "overdue", "never passed", "never ran"
Ran = tuple[str, str]
"""Name and environment of a drill or suite that ran. The environment is empty when it is unknown."""


@dataclass(frozen=True, slots=True)
class MissedRow:
    """A span of time in which a drill, a suite or the proof of a service was overdue, or a scheduled run that could not begin.

    Times are in UTC (RFC 3339).
    """

    kind: str
    """Kind of the row: ``overdue``, ``never passed``, ``never ran``, or ``not begun`` for a scheduled run that could not
    begin.
    """
    environment: str
    service: str
    drill: str
    """Name of the drill or suite. It is empty if the row is about a service whose proof was overdue."""
    due: str
    since: str
    """Start of the span. It is empty for a drill that never ran."""
    until: str
    """Time at which the span ended. A span of a drill or suite ends when the next run that passed starts. A span of a service
    ends when the next run that proved a restore starts. A span also ends when the schedule is changed or the drill is
    retired. The field is empty if the span has not ended.
    """
    run: str
    """Name of the newest run that passed before the span began. For a service, this run must also have proved a restore. The
    field is empty when there is no such run."""
    source: str
    """Source of the row: ``journal``, ``result.json`` for a suite, ``schedule.jsonl`` for a run without a journal, or
    ``drills/`` for a drill or suite that never ran.
    """
    why: str = ""
    suite: bool = False
    """True if the row is about a suite, not about a drill."""
    elsewhere: str = ""
    """Other environments in which the drill or suite ran, although it never ran in ``environment``. It is empty when there
    are no such environments.
    """
    needs: str = ""
    """Text about another inventory that a drill which never ran needs, such as ``the inventory docker``. It is empty for any
    other drill.
    """
    retired: bool = False
    """True when the span ends with the retirement of the drill, not with a run."""

    @property
    def named(self) -> str:
        """Name of the drill or suite. For the overdue proof of a service, it is the name of the service."""
        return self.drill or f"the service {self.service}"

    @property
    def subject(self) -> tuple[str, str, str]:
        """Environment and name of the drill or suite, or of the service."""
        return self.environment, "" if self.drill else self.service, self.drill


def missed(known: Known, period: Period, inventories: Inventories | None = None) -> list[MissedRow]:
    """List the missed drills, suites and proofs in ``period``, oldest first. The schedules are evaluated at the moment
    ``known.end``.

    ``inventories``: inventories of the project. A drill is left out where it could only fail, and where its newest run found no
    backup, as `drill.due` does; see ``project.not_here``.
    """
    timelines = known.timelines()
    asked = [timeline for timeline in timelines if not _in_vain(timeline, known, inventories)]
    rows = [row for timeline in asked for row in (*_never(timeline, known), *_overdue(timeline, known))]
    for key, proofs in known.proofs().items():
        rows += _old_proof(key, known, timelines, proofs)
    rows = [row for row in rows if period.touches(row.since, row.until or None) and not period.ended_before(row.since)]
    listed = {row.subject for row in rows}
    recorded = [(entry.kind, _recorded(entry)) for entry in known.entries if period.holds(entry.at)]
    rows += [row for kind, row in recorded if kind == NOT_BEGUN or (kind == MISSED and row.subject not in listed)]
    return sorted(rows, key=lambda row: (row.since, row.drill, row.environment, row.service))


def moment_of(period: Period, today: date | None) -> tuple[datetime, bool]:
    """Return the moment at which the schedules are evaluated: the end of ``period``, or the present moment if it is earlier.
    The second returned value is True if it is the present moment.

    When ``today`` is given, the present moment is the end of this day (UTC).
    """
    now = datetime.combine(today, time.max, UTC) if today else datetime.now(UTC)
    return min(period.end, now), now <= period.end


def never_ran(
    wanted: Sequence[Scheduled],
    ran: Collection[Ran],
    rows: Sequence[MissedRow],
    retired: Collection[str] = (),
    inventories: Inventories | None = None,
) -> list[MissedRow]:
    """List the drills and suites that have a schedule in their file, but no run in the whole record.

    Each environment is checked separately. For example, a drill that ran only in staging is listed for production, if other
    runs took place in production and the drill's file allows this environment.

    ``wanted``: schedules in the present files. ``ran``: drills and suites in the record, each with its environment.
    ``rows``: missed drills that are already known. They are not listed again. ``retired``: environments that no longer exist.
    ``inventories``: inventories of the project. A drill is left out where it could only fail; see ``Inventories.unmet``.
    """
    known = {(row.drill, row.environment) for row in rows}
    named = {row.drill for row in rows}
    used = {place for _, place in ran}
    added = []
    for schedule in sorted(
        (candidate for candidate in wanted if candidate.every is not None), key=lambda candidate: candidate.name
    ):
        there = sorted(place for name, place in ran if name == schedule.name and (not place or may_run(schedule, place)))
        if there and "" not in there:
            lacking = (used & demanded(schedule.environments or (), there)) - set(there)
            added += [
                _never_ran(schedule, place, ", ".join(there))
                for place in sorted(lacking)
                if (schedule.name, place) not in known and not _unmet(schedule, place, inventories)
            ]
        elif not there and schedule.name not in named and not _unmet(schedule, "", inventories):
            places = {place for place in {*used, *(schedule.environments or ())} if _unmet(schedule, place, inventories)}
            added.append(_nowhere(schedule, used, {*retired, *places}, inventories))
    return added


def _nowhere(
    schedule: Scheduled, used: Collection[str], without: Collection[str], inventories: Inventories | None
) -> MissedRow:
    """Return the row of a drill that never ran in any environment. If no environment of the record has its services, the row tells
    which inventory it needs. ``without``: see ``_where``.
    """
    permitted = [place for place in sorted(used) if place and place not in without and may_run(schedule, place)]
    known = {place: inventories.elsewhere(schedule, place) if inventories else None for place in permitted}
    lacking = [place for place in known.values() if place]
    if lacking and all(known.values()):
        environment, needs = lacking[0]
        row = _never_ran(schedule, environment or "any")
        return replace(row, why=f"{row.why}; it needs {needs}", needs=needs)
    return _never_ran(schedule, _where(schedule, used, {*without, *(place for place in known if known[place])}))


def ran_in(records: Sequence[Record], suites: Sequence[Suite]) -> set[Ran]:
    """Return the drills and suites that ran, each with its environment. The environment of a suite is that of its drills."""
    ran = {(record.drill, record.environment) for record in records}
    for suite in suites:
        places = {record.environment for record in records if suite_of(record.folder) == suite.folder}
        ran |= {(suite.name, place) for place in places or {""}}
    return ran


def _unmet(schedule: Scheduled, place: str, inventories: Inventories | None) -> str:
    return inventories.unmet(schedule, place) if inventories else ""


def _where(schedule: Scheduled, used: Collection[str], without: Collection[str]) -> str:
    """Return the environments in which a drill that never ran should run: those of the record that its file permits. If there are
    none, return all permitted environments, of which one suffices. ``without``: environments in which it cannot run any more.
    """
    permitted = {place for place in used if place and place not in without and may_run(schedule, place)}
    others = [place for place in schedule.environments or () if place not in without]
    return ", ".join(sorted(demanded(permitted, permitted))) or " or ".join(others) or "any"


def _never_ran(schedule: Scheduled, place: str, elsewhere: str = "") -> MissedRow:
    where = f" in {place}, only in {elsewhere}" if elsewhere else ""
    why = (
        f"the schedule in the file of the drill asks for a run every {seconds(schedule.every or 0.0)}, but the record has "
        f"no such run{where}"
    )
    return MissedRow(
        NEVER_RAN,
        place,
        ", ".join(schedule.services),
        schedule.name,
        "",
        "",
        "",
        "",
        "drills/",
        why,
        schedule.suite,
        elsewhere,
    )


def _in_vain(timeline: Timeline, known: Known, inventories: Inventories | None) -> bool:
    """Return True for a drill or suite that never passed and could only fail in its environment. See ``not_here.apart``."""
    schedule = known.wanted.get(timeline.name)
    if schedule is None or timeline.passes or not timeline.runs or not _unmet(schedule, timeline.environment, inventories):
        return False
    run = timeline.runs[-1].run
    records = [record for record in known.records if run in (record.run, suite_of(record.folder).rpartition("/")[2])]
    findings = [item for record in records if record.result for item in record.result.findings]
    verdict = "" if timeline.suite else next((record.verdict for record in records), "")
    return not_here.found_none(verdict, [(item.code, item.step or "") for item in findings])


def _never(timeline: Timeline, known: Known) -> Iterator[MissedRow]:
    """Return the spans in which no run of a drill or suite had passed yet, although its schedule asked for one."""
    if not timeline.runs or timeline.runs[0].at >= known.end:
        return
    first = next(iter(timeline.passes), None)
    for span in schedule_terms.never(timeline.runs[0].at, first.at if first else None, timeline.terms, known.end):
        yield _row(NEVER, timeline, span, timeline.runs[0], known)


def _overdue(timeline: Timeline, known: Known) -> Iterator[MissedRow]:
    """Return the spans in which a drill or suite was overdue in one environment."""
    passes = timeline.passes
    for span in schedule_terms.overdue([each.at for each in passes], timeline.terms, known.end):
        before = [each for each in passes if each.at <= span.since][-1]
        yield _row(OVERDUE, timeline, span, before, known)


def _row(kind: str, timeline: Timeline, span: Span, before: Begun, known: Known) -> MissedRow:
    due = run = ""
    if kind == OVERDUE:
        schedule = min(timeline.terms.at(span.since), key=lambda each: schedule_terms.ends(each, before.at))
        due, run = _utc(schedule.due(before.at)), before.run
    started = {each.at: each.started for each in timeline.runs}
    since = started.get(span.since, _utc(span.since)) if kind == NEVER else _utc(span.since)
    passed = {each.at: each.started for each in timeline.passes}
    until = "" if span.until is None else passed.get(span.until, _utc(span.until))
    why = "" if span.until in (None, *passed) else _changed(timeline.terms, span, known)
    why = why or _by_file(timeline.terms, span)
    source = RESULT if timeline.suite else "journal"
    return MissedRow(
        kind, timeline.environment, before.service, timeline.name, due, since, until, run, source, why, timeline.suite
    )


def _changed(terms: Terms, span: Span, known: Known) -> str:
    """Return a text which says that the span ended because the schedule of the drill was changed."""
    now = terms.at(span.until) if span.until else ()
    text = (
        f"the schedule of the drill was changed to {_said(now[0])}"
        if now
        else "the drill has no schedule in this environment any more"
    )
    return f"{text}; the record does not tell when" if span.until == known.end and terms.unrecorded else text


def _by_file(terms: Terms, span: Span) -> str:
    """Return a text which says that the record does not contain the schedule that applied in ``span``, so that the schedule in
    the drill's present file is used. The text is empty if the record contains this schedule."""
    if terms.today and not terms.recorded:
        return f"by the schedule in the present file of the drill, {_said(terms.today)}: the record has no schedule"
    held = terms.recorded[-1].schedule if terms.unrecorded else None
    if span.until is None and terms.today and terms.unrecorded and not (held and held.every <= terms.today.every):
        recorded = _said(held) if held else "none"
        return (
            f"by the schedule in the present file of the drill, {_said(terms.today)}: the newest schedule in the "
            f"record is {recorded}"
        )
    return ""


def _said(schedule: Schedule) -> str:
    return f"every {seconds(schedule.every)} with a grace of {seconds(schedule.grace)}"


def _old_proof(
    key: tuple[str, str], known: Known, timelines: Sequence[Timeline], proofs: Sequence[Record]
) -> Iterator[MissedRow]:
    """Return the spans of time in which the newest proof of a restore was too old, for the environment and service ``key``.

    After this proof, runs of the service's drills passed, but none of these runs proved a restore.
    """
    environment, name = key
    service = known.service(timelines, key, proofs)
    started = {moment(record.started or ""): record.started or "" for record in proofs}
    runs = {moment(record.started or ""): record.run for record in proofs}
    for span in service.overdue(known.end, lambda at: known.listed(key, at), known.changes(environment)):
        decided = service.deciding(span.since)
        if decided is None:
            continue
        proof, schedule = decided
        until = "" if span.until is None else started.get(span.until, _utc(span.until))
        why = f"the drills of the service passed since the run {runs[proof.at]}, but none of them proved a restore"
        due = _utc(schedule.due(proof.at))
        yield MissedRow(OVERDUE, environment, name, "", due, _utc(span.since), until, runs[proof.at], "journal", why)


def _recorded(entry: Entry) -> MissedRow:
    kind = entry.kind if entry.kind == NOT_BEGUN else OVERDUE if entry.due else NEVER
    return MissedRow(
        kind,
        entry.environment or "any",
        entry.service,
        entry.drill,
        entry.due,
        entry.at,
        "",
        "",
        "schedule.jsonl",
        entry.message,
    )


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
