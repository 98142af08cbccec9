"""Finds drills and suites that are due, overdue or have never passed, by their schedules. Also finds services without a
proof of a restore, or with a proof that is too old. The services are those of the inventories and of the newest plans.

The time since a run is counted from the start of the run. A run counts only for the environment in which it ran.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from drillbook.exits import Exit
from drillbook.journal.run_state import RunStates
from drillbook.plan.permitted import demanded
from drillbook.plan.schedule import Schedule, State
from drillbook.project import (
    estate,
    needed_inventories,
    newest_restore_proofs,
    newest_runs,
    not_here,
    recorded_schedules,
    retirements,
    schedule_record,
    schedules,
    settings,
)
from drillbook.project.due_row import DueRow, with_last
from drillbook.project.newest_restore_proofs import Proofs, of_drills
from drillbook.project.newest_runs import Ended, Standing, Standings
from drillbook.project.overdue_since import Past
from drillbook.project.project import Project
from drillbook.project.recorded_schedules import may_run
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import moment
from drillbook.sdk.run_names import drill_of
from drillbook.values import Duration

SCHEMA = "drillbook/due/1"
URGENCY = {State.OVERDUE: 0, State.NEVER: 1, State.UNKNOWN: 2, State.DUE: 3, State.NOT_HERE: 4, State.OK: 5}
_EXIT = {State.OVERDUE: Exit.FAILED, State.NEVER: Exit.FAILED, State.UNKNOWN: Exit.UNVERIFIED}


@dataclass(frozen=True, slots=True)
class Due:
    """State of all drills, suites and services at the time ``now``."""

    now: datetime
    rows: tuple[DueRow, ...]
    unscheduled: tuple[str, ...] = field(default=())
    """Names of the drills and suites without a schedule, that is, without the key `every`. Drills of a suite with a schedule, and
    suites of drills that all have one, are not named."""
    unread: tuple[str, ...] = ()
    """Path and reason for each inventory that cannot be read, and for mistakes in the settings of the project."""
    environment: str = ""
    """The only environment that was considered. It is empty when all environments were considered."""
    elsewhere: bool = False
    """True when drills or suites have a schedule, but none of them may run in ``environment``."""
    record: str = ""
    """Reason why ``schedule.jsonl`` is damaged or cannot be read. Earlier schedules and retirements may then be unknown. If
    only the last line of the file is incomplete, this is no damage; see ``torn``."""
    torn: str = ""
    """Text which says that the last line of ``schedule.jsonl`` is incomplete and ignored. All earlier lines are read."""
    unproven: tuple[tuple[str, str], ...] = ()
    """Services that need a proof of a restore and have none, each with its environment before it, in the order of their names.
    They include services without a row of their own.
    """
    scheduled: bool = True
    """False when no drill or suite has a schedule, so that nothing could ever become overdue."""
    of_drills: tuple[tuple[str, str], ...] = ()
    """Services whose newest proofs restored only backups of drills, each with its environment before it; see
    ``newest_restore_proofs.of_drills``."""
    to_recover: int = 0
    """Number of runs that need a recovery: their controllers died, or they left changes."""

    @property
    def status(self) -> Exit:
        """Exit status. The first rule that applies decides. Something is overdue or has never passed, or a run needs a recovery: 1.
        A schedule or an inventory cannot be read, or the record of schedules is damaged: 3. Nothing has a schedule: 1. All other
        cases: 0.
        """
        if self.to_recover:
            return Exit.FAILED
        statuses = {_EXIT.get(row.state, Exit.OK) for row in self.rows}
        statuses |= {Exit.UNVERIFIED} if self.unread or self.record else set()
        silent = Exit.OK if self.scheduled else Exit.FAILED
        return next((status for status in (Exit.FAILED, Exit.UNVERIFIED) if status in statuses), silent)

    def as_data(self) -> dict[str, Any]:
        """Return the content for JSON output. New keys may be added later, but keys are never renamed."""
        return {
            "schema": SCHEMA,
            "now": _utc(self.now),
            "environment": self.environment,
            "exit": int(self.status),
            "rows": [asdict(row) for row in self.rows],
            "unscheduled": list(self.unscheduled),
            "unread": list(self.unread),
            "record": self.record,
            "torn": self.torn,
            "unproven": len(self.unproven),
            "unproven_services": [{"environment": place, "service": name} for place, name in self.unproven],
            "scheduled": self.scheduled,
            "to_recover": self.to_recover,
            "proven_without_routine": [{"environment": place, "service": name} for place, name in self.of_drills],
        }


def read(
    project: Project,
    now: datetime | None = None,
    environment: str = "",
    *,
    noting: bool = False,
    runs: RunStates | None = None,
) -> Due:
    """Return the state of each drill, suite and service of ``project`` at the time ``now``, by default the present time.

    The most urgent row comes first. Of two equally urgent drills, the drill that restores data comes first, and otherwise
    the drill with the shorter interval. Drills that need another inventory or an installation come last.

    ``environment``: the only environment to consider; an empty text means all. ``noting``: note changed schedules first, as
    ``recorded_schedules.note`` does. ``runs``: states of all runs that the task reads. Raises UsageError when nothing in
    the project names ``environment``, and when the folder of runs cannot be read.
    """
    runs, now = runs or RunStates(), now or datetime.now(UTC)
    begun = newest_runs.begun(project, runs)
    wanted, known = schedules.read(project), newest_runs.read(begun, project, runs)
    before = kept = schedule_record.read(project.reports)  # noting a change moves a torn line elsewhere
    if noting:
        kept = recorded_schedules.note_changes(project, kept, wanted, known, now)
    estate.check(environment, inventories := estate.read(project), _named(wanted, known))
    proofs, listed = newest_restore_proofs.read(begun, runs), needed_inventories.read(project)
    here, vain = not_here.apart(wanted, known, listed)
    usable = [each for each in wanted if not listed.unmet(each) or any(name == each.name for name, _ in here)]
    rows = [*of(wanted, here, now, environment), *_unscheduled(usable, here, environment)]
    past = Past(begun, runs, kept.entries, now)
    rows = [_with_proof(_since(row, wanted, past), proofs.get((row.drill, row.environment))) for row in rows]
    rows = not_here.with_inventories(rows, wanted, listed, vain)
    retired = retirements.places(kept.entries, {key: it.last.started for key, it in known.items()}, inventories.environments)
    rows = [row for row in rows if row.environment not in retired]
    places = estate.needing_proof(inventories, known, retired, environment)
    rows = sorted([*rows, *(row for place in places for row in _service(place, wanted, rows, proofs, past))], key=_order)
    bare = tuple(each.name for each in wanted if not (each.every or each.planned_by or each.broken))
    unread = (*inventories.unread, *settings.mistakes(project.root))
    elsewhere = bool(environment) and any(scheduled.every for scheduled in wanted) and not any(row.drill for row in rows)
    more = (newest_restore_proofs.lacking(places, proofs), schedules.any_of(usable), of_drills(places, proofs))
    return Due(now, tuple(rows), bare, unread, environment, elsewhere, kept.damage, before.torn, *more)


def services(project: Project, known: Standings) -> dict[tuple[str, str], bool]:
    """Return all services in the inventories, and in the newest plan of each environment. The key of each entry is the
    environment and the name of a service. The value is True when the service is exempt from drills, and False when it needs a
    proof of a restore."""
    return {**estate.planned(known), **estate.read(project).services}


def _named(wanted: Sequence[Scheduled], known: Standings) -> set[str]:
    """Return the environments that a guard or a run names."""
    return {place for scheduled in wanted for place in scheduled.environments or ()} | {place for _, place in known} - {""}


def of(wanted: Sequence[Scheduled], known: Standings, now: datetime, environment: str = "") -> list[DueRow]:
    """Return the state of each drill and suite in ``wanted`` by its schedule, at the time ``now``. ``known``: newest run
    and newest passed run of each drill and suite."""
    return [row for scheduled in wanted for row in _rows(scheduled, known, now, environment)]


def in_order(project: Project, wanted: Sequence[Scheduled], known: Standings, now: datetime) -> list[DueRow]:
    """Return the rows of all drills and suites, sorted as by ``read``. Each row has the inventory for its next run."""
    inventories = needed_inventories.read(project)
    here, vain = not_here.apart(wanted, known, inventories)
    return sorted(not_here.with_inventories(of(wanted, here, now), wanted, inventories, vain), key=_order)


def _rows(scheduled: Scheduled, known: Standings, now: datetime, environment: str) -> Iterator[DueRow]:
    service = ", ".join(scheduled.services)
    if scheduled.broken:
        yield DueRow(State.UNKNOWN, service, scheduled.name, "", scheduled.suite, why=scheduled.broken)
        return
    if scheduled.schedule is None:
        return
    ran = [place for name, place in known if name == scheduled.name and not newest_runs.moved(known, name, place)]
    places = [place for place in ran if may_run(scheduled, place)]
    for place in [place for place in places if environment in ("", place)]:
        yield _row(scheduled, service, place, known[scheduled.name, place], now)
    here = environment in demanded(scheduled.environments or (), places) if places else may_run(scheduled, environment)
    if environment not in places and (here if environment else not places):
        every, grace = str(scheduled.schedule.every), str(scheduled.schedule.grace)
        row = DueRow(State.NEVER, service, scheduled.name, environment, scheduled.suite, every, grace)
        yield replace(row, permitted_in=() if places else recorded_schedules.only_in(scheduled, known))


def _row(scheduled: Scheduled, service: str, place: str, standing: Standing, now: datetime) -> DueRow:
    schedule = scheduled.schedule
    assert schedule is not None  # noqa: S101  its caller checked it
    passed = standing.passed.at if standing.passed else None
    failed = moment(standing.failed) if standing.failed else None
    state = schedule.state(passed, now, failed)
    early = failed if state is not State.OVERDUE else None  # what is overdue is so by its schedule alone
    due, since = (schedule.due(passed, early), schedule.overdue(passed)) if passed else (None, moment(standing.first))
    row = DueRow(
        state,
        service,
        scheduled.name,
        place,
        scheduled.suite,
        str(schedule.every),
        str(schedule.grace),
        standing.passed.started if standing.passed and passed else "",
        standing.passed.run if standing.passed and passed else "",
        due=_utc(due) if due else "",
        until_due_s=(due - now).total_seconds() if due else 0.0,
        overdue_since=_utc(since) if since else "",
        overdue_s=max(0.0, (now - since).total_seconds()) if since else 0.0,
    )
    return with_last(row, standing)


def _unscheduled(wanted: Sequence[Scheduled], known: Standings, environment: str) -> Iterator[DueRow]:
    """Return one row for each drill that has never passed, in a project without any schedule. Without these rows, such a
    project would never raise an alarm. If a drill or suite has a schedule, return nothing."""
    for scheduled in wanted if all(other.every is None for other in wanted) else ():
        mine = [each for (name, place), each in known.items() if name == scheduled.name and environment in ("", place)]
        foreign = environment and not may_run(scheduled, environment)
        if scheduled.suite or scheduled.broken or foreign or any(each.passed for each in mine):
            continue
        newest = max(mine, key=lambda each: each.last.run, default=None)
        at = newest.last.environment if newest else environment
        row = DueRow(State.NEVER, ", ".join(scheduled.services), scheduled.name, at)
        yield with_last(row, newest) if newest else row


def _since(row: DueRow, wanted: Sequence[Scheduled], past: Past) -> DueRow:
    """Return ``row`` with the moment from which its drill is overdue. Earlier schedules of the drill are taken into account."""
    scheduled = next((candidate for candidate in wanted if candidate.name == row.drill and candidate.schedule), None)
    if scheduled is None or row.state not in (State.OVERDUE, State.NEVER) or not row.overdue_since:
        return row
    if row.state is State.OVERDUE:
        return _overdue(row, past.since_pass(scheduled, row.environment, row.passed), past.now)
    return _overdue(row, past.since_first(scheduled, row.environment, row.overdue_since), past.now)


def _overdue(row: DueRow, since: datetime | None, now: datetime) -> DueRow:
    if since is None:
        return row
    return replace(row, overdue_since=_utc(since), overdue_s=max(0.0, (now - since).total_seconds()))


def _with_proof(row: DueRow, proof: Ended | None) -> DueRow:
    return replace(row, proven=proof.started, proven_run=proof.run) if proof else row


def _order(row: DueRow) -> tuple[bool, int, float, bool, float, tuple[str, str, str]]:
    period = float(Duration.parse(row.every)) if row.every else math.inf
    names = row.service, row.drill, row.environment
    return row.is_elsewhere, URGENCY[row.state], -row.overdue_s, not row.restores, period, names


def _service(
    service: tuple[str, str], wanted: Sequence[Scheduled], rows: Sequence[DueRow], proofs: Proofs, past: Past
) -> Iterator[DueRow]:
    """Yield a row about a service if its proof of a restore is missing, or old. Otherwise yield nothing.

    A missing proof gets no row if a row of a drill raises the same alarm. The drills and suites that once proved a restore of
    the service should prove a restore again. If none of them exists any more, all drills and suites of the service that have
    passed should do so. The proof is old if all of these have passed since the proof, but none of these runs proved a
    restore. ``service``: environment and name. ``rows``: rows of drills.
    """
    place, name = service
    away = {row.drill for row in rows if row.state is State.NOT_HERE and row.environment in ("", place)}
    own = [each for each in wanted if name in each.services and each.name not in away]
    drills = {scheduled.name: scheduled for scheduled in own if may_run(scheduled, place)}
    mine = [row for row in rows if row.drill in drills and row.environment in ("", place)]
    proven = [proof for proof in proofs.values() if (proof.environment, proof.service) == service]
    newest = max(proven, key=lambda proof: proof.started, default=None)
    if newest is None or newest.at is None:
        if not any(row.state in (State.NEVER, State.UNKNOWN) for row in mine):
            yield DueRow(State.NEVER, name, "", place, restores=True, drills=tuple(drills))
        return
    newest_at = newest.at
    proving = {proof.name for proof in proven} | {drill_of(proof.state.folder.parent.name) for proof in proven}
    asked = passed = [row for row in mine if row.passed]
    if proving & {*drills, *(inner for drill in drills.values() for inner in drill.drills)}:
        asked = [row for row in passed if proving & {row.drill, *drills[row.drill].drills}]
    terms = [schedule for row in asked if (schedule := drills[row.drill].schedule)]
    if terms and all(row.passed > newest.started for row in asked):
        row = _old_proof(name, place, newest, max(terms, key=lambda term: term.overdue(newest_at)), past.now)
        schedules_of = [drills[row.drill] for row in asked]
        late = row.state is State.OVERDUE
        yield _overdue(row, past.since_proof(schedules_of, newest, frozenset(proving)) if late else None, past.now)


def _old_proof(name: str, place: str, proof: Ended, schedule: Schedule, now: datetime) -> DueRow:
    at = proof.at or now
    due, since = schedule.due(at), schedule.overdue(at)
    return DueRow(
        schedule.state(at, now),
        name,
        "",
        place,
        every=str(schedule.every),
        grace=str(schedule.grace),
        proven=proof.started,
        proven_run=proof.run,
        due=_utc(due),
        until_due_s=(due - now).total_seconds(),
        overdue_since=_utc(since),
        overdue_s=max(0.0, (now - since).total_seconds()),
        restores=True,
    )


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
