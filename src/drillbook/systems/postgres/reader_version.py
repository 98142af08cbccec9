"""Checks before a drill that PostgreSQL's programs are new enough for the dump that they will read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.answers import Answer
from drillbook.sdk.host import Host, printable
from drillbook.sdk.store import Store
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools

MISSING = 127
"""Exit status of a shell for a program that does not exist (POSIX, 2.8.2)."""
RESTRICT = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
"""For each major version: the first minor version whose psql knows the command ``\\restrict``.

pg_dump writes it since then; all later major versions know it. Source: https://www.postgresql.org/support/security/CVE-2025-8714/.
"""
_SETTING = re.compile(rb"^SET (\w+) = ", re.MULTILINE)
TOO_NEW = re.compile(rb"unsupported version \([\d.]+\) in file header")
"""Message of a pg_restore that is too old for an archive."""


def need_reader(ctx: Context, service: Postgres, programs: Sequence[str], location: str | None) -> None:
    """Check that ``programs`` exist on the step's host, and that pg_restore is at least as new as the pg_dump of the backup.

    ``location``: location of the backup. It is None when an earlier step of the drill takes the backup. In this case,
    the version of pg_dump is that of the service in the earlier step. Raises NotReady when a program is missing or too
    old.
    """
    tools = Tools.of(ctx, service, ctx.host)
    tools.need(programs, 0)
    made = _of_backup(ctx, location) if location else _of_earlier_step(ctx)
    has = tools.version("pg_restore")[0]
    if made > has:
        raise NotReady(
            f"{ctx.host.name}: {tools.path('pg_restore')} has version {has}, but the backup is a dump of pg_dump {made}",
            hint=f"set `bin` of {service.name} to a folder of PostgreSQL's programs of version {made} or newer",
        )


def _of_backup(ctx: Context, location: str) -> int:
    """Return the major version of the pg_dump that took a finished backup. Return 0 when the backup cannot be read,
    because `run` reports this later.
    """
    with suppress(StepFailed, CouldNotVerify):
        text = Manifest.read(Store(ctx.bucket(location)), stored_backup.split(location)).tools.get("pg_dump", "")
        if found := re.search(r"\(PostgreSQL\) (\d+)", text):
            return int(found[1])
    return 0


def _of_earlier_step(ctx: Context) -> int:
    """Return the major version of the pg_dump that will take the backup. Return 0 when the version is unknown. If
    pg_dump is missing, the step that takes the backup reports this.
    """
    origin = ctx.services.get(ctx.origins.get("from", ""))
    with suppress(DrillbookError):
        return Tools.of(ctx, origin).version("pg_dump")[0] if isinstance(origin, Postgres) else 0
    return 0


def need_format(ctx: Context, host: Host, program: str, beginning: bytes, name: str) -> None:
    """Check that the pg_restore ``program`` on ``host`` knows the format of a dump, by its first bytes. Raises NotReady when
    the program is missing, or too old for the dump.

    ``beginning`` is empty for a dump that pg_restore does not read, or whose first bytes are compressed or encrypted.
    """
    if not beginning:
        return
    output = host.run((program, "--list"), deadline=ctx.deadline, stdin=beginning, env={"LC_ALL": "C"})
    if output.exit == MISSING:
        raise NotReady(f"{host.name} has no {program}", hint="install it, or set `bin` to the folder of pg_restore")
    if TOO_NEW.search(output.stderr):
        raise NotReady(
            f"{host.name}: {program} is too old for the dump {name}: {printable(output.stderr, limit=200).strip()}",
            hint="set `bin` to the folder of a pg_restore at least as new as the pg_dump",
        )


def need_plain(tools: Tools, beginning: bytes, name: str) -> None:
    """Check that psql and the server of ``tools`` know the commands and settings in the first lines of a plain dump.

    ``beginning``: first bytes of the dump, decompressed; nothing is checked for other bytes. Raises NotReady when psql or the
    server is too old.
    """
    if re.search(rb"^\\restrict ", beginning, re.MULTILINE):
        _need_restrict(tools, name)
    wanted = {setting.decode() for setting in _SETTING.findall(beginning)}
    if not beginning.startswith(b"--") or not wanted:
        return
    sink = Answer(f"{tools.host.name}: the settings of the server")
    server = tools.path("postgres")
    output = tools.host.run((server, "--describe-config"), deadline=tools.deadline, env={"LC_ALL": "C"}, sink=sink)
    known = {line.partition("\t")[0] for line in sink.text.splitlines()}
    if output.ok and known and (unknown := sorted(wanted - known)):
        raise NotReady(
            f"{tools.host.name}: {server} is too old for the dump {name}, which sets {', '.join(unknown)}",
            hint="set `bin` of the sandbox or service to a folder of PostgreSQL's programs at least as new as the pg_dump",
        )


def _need_restrict(tools: Tools, name: str) -> None:
    major, text = tools.version("psql")
    minor = re.search(rf"\b{major}\.(\d+)", text)
    if major <= max(RESTRICT) and minor and int(minor[1]) < RESTRICT.get(major, 1000):
        raise NotReady(
            f"{tools.host.name}: {tools.path('psql')} has version {major}.{minor[1]}, which does not know the command "
            f"\\restrict in the dump {name}",
            hint="install the newest minor version of PostgreSQL's client on that host, or set `bin` to a folder that has it",
        )
