"""The task ``init``; the modules ``cli.scaffold`` and ``cli.rehearsal_project`` implement it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.parser.argument import Argument

from drillbook.cli.console import console
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import PluginError, UsageError

if TYPE_CHECKING:
    from drillbook.cli.looked_project import Looked
    from drillbook.sdk.rehearsal import Rehearsal

REHEARSE = "rehearse your own backups of: "
"""Beginning of the help text of the option --rehearse. The rest of the help text lists the systems whose backups can be
rehearsed.
"""


AT = "with --rehearse: place of the backups: a folder such as /var/backups, or s3://bucket/prefix/"
"""Beginning of the help text of the option --at. Some kinds of backups are found in a place that is not a path. The rest of
the help text describes these places; see ``_other_places``.
"""


class InitTask(OptionalNameTask):
    """The task ``init``. Its help lists the kinds of backups that can be rehearsed, including those of installed plugins."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options of the task. The kinds of backups are looked up only if help is asked for."""
        arguments = super().get_arguments(ignore_unknown_help)
        if {"--help", "-h"} & {*sys.argv}:
            from drillbook.sdk import rehearsal  # noqa: PLC0415  keeps start-up fast

            with suppress(PluginError):
                names = rehearsal.names()
                known = {argument.name: argument for argument in arguments}
                known["rehearse"].help = REHEARSE + " or ".join((", ".join(names[:-1]), names[-1]))
                known["at"].help = "; ".join((AT, *_other_places(map(rehearsal.of, names), names)))
        return arguments


def _other_places(kinds: Iterable[Rehearsal], names: Iterable[str]) -> Iterator[str]:
    """Yield a text for each kind of backups whose place is not a path, but for example the name of a repository."""
    for name, kind in zip(names, kinds, strict=True):
        if kind.question:
            yield f"for {name}: {kind.question[:1].lower()}{kind.question[1:]}, such as {kind.at}"


@task(
    klass=InitTask,
    positional=["folder"],
    iterable=["with_", "look"],
    help={
        "with_": "entry of the catalogue to copy, such as quarterly; separate several entries by commas, or repeat --with",
        "source": (
            "URL from which CI installs Drillbook: of a wheel, or git+https://...; default: the URL from "
            "which this program was installed"
        ),
        "folder": "folder of the new project; default: the current folder",
        "rehearse": REHEARSE + "those of the systems",
        "host": "with --rehearse: [USER@]ADDRESS[:PORT] of the host where the backups are",
        "at": AT,
        "sandbox": "with --rehearse: [USER@]ADDRESS[:PORT] of the sandbox host, where backups are restored",
        "look": (
            "[USER@]HOST[:PORT] of a host to examine without changing it, and to describe in "
            "inventory/found.yml; separate several hosts by commas, or repeat --look"
        ),
        "identity": "with --look: path of the private key for SSH",
        "known_hosts": "with --look: file with the hosts' public keys; default: ~/.ssh/known_hosts",
        "gateway": "with --look: [USER@]HOST[:PORT] of the jump host",
        "environment": (
            "with --look: name of the environment. Use lab, dev, test or staging if no customer depends on "
            "the hosts; drills then need no approval"
        ),
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
    environment: str = "",
) -> int:
    """Make a new project with inventories, a first drill, a suite, tasks and CI files. The drill can rehearse your backups.

    Without options, the task asks at the terminal for the kind of system whose backups to rehearse.
    --look writes an inventory of the services that run on your hosts, and a first drill of one of these services.
    --with copies shipped drills into the new project, or into an existing project; see `catalog`.
    """
    from drillbook.cli import current_project, dry_run, rehearsal_project, scaffold  # noqa: PLC0415  keeps start-up fast

    flags = (with_, look, source, rehearse, host, at, sandbox, database, identity, known_hosts, gateway, environment)
    if rehearse or look or not any(flags):
        current_project.load_plugins(Path(folder or "."))
    if not any(flags) and not Path(folder or ".", "drills").exists():
        rehearse = rehearsal_project.kind_asked()
    answers = rehearsal_project.answered(rehearse, host=host, at=at, sandbox=sandbox, database=database)
    hosts, names = _split("--look", look), _split("--with", with_)
    _agree(hosts, rehearse, identity=identity, known_hosts=known_hosts, gateway=gateway, environment=environment)
    if is_dry(context):
        return dry_run.init(Path(folder or "."), answers, names, source, hosts)
    looked = _looked(hosts, identity, known_hosts, gateway, environment)
    status = scaffold.init(Path(folder or "."), answers, names, source, looked)
    for line in looked.unseen if looked else ():
        console().print(f"not seen: {line}", markup=False, soft_wrap=True)
    return status


def _split(option: str, given: Sequence[str] | None) -> list[str]:
    """Return the names in the values of ``option``. Raises UsageError when a value contains no name."""
    lists = [[name for name in text.split(",") if name] for text in given or ()]
    if not all(lists):
        raise UsageError(f"the value of {option} is empty", hint=f"give it a value, or leave {option} out")
    return [name for names in lists for name in names]


def _agree(hosts: Sequence[str], rehearse: str, **given: str) -> None:
    """Raise UsageError when the given options must not be used together. ``given``: options that are allowed only when
    ``hosts`` is not empty, each with its value.
    """
    if hosts and rehearse:
        raise UsageError(
            "--look and --rehearse make different projects",
            hint="make the project with --rehearse, then add an inventory of your hosts to it: invoke init FOLDER --look HOST",
        )
    for name, value in given.items():
        if value and not hosts:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} can be used only together with --look", hint="add --look [USER@]HOST[:PORT]")


def _looked(hosts: Sequence[str], identity: str, known_hosts: str, gateway: str, environment: str) -> Looked | None:
    """Examine ``hosts``, and return the result. Returns None when ``hosts`` is empty. Raises UsageError for an invalid
    address, and HostError when a host cannot be examined.
    """
    if not hosts:
        return None
    from drillbook.cli import looked_project  # noqa: PLC0415  keeps start-up fast

    return looked_project.at(hosts, identity, known_hosts, gateway, environment)
