"""The tasks ``metrics.*``; the module ``cli.write_metrics`` implements them."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from drillbook.cli import console
from drillbook.cli.current_project import here
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError
from drillbook.exits import Exit


@task(
    klass=OptionalNameTask,
    positional=["file"],
    help={
        "file": "file to write; default: `metrics` in drillbook.yml",
        "stdout": "print them instead",
        "openmetrics": "write the metrics in the format of OpenMetrics; default: the text format of Prometheus",
    },
)
@told(Dry.TELLS)
def write(context: Context, file: str | None = None, stdout: bool = False, openmetrics: bool = False) -> int:
    """Write metrics for Prometheus about runs, objectives, verdicts, residue, schedules, backups and restores."""
    from drillbook.cli import dry_run, write_metrics  # noqa: PLC0415  keeps start-up fast

    project = here(spare=True)
    if is_dry(context):
        return dry_run.tell(f"would write the metrics to {file or 'the file that drillbook.yml names'}")
    if stdout and file:
        raise UsageError("--stdout and a file exclude each other")
    return write_metrics.write(
        project, None if stdout else write_metrics.target(project, file or ""), openmetrics=openmetrics
    )


@task(klass=OptionalNameTask, positional=["folder"], help={"folder": "folder for the files"})
@told(Dry.TELLS)
def files(context: Context, folder: str | None = None) -> int:
    """Write alert rules for Prometheus and a dashboard for Grafana into a folder."""
    from drillbook.cli import dry_run, write_metrics  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.tell(f"would write {', '.join(write_metrics.FILES)}")
    if not folder:
        raise UsageError("no folder for the files is named", hint="invoke metrics.files FOLDER")
    console.stdout().write("".join(f"written: {path}\n" for path in write_metrics.files(Path(folder))))
    return Exit.OK
