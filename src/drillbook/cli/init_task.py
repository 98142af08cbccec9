"""The task ``init``; the modules ``cli.scaffold`` and ``cli.rehearsal_project`` implement it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invoke.context import Context

from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told

REHEARSE = "rehearse your own backups of: postgres, pgbackrest, mariadb, redis, sqlite, files or restic"
"""Help of the option --rehearse, with the kinds of systems."""


@task(
    klass=OptionalNameTask,
    positional=["folder"],
    iterable=["with_"],
    help={
        "with_": "entry of the catalogue to copy, such as quarterly; several with commas between them, or --with again",
        "source": "URL from which CI installs Drillbook: a wheel, or git+https://...; default: where this one came from",
        "folder": "folder of the new project; default: the current folder",
        "rehearse": REHEARSE,
        "host": "with --rehearse: [USER@]ADDRESS[:PORT] of the host where the backups are",
        "at": "with --rehearse: place of the backups, such as /var/backups/postgresql or s3://bucket/prefix/",
        "sandbox": "with --rehearse: [USER@]ADDRESS[:PORT] of the sandbox host, where backups are restored",
        "database": "with --rehearse: name of the database",
    },
)
@told(Dry.TELLS)
def init(
    context: Context,
    folder: str | None = None,
    with_: Sequence[str] | None = None,  # invoke collects a repeated option only for this default
    *,
    source: str = "",
    rehearse: str = "",
    host: str = "",
    at: str = "",
    sandbox: str = "",
    database: str = "",
) -> int:
    """Make a new project: inventories, a first drill and suite, tasks, and files for CI; or one that rehearses your backups.

    --with copies shipped drills into it, or into an existing project: see `catalog`.
    """
    from drillbook.cli import dry_run, rehearsal_project, scaffold  # noqa: PLC0415  keeps start-up fast

    answers = rehearsal_project.answered(rehearse, host=host, at=at, sandbox=sandbox, database=database)
    make = dry_run.init if is_dry(context) else scaffold.init
    names = [name for one in with_ or () for name in one.split(",") if name]
    return make(Path(folder or "."), answers, names, source)
