"""Services whose drills run as often as their schedules ask for. A month without a run of such a service is no gap."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.audit.content import Audit
from drillbook.audit.coverage import CoverageRow
from drillbook.audit.missed_drills import NEVER_RAN
from drillbook.project.recorded_schedules import may_run
from drillbook.project.schedules import Scheduled
from drillbook.report.figures import seconds
from drillbook.report.folders import suite_of
from drillbook.sdk.run_names import drill_of


def scheduled(audit: Audit, row: CoverageRow) -> list[Scheduled]:
    """Return the drills and suites of the project that have a schedule for the service of ``row``, the most frequent first. The
    list is empty if the files of the project are not known.
    """
    known = [
        (schedule.every, schedule.name, schedule)
        for schedule in audit.drills
        if schedule.every and row.service in schedule.services and may_run(schedule, row.environment)
    ]
    return [schedule for _, _, schedule in sorted(known, key=lambda item: item[:2])]


def kept(audit: Audit, row: CoverageRow) -> str:
    """Return the interval of the service's schedule, such as ``90 d``, if the schedule was kept in the period. The result is
    empty if there is no schedule, or if a run was missed.

    Only drills and suites that ran in the period count, because drills that never ran have their own alert. Of several
    schedules, the most frequent one is returned.
    """
    if not (planned := scheduled(audit, row)):
        return ""
    ran = _ran(audit, row.environment)
    known = [schedule for schedule in planned if schedule.name in ran]
    names = {schedule.name for schedule in known}
    missed = any(
        row.environment in (late.environment, "any")
        and (late.drill in names or (not late.drill and late.service == row.service))
        for late in audit.missed
        if late.kind != NEVER_RAN
    )
    return "" if missed or not known else seconds(known[0].every or 0.0)


def _ran(audit: Audit, environment: str) -> set[str]:
    """Return the names of the drills and suites that ran in ``environment``."""
    runs = [run for run in audit.runs if run.environment == environment]
    return {run.drill for run in runs} | {drill_of(suite_of(run.folder).rpartition("/")[2]) for run in runs}


def sentences(audit: Audit) -> Iterator[str]:
    """Yield a sentence for each interval of kept schedules. It names the services that had no run in a part of the period, because
    no run was due then.
    """
    names_by_interval: dict[tuple[str, str], list[str]] = {}
    for row in audit.coverage:
        if row.runs and row.gaps and (every := kept(audit, row)):
            names_by_interval.setdefault((row.environment, every), []).append(row.service)
    for (environment, every), names in names_by_interval.items():
        yield f"{', '.join(names)} in {environment}: scheduled every {every}; none was missed."
