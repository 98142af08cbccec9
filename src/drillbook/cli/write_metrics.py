"""Writes the metrics of a project for Prometheus, on demand and after every run. It also copies alert rules and a
dashboard.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from drillbook.cli import due_unfinished, open_runs
from drillbook.cli.console import stdout
from drillbook.errors import DrillbookError, UsageError, escaped
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called
from drillbook.journal.run_state import RunStates
from drillbook.project import due, settings
from drillbook.project.project import Project
from drillbook.telemetry import metrics, run_figures

FILES = ("drillbook.rules.yml", "drillbook.dashboard.json")


def target(project: Project, named: str) -> Path:
    """Return the path of the file into which the metrics are written. ``named``: path that the user gave. If it is empty, the
    path in ``drillbook.yml`` is used. Raises UsageError when there is no path.
    """
    if named:
        return Path(named)
    written = settings.load(project.root).metrics
    if not written:
        raise UsageError(
            "no file for the metrics is named",
            hint=f"`invoke metrics.write FILE`, or `metrics: FILE` in {settings.FILE}; node_exporter reads *.prom in its folder",
        )
    return project.root / written


def write(project: Project, path: Path | None, *, openmetrics: bool = False) -> int:
    """Write the metrics of ``project`` to ``path``, or to standard output if ``path`` is None. Before
    that, note changed schedules in ``schedule.jsonl``."""
    states = RunStates()
    unfinished = due_unfinished.counts(open_runs.dead(project, states))  # first, so that no journal is read twice
    schedules = due.read(project, noting=True, runs=states)
    samples = metrics.samples(schedules, run_figures.read(project, states), unfinished)
    content = metrics.exposition(samples, openmetrics=openmetrics)
    if path is None:
        stdout().write(content.decode())
    else:
        metrics.write(path, content)
    return Exit.OK


def refresh(project: Project) -> None:
    """Write the metrics after a run if ``drillbook.yml`` names a file for them. If this fails, the error is printed,
    and the run is not affected.
    """
    try:
        if settings.load(project.root).metrics:
            write(project, target(project, ""))
    except DrillbookError as error:
        sys.stderr.write(f"error: {escaped(str(error))}\n")


def files(folder: Path) -> list[Path]:
    """Copy the alert rules and the Grafana dashboard into ``folder``. Existing files are replaced. Raises UsageError
    when a file cannot be written.
    """
    shipped = resources.files("drillbook.telemetry") / "monitoring"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).write_text(as_called((shipped / name).read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the alert rules and the dashboard cannot be written to {folder}: {error.strerror}", hint="name another folder"
        ) from None
    return [folder / name for name in FILES]
