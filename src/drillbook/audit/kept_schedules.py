"""Services whose drills run as often as their schedules ask for. A month without a run of such a service is no gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drillbook.audit.content import Audit
from drillbook.audit.coverage import CoverageRow
from drillbook.audit.missed_drills import NEVER_RAN, MissedRow
from drillbook.language.lists import listed
from drillbook.project.recorded_schedules import may_run
from drillbook.project.schedules import Scheduled
from drillbook.report import open_findings
from drillbook.report.figures import seconds
from drillbook.report.folders import suite_of
from drillbook.sdk.run_names import drill_of

MOST_SCHEDULES = 3
"""Largest number of schedules of a service that a sentence names."""


def scheduled(audit: Audit, row: CoverageRow) -> list[Scheduled]:
    """Return the drills and suites of the project that have a schedule for the service of ``row``, the most frequent first. Those
    that ran there, or could run there, count. The list is empty if the files of the project are not known.
    """
    ran = _ran(audit, row.environment)
    known = [
        (schedule.every, schedule.name, schedule)
        for schedule in audit.drills
        if schedule.every
        and row.service in schedule.services
        and may_run(schedule, row.environment)
        and not (audit.inventories and audit.inventories.unmet(schedule, row.environment) and schedule.name not in ran)
    ]
    return [schedule for _, _, schedule in sorted(known, key=lambda item: item[:2])]


def kept(audit: Audit, row: CoverageRow) -> list[Scheduled]:
    """Return the schedules of the service that were kept in the period, the most frequent first. The list is empty if there is
    no schedule, or if a run was missed.

    Only drills and suites that ran in the period count, because drills that never ran have their own alert.
    """
    ran = _ran(audit, row.environment)
    known = [schedule for schedule in scheduled(audit, row) if schedule.name in ran]
    names = {schedule.name for schedule in known}
    missed = any(
        row.environment in (late.environment, "any")
        and (late.drill in names or (not late.drill and late.service == row.service))
        for late in audit.missed
        if late.kind != NEVER_RAN
    )
    return [] if missed else known


def _ran(audit: Audit, environment: str) -> set[str]:
    """Return the names of the drills and suites that ran in ``environment``."""
    runs = [run for run in audit.runs if run.environment == environment]
    return {run.drill for run in runs} | {drill_of(suite_of(run.folder).rpartition("/")[2]) for run in runs}


def sentences(audit: Audit) -> Iterator[str]:
    """Yield sentences about the services that had no run in a part of the period, because no run was due then. They name the kept
    schedules, since when they are known to be kept, and the scheduled drills of the service that never ran.
    """
    names_by_text: dict[tuple[str, str], list[str]] = {}
    for row in audit.coverage:
        if row.runs and row.gaps and (schedules := kept(audit, row)):
            names_by_text.setdefault((row.environment, _told(audit, row, schedules)), []).append(row.service)
    for (environment, text), names in names_by_text.items():
        yield f"{', '.join(names)} in {environment}: {text}"


def _told(audit: Audit, row: CoverageRow, schedules: Sequence[Scheduled]) -> str:
    begun = {schedule.name: audit.first_runs.get((row.environment, schedule.name), "")[:10] for schedule in schedules}
    later = {name: day for name, day in begun.items() if day > str(audit.period.since)}
    items = [
        f"{schedule.name} (every {seconds(schedule.every or 0.0)}"
        f"{f', first run on {later[schedule.name]}' if schedule.name in later else ''})"
        for schedule in schedules
    ]
    shown = listed(items, MOST_SCHEDULES)
    verb = "was" if len(items) == 1 else "were"
    since = f"since {'its' if len(items) == 1 else 'their'} first run" if later else "in the period"
    never = [late.drill for late in audit.missed if late.kind == NEVER_RAN and _concerns(late, row)]
    text = f"{shown} {verb} not overdue {since}."
    return f"{text} Scheduled for this service, but never ran: {open_findings.named(never)}." if never else text


def _concerns(late: MissedRow, row: CoverageRow) -> bool:
    """Return True if the drill or suite ``late`` drills the service of ``row`` in its environment."""
    places = {place for text in late.environment.split(", ") for place in text.split(" or ")}
    return row.service in late.service.split(", ") and bool({row.environment, "any"} & places)
