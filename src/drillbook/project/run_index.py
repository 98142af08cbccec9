"""Writes ``reports/index.html`` of a project. The page also names the drills and suites that never ran."""

from __future__ import annotations

from drillbook.project import schedules
from drillbook.project.project import Project
from drillbook.report import publish
from drillbook.report.index import Known


def write(project: Project, latest: str = "") -> None:
    """Write the index of all runs of ``project``.

    ``latest`` is the name of a run. When it is given, the symbolic link `latest` in the folder of runs is set to this run.
    """
    known = {one.name: Known(one.suite, one.every is not None) for one in schedules.read(project)}
    publish.write_index(project.reports, latest, known)
