"""Schedules in the record of a project. The first event of a run contains the schedule of its drill. When the schedule in a
file is changed, the new schedule is recorded in a line of ``schedule.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.plan.permitted import permits
from drillbook.plan.schedule import Schedule
from drillbook.plan.schedule_terms import Term
from drillbook.project import newest_runs, schedule_record, schedules
from drillbook.project.project import Project
from drillbook.project.schedule_record import SCHEDULE, Entry, Record
from drillbook.project.schedules import Scheduled
from drillbook.report import folders
from drillbook.report.figures import moment
from drillbook.sdk.run_names import drill_of


def of_entries(entries: Sequence[Entry], name: str, environment: str) -> list[Term]:
    """Return the schedules of a drill or suite that are recorded in ``schedule.jsonl``."""
    mine = [entry for entry in entries if entry.kind == SCHEDULE and entry.subject == (name, environment)]
    return [recorded for entry in mine if (recorded := term(entry.at, entry.schedule))]


def of_runs(runs: Sequence[Path], states: RunStates, name: str, environment: str, since: str = "") -> list[Term]:
    """Return the schedules that the runs of a drill recorded. ``since``: start of the oldest run to be read."""
    mine = [folder for folder in runs if drill_of(folder.name) == name and folders.begun(folder.name) >= since[:19]]
    return [recorded for folder in mine if (recorded := _of_run(states.of(folder), environment))]


def _of_run(state: RunState, environment: str) -> Term | None:
    event = state.first_line
    data = _mapping(event.get("data"))
    plan = _mapping(data.get("plan"))
    place = _mapping(plan.get("inventory")).get("environment")
    return of_plan(str(event.get("at")), data["schedule"], plan) if place == environment and "schedule" in data else None


def of_plan(at: str, schedule: object, plan: Mapping[str, Any]) -> Term | None:
    """Return the schedule that a run with this ``plan`` recorded at the time ``at``. The drill has no schedule in an environment
    that its guard does not permit: there every run is refused.
    """
    allowed, inventory = plan.get("environments"), _mapping(plan.get("inventory"))
    place, lab = str(inventory.get("environment")), str(inventory.get("lab"))
    forbidden = isinstance(allowed, list | tuple) and not permits(allowed, place, lab)
    return term(at, None if forbidden else schedule)


def term(at: str, schedule: object) -> Term | None:
    """Return a recorded schedule with the time ``at`` from which it holds. Returns None when the schedule cannot be read, for
    example because a newer version of Drillbook wrote it.
    """
    since = moment(at)
    try:
        return Term(since, None if schedule is None else Schedule.model_validate(schedule)) if since else None
    except ValidationError:
        return None


def note(project: Project, now: datetime | None = None) -> None:
    """Note in ``schedule.jsonl`` the changed schedules of all drills and suites; see ``note_changes``. ``now``: by default, the
    present time."""
    states = RunStates()
    known = newest_runs.read(newest_runs.begun(project, states), project, states)
    kept = schedule_record.read(project.reports)
    note_changes(project, kept, schedules.read(project), known, now or datetime.now(UTC))


def note_changes(
    project: Project, kept: Record, scheduled: Iterable[Scheduled], known: newest_runs.Standings, now: datetime
) -> Record:
    """Compare the schedules in the files with the newest recorded schedules. Write each changed schedule to
    ``schedule.jsonl``, with the time from which it holds.

    ``kept``: content of ``schedule.jsonl``. Return the new content of this file. After a change was written, the file is read
    again, because another task may have added entries at the same time.

    Nothing is written in a copy of ``reports/`` without drills: it does not show which schedules the drills have. Drills and
    suites without a run are left out, because their first run will record the schedule. When ``schedule.jsonl``
    cannot be written, no error is raised. The change then stays unrecorded; see ``Terms`` in ``plan.schedule_terms``.

    A changed schedule normally holds from ``now``. If the clock was set back, the newest recorded schedule may have a later
    time. The changed schedule then gets this later time. With an earlier time, it would not be the newest schedule, and the
    next call would write it again.
    """
    reports = project.reports
    if not reports.is_dir() or not project.has_drills:
        return kept
    wanted, noted = {listed.name: listed for listed in scheduled}, False
    with suppress(OSError):
        for (name, place), standing in sorted(known.items()):
            subject = wanted.get(name)
            if subject and subject.broken:
                continue
            held = sorted([*_newest(standing), *of_entries(kept.entries, name, place)], key=lambda term: term.since)
            schedule = None if newest_runs.moved(known, name, place) else present(subject, place)
            if schedule != (held[-1].schedule if held else None):
                data = schedule.as_data() if schedule else None
                service = ", ".join(subject.services) if subject else standing.last.service
                since = max(now, held[-1].since) if held else now
                at = f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
                schedule_record.append(reports, Entry(at, SCHEDULE, name, service, place, "", "", schedule=data))
                noted = True
    return schedule_record.read(reports) if noted else kept


def _newest(standing: newest_runs.Standing) -> Iterator[Term]:
    recorded = _of_run(standing.last.state, standing.last.environment)
    if recorded:
        yield recorded


def present(scheduled: Scheduled | None, environment: str) -> Schedule | None:
    """Return the schedule in the file of a drill or suite. Returns None when the file does not exist or has no schedule.
    Returns None also when the drill or suite is not permitted in ``environment``.
    """
    return scheduled.schedule if scheduled and may_run(scheduled, environment) else None


def may_run(scheduled: Scheduled, environment: str) -> bool:
    """Return True when the guard of the drill or suite permits ``environment``, or when the guard is unknown."""
    return scheduled.environments is None or permits(scheduled.environments, environment)


def was_forbidden(scheduled: Scheduled, last: newest_runs.Ended) -> bool:
    """Return True when the guard of the drill or suite refused the run ``last``, because it does not permit the environment."""
    return last.verdict == Verdict.REFUSED and not may_run(scheduled, last.environment)


def only_in(scheduled: Scheduled, known: newest_runs.Standings) -> tuple[str, ...]:
    """Return the environments that the guard permits, if the newest run in any environment was refused because of its
    environment; see ``was_forbidden``. Otherwise the result is empty.
    """
    last = [standing.last for (name, _), standing in known.items() if name == scheduled.name]
    newest = max(last, key=lambda ended: ended.run, default=None)
    return scheduled.environments or () if newest and was_forbidden(scheduled, newest) else ()


def _mapping(written: object) -> Mapping[str, Any]:
    return written if isinstance(written, dict) else {}
