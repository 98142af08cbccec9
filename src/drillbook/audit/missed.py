"""Missed drills.

These are drills that were overdue, scheduled runs that could not begin, and drills and suites that never ran.

The first event of a run contains the schedule of the drill. After a run that passed, this recorded schedule tells when the
drill becomes overdue. The drill stays overdue until the next run that passes. Later changes of the drill's file cannot hide
that the drill was overdue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from pydantic import ValidationError

from drillbook.audit.coverage import by_drill
from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.judge.result import Verdict
from drillbook.plan.schedule import Schedule
from drillbook.project.schedule_record import NOT_BEGUN, Entry
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import moment, seconds

OVERDUE, NEVER, NEVER_RAN = "overdue", "never passed", "never ran"
Ran = tuple[str, str]
"""Name and environment of a drill or suite that ran. The environment is empty when it is unknown."""


@dataclass(frozen=True, slots=True)
class MissedRow:
    """A span of time in which a drill was overdue, or a scheduled run that could not begin.

    Times are in UTC (RFC 3339).
    """

    kind: str
    """Kind of the row: ``overdue``, ``never passed``, ``never ran``, or ``not begun`` for a scheduled run that could not
    begin.
    """
    environment: str
    service: str
    drill: str
    due: str
    since: str
    """Start of the span. It is empty for a drill that never ran."""
    until: str
    """Start of the next run that passed. It is empty when there is none yet."""
    run: str
    """Name of the previous run that passed. It is empty when there is none."""
    source: str
    """Source of the row: ``journal``, or ``schedule.jsonl`` for a run without a journal, or ``drills/`` for a drill or suite
    that never ran.
    """
    why: str = ""
    suite: bool = False
    """True for a suite that never ran."""
    elsewhere: str = ""
    """Other environments in which the drill or suite ran, although it never ran in ``environment``. It is empty when there
    are no such environments.
    """

    @property
    def named(self) -> str:
        """Name of the drill. For a service whose schedule no drill has met, it is the name of the service."""
        return self.drill or f"the service {self.service}"


def missed(records: Sequence[Record], entries: Sequence[Entry], period: Period, today: date | None) -> list[MissedRow]:
    """List the missed drills in ``period``, oldest first. ``entries`` are the entries of the record ``schedule.jsonl``.

    The schedules are evaluated at the end of ``period``. If that end is in the future, they are evaluated at the
    present time. When ``today`` is given, they are evaluated at the end of this day (UTC) instead.
    """
    now = min(period.end, datetime.combine(today, time.max, UTC) if today else datetime.now(UTC))
    rows = [row for group in by_drill(records).values() for row in _overdue(group, now)]
    rows = [row for row in rows if period.touches(row.since, row.until or None) and not period.ended_before(row.since)]
    known = {(row.drill, row.environment) for row in rows}
    rows += [
        _recorded(one) for one in entries if period.holds(one.at) and (one.kind == NOT_BEGUN or one.subject not in known)
    ]
    return sorted(rows, key=lambda row: (row.since, row.drill, row.environment))


def never_ran(wanted: Sequence[Scheduled], ran: Collection[Ran], rows: Sequence[MissedRow]) -> list[MissedRow]:
    """List the drills and suites that have a schedule in their file, but no run in the whole record.

    Each environment is checked separately. For example, a drill that ran only in staging is listed for production, if other
    runs took place in production and the drill's file allows this environment.

    ``wanted``: schedules in the present files. ``ran``: drills and suites in the record, each with its environment.
    ``rows``: missed drills that are already known. They are not listed again.
    """
    known = {(row.drill, row.environment) for row in rows}
    named = {row.drill for row in rows}
    used = {place for _, place in ran}
    found = []
    for one in sorted((one for one in wanted if one.every is not None), key=lambda one: one.name):
        there = sorted(place for name, place in ran if name == one.name and (not place or _may_run(one, place)))
        if there and "" not in there:
            lacking = (used & set(one.environments or ())) - set(there)
            found += [
                _never_ran(one, place, ", ".join(there)) for place in sorted(lacking) if (one.name, place) not in known
            ]
        elif not there and one.name not in named:
            found.append(_never_ran(one, ", ".join(one.environments or ("any",))))
    return found


def _may_run(one: Scheduled, place: str) -> bool:
    return one.environments is None or place in one.environments


def _never_ran(one: Scheduled, place: str, elsewhere: str = "") -> MissedRow:
    where = f" in {place}, only in {elsewhere}" if elsewhere else ""
    why = f"the schedule in its file asks for a run every {seconds(one.every or 0.0)}, but the record has no such run{where}"
    return MissedRow(
        NEVER_RAN, place, ", ".join(one.services), one.name, "", "", "", "", "drills/", why, one.suite, elsewhere
    )


def _overdue(group: Sequence[Record], now: datetime) -> Iterator[MissedRow]:
    """Return the spans in which one drill was overdue in one environment.

    ``group``: runs of the drill, oldest first.
    """
    passes = [one for one in group if one.verdict == Verdict.PASSED and not one.residue and moment(one.started or "")]
    first = passes[0] if passes else None
    scheduled = next((one for one in group if _schedule(one)), None)
    if scheduled and (first is None or (scheduled.started or "") < (first.started or "")):
        yield _row(NEVER, scheduled, ("", scheduled.started or ""), first)
    for number, one in enumerate(passes):
        schedule, begun = _schedule(one), moment(one.started or "")
        following = passes[number + 1] if number + 1 < len(passes) else None
        end = (moment(following.started or "") if following else None) or now
        if schedule and begun and (since := schedule.overdue(begun)) < min(end, now):
            yield _row(OVERDUE, one, (_utc(schedule.due(begun)), _utc(since)), following)


def _row(kind: str, one: Record, span: tuple[str, str], following: Record | None) -> MissedRow:
    due, since = span
    until = following.started or "" if following else ""
    run = one.run if kind == OVERDUE else ""
    return MissedRow(kind, one.environment, one.service, one.drill, due, since, until, run, "journal")


def _recorded(one: Entry) -> MissedRow:
    kind = one.kind if one.kind == NOT_BEGUN else OVERDUE if one.due else NEVER
    return MissedRow(
        kind, one.environment or "any", one.service, one.drill, one.due, one.at, "", "", "schedule.jsonl", one.message
    )


def _schedule(one: Record) -> Schedule | None:
    if one.opening is None or not one.opening.schedule:
        return None
    try:
        return Schedule.model_validate(one.opening.schedule)
    except ValidationError:  # the schedule was written by a newer version
        return None


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
