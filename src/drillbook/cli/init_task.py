"""The task ``init``; the modules ``cli.scaffold`` and ``cli.rehearsal_project`` implement it."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_exit import Dry, is_dry, told


@task(
    klass=OptionalNameTask,
    positional=["folder"],
    help={
        "folder": "folder of the new project; default: the current folder",
        "rehearse": "rehearse your own backups of: postgres, pgbackrest, mariadb, redis, sqlite, files or restic",
        "host": "with --rehearse: [USER@]ADDRESS[:PORT] of the host where the backups are",
        "at": "with --rehearse: place of the backups, such as /var/backups/postgresql or s3://bucket/prefix/",
        "sandbox": "with --rehearse: host where they are restored, in the form of --host",
        "database": "with --rehearse: name of the database",
    },
)
@told(Dry.TELLS)
def init(
    context: Context,
    folder: str | None = None,
    *,
    rehearse: str = "",
    host: str = "",
    at: str = "",
    sandbox: str = "",
    database: str = "",
) -> int:
    """Make a new project: inventories, a first drill and suite, tasks, and files for CI; or one that rehearses your backups."""
    from drillbook.cli import dry_run, rehearsal_project, scaffold  # noqa: PLC0415  keeps start-up fast

    answers = rehearsal_project.answered(rehearse, host=host, at=at, sandbox=sandbox, database=database)
    make = dry_run.init if is_dry(context) else scaffold.init
    return make(Path(folder or "."), answers)
