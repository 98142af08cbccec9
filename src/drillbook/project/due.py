"""Finds drills and suites that are due, overdue or have never passed, by their schedules. It also finds services that
have no passed run.

The time since a run is counted from the start of the run. A run counts only for the environment in which it ran.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from drillbook.exits import Exit
from drillbook.journal import damaged
from drillbook.plan.schedule import State
from drillbook.project import schedules, standings
from drillbook.project.project import Project
from drillbook.project.schedules import Scheduled
from drillbook.project.standings import Standing, Standings
from drillbook.report import folders
from drillbook.report.figures import moment

SCHEMA = "drillbook/due/1"
URGENCY = {State.OVERDUE: 0, State.NEVER: 1, State.UNKNOWN: 2, State.DUE: 3, State.OK: 4}
_EXIT = {State.OVERDUE: Exit.FAILED, State.NEVER: Exit.FAILED, State.UNKNOWN: Exit.UNVERIFIED}


@dataclass(frozen=True, slots=True)
class DueRow:
    """State of a drill or suite in one environment. If ``drill`` is empty, the row is about a service without a passed
    run.

    Times are in UTC, in the format of RFC 3339. A time that does not exist is empty.
    """

    state: State
    service: str
    drill: str
    environment: str
    suite: bool = False
    every: str = ""
    grace: str = ""
    passed: str = ""
    """Start of the newest passed run."""
    passed_run: str = ""
    last_verdict: str = ""
    last_run: str = ""
    last_started: str = ""
    due: str = ""
    until_due_s: float = 0.0
    """Seconds until the time ``due``. The number is negative after this time."""
    overdue_since: str = ""
    """Time from which the drill is overdue. It may be in the future. If no run has passed, it is the start of the first
    run.
    """
    overdue_s: float = 0.0
    """Seconds since the time ``overdue_since``. The number is 0 before this time."""
    why: str = ""
    """Reason why the schedule is unknown. The text is empty when the schedule is known."""

    @property
    def is_due(self) -> bool:
        """True when the drill should run now: it is due or overdue, or has never passed."""
        return self.state in (State.DUE, State.OVERDUE, State.NEVER)


@dataclass(frozen=True, slots=True)
class Due:
    """State of all drills, suites and services at the time ``now``."""

    now: datetime
    rows: tuple[DueRow, ...]
    unscheduled: tuple[str, ...] = field(default=())
    """Names of the drills and suites without a schedule, that is, without the key `every`."""

    @property
    def status(self) -> Exit:
        """Exit status. It is 1 when a drill, suite or service is overdue or has never passed. Otherwise it is 3 when a
        schedule is unknown, and 0 in all other cases.
        """
        found = {_EXIT.get(row.state, Exit.OK) for row in self.rows}
        return next((status for status in (Exit.FAILED, Exit.UNVERIFIED) if status in found), Exit.OK)

    def as_data(self) -> dict[str, Any]:
        """Return the content for JSON output. New keys may be added later, but keys are never renamed."""
        return {
            "schema": SCHEMA,
            "now": _utc(self.now),
            "exit": int(self.status),
            "rows": [asdict(row) for row in self.rows],
            "unscheduled": list(self.unscheduled),
        }


def read(project: Project, now: datetime | None = None, environment: str = "") -> Due:
    """Return the state of each drill, suite and service of ``project`` at the time ``now``. By default, this is the
    present. The most urgent comes first.

    When ``environment`` is given, only this environment is considered. Raises UsageError when the folder of runs cannot
    be read.
    """
    runs = [folder for folder in project.runs() if not damaged.lost(folder)]
    return of(schedules.read(project), standings.read(runs, project), now or datetime.now(UTC), environment)


def of(wanted: Sequence[Scheduled], known: Standings, now: datetime, environment: str = "") -> Due:
    """Return the state of each drill and suite in ``wanted``, at the time ``now``. ``known``: newest run
    and newest passed run of each drill and suite.
    """
    rows = [row for one in wanted for row in _rows(one, known, now, environment)]
    rows += _services(known, rows, environment)
    rows.sort(key=lambda row: (URGENCY[row.state], -row.overdue_s, row.service, row.drill, row.environment))
    return Due(now, tuple(rows), tuple(one.name for one in wanted if one.every is None and not one.broken))


def _rows(one: Scheduled, known: Standings, now: datetime, environment: str) -> Iterator[DueRow]:
    service = ", ".join(one.services)
    if one.broken:
        yield DueRow(State.UNKNOWN, service, one.name, "", one.suite, why=one.broken)
        return
    if one.schedule is None:
        return
    ran = [place for name, place in known if name == one.name]
    places = [place for place in ran if one.environments is None or place in one.environments]
    for place in [place for place in places if environment in ("", place)]:
        yield _row(one, service, place, known[one.name, place], now)
    if not places or (environment and environment not in places and environment in (one.environments or ())):
        every, grace = str(one.schedule.every), str(one.schedule.grace)
        yield DueRow(State.NEVER, service, one.name, environment, one.suite, every, grace)


def _row(one: Scheduled, service: str, place: str, standing: Standing, now: datetime) -> DueRow:
    schedule, last = one.schedule, standing.last
    assert schedule is not None  # noqa: S101  its caller checked it
    passed = standing.passed.at if standing.passed else None
    failed = moment(standing.failed) if standing.failed else None
    state = schedule.state(passed, now, failed)
    early = failed if state is not State.OVERDUE else None  # what is overdue is so by its schedule alone
    due, since = (schedule.due(passed, early), schedule.overdue(passed)) if passed else (None, moment(standing.first))
    return DueRow(
        state,
        service,
        one.name,
        place,
        one.suite,
        str(schedule.every),
        str(schedule.grace),
        standing.passed.started if standing.passed and passed else "",
        standing.passed.run if standing.passed and passed else "",
        last.verdict,
        last.run,
        last.started,
        _utc(due) if due else "",
        (due - now).total_seconds() if due else 0.0,
        _utc(since) if since else "",
        max(0.0, (now - since).total_seconds()) if since else 0.0,
    )


def _services(known: Standings, rows: Sequence[DueRow], environment: str) -> Iterator[DueRow]:
    """Return a row for each service that has no passed run and that no schedule covers.

    Only services in the newest plan of their environment count, and only if they are not exempt from drills.
    """
    passed = {(one.passed.environment, one.passed.service) for one in known.values() if one.passed}
    scheduled = {(row.environment, name) for row in rows for name in row.service.split(", ")}
    last = {}
    for one in sorted(known.values(), key=lambda one: one.last.run):
        if one.last.service:  # a suite has no plan of its own
            last[one.last.environment] = one.last
    for place, ended in sorted(last.items()):
        inventory = folders.first_event(ended.folder).get("data", {}).get("plan", {}).get("inventory", {})
        for name, service in sorted((inventory.get("services") or {}).items()):
            left_out = isinstance(service, dict) and service.get("not_drilled")
            covered = passed & {(place, name)} or scheduled & {(place, name), ("", name)}
            if environment in ("", place) and not left_out and not covered:
                yield DueRow(State.NEVER, name, "", place)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
