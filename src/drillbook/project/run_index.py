"""Writes ``reports/index.html`` of a project. The page also names the drills and suites that never ran."""

from __future__ import annotations

from contextlib import suppress

from drillbook.journal.run_state import RunStates
from drillbook.project import needed_inventories, schedules
from drillbook.project.project import Project
from drillbook.report import index_age


def write(project: Project, latest: str = "", runs: RunStates | None = None) -> None:
    """Write the index of all runs of ``project``, and set the symbolic link `latest` in the folder of runs.

    ``latest``: name of the run to which the link is set. By default, it is the newest finished run. ``runs``: states of
    runs and suites that the caller has read already. A result file is read again only if it was replaced since then.
    """
    from drillbook.report import index_entries, publish  # noqa: PLC0415  slow to load

    inventories = needed_inventories.read(project)
    known = {
        scheduled.name: index_entries.Known(
            scheduled.suite, scheduled.every is not None and not inventories.unmet(scheduled)
        )
        for scheduled in schedules.read(project)
    }
    publish.write_index(project.reports, latest, known, runs or RunStates())


def refresh(project: Project, runs: RunStates | None = None) -> None:
    """Write the index again if it does not show each run as it is now: ended, in progress, or without an end. Most often a run is
    not shown because its controller was killed before it wrote the index.

    Write nothing if the project has no folder ``drills/``, as in a copy of reports, or if the folder of reports is read-only.
    """
    with suppress(OSError):
        if project.has_drills and index_age.outdated(project.reports):
            write(project, runs=runs)


def link_audit(project: Project, runs: RunStates) -> None:
    """Write the index of the runs again, so that it links to an audit that was just written. Write nothing if the
    project has no folder ``drills/``, or no index yet.
    """
    with suppress(OSError):
        if project.has_drills and (project.reports / index_age.PAGE).is_file():
            write(project, runs=runs)
