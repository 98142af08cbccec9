"""The task ``init``; the modules ``cli.scaffold`` and ``cli.rehearsal_project`` implement it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invoke.context import Context

from drillbook.cli.console import console
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError

REHEARSE = "rehearse your own backups of: postgres, pgbackrest, mariadb, redis, sqlite, files or restic"
"""Help of the option --rehearse, with the kinds of systems."""


@task(
    klass=OptionalNameTask,
    positional=["folder"],
    iterable=["with_", "look"],
    help={
        "with_": "entry of the catalogue to copy, such as quarterly; several with commas between them, or --with again",
        "source": "URL from which CI installs Drillbook: a wheel, or git+https://...; default: where this one came from",
        "folder": "folder of the new project; default: the current folder",
        "rehearse": REHEARSE,
        "host": "with --rehearse: [USER@]ADDRESS[:PORT] of the host where the backups are",
        "at": "with --rehearse: place of the backups, such as /var/backups/postgresql or s3://bucket/prefix/",
        "sandbox": "with --rehearse: [USER@]ADDRESS[:PORT] of the sandbox host, where backups are restored",
        "look": "[USER@]HOST[:PORT] to look at, read only, and to describe in inventory/found.yml; repeatable, or with commas",
        "identity": "with --look: private key for SSH",
        "known_hosts": "with --look: file with the hosts' public keys; default: ~/.ssh/known_hosts",
        "gateway": "with --look: [USER@]HOST[:PORT] of the jump host",
        "database": "with --rehearse: name of the database",
    },
)
@told(Dry.TELLS)
def init(
    context: Context,
    folder: str | None = None,
    with_: Sequence[str] | None = None,  # invoke collects a repeated option only for this default
    look: Sequence[str] | None = None,
    *,
    source: str = "",
    rehearse: str = "",
    host: str = "",
    at: str = "",
    sandbox: str = "",
    database: str = "",
    identity: str = "",
    known_hosts: str = "",
    gateway: str = "",
) -> int:
    """Make a new project: inventories, a first drill and suite, tasks, and files for CI; or one that rehearses your backups.

    --look writes an inventory of what runs on your hosts.
    --with copies shipped drills into it, or into an existing project: see `catalog`.
    """
    from drillbook.cli import dry_run, rehearsal_project, scaffold  # noqa: PLC0415  keeps start-up fast

    answers = rehearsal_project.answered(rehearse, host=host, at=at, sandbox=sandbox, database=database)
    make = dry_run.init if is_dry(context) else scaffold.init
    looked, unseen = _looked(_split(look), identity, known_hosts, gateway)
    status = make(Path(folder or "."), answers, _split(with_), source, looked)
    for line in unseen:
        console().print(f"not seen: {line}", markup=False, soft_wrap=True)
    return status


def _split(given: Sequence[str] | None) -> list[str]:
    return [name for one in given or () for name in one.split(",") if name]


def _looked(hosts: Sequence[str], identity: str, known_hosts: str, gateway: str) -> tuple[str, list[str]]:
    """Return the inventory of a look at ``hosts`` and what was not seen. Raises UsageError for options that need --look."""
    if hosts:
        from drillbook.cli import look as looking  # noqa: PLC0415  loads the SSH client

        return looking.inventory(hosts, identity, known_hosts, gateway)
    for name, value in {"identity": identity, "known-hosts": known_hosts, "gateway": gateway}.items():
        if value:
            raise UsageError(f"--{name} is an option of a look at hosts", hint="add --look [USER@]HOST[:PORT]")
    return "", []
