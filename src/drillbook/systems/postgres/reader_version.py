"""Checks before a drill that PostgreSQL's programs are new enough to read the drill's dump."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress

import psycopg

from drillbook.errors import CouldNotVerify, DrillbookError, HostError, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Host, Output, printable
from drillbook.sdk.store import Store
from drillbook.systems.postgres.connection import connected, reason
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.programs import AS_CLIENT, Tools
from drillbook.systems.postgres.service import Postgres

MISSING = 127
"""Exit status of a shell for a program that does not exist (POSIX, 2.8.2)."""
SINCE = {"default_table_access_method": 12, "transaction_timeout": 17}
"""Settings at the top of plain dumps, with the first major version of PostgreSQL that knows them.

The list is complete for dumps by pg_dump and pg_dumpall 13 to 18. All other settings in such dumps exist since version
9.6 or longer.
"""
TOO_NEW = re.compile(rb"unsupported version \([\d.]+\) in file header")
"""Message of a pg_restore that is too old for an archive."""
# INITDB: print each folder with initdb and pg_restore of the same major version, after this version. The folder of INITDB, after
# all symbolic links, comes first. The other folders are those of the packages of Debian and of the PGDG packages for Red Hat.
_FOLDERS = """
initdb=$(command -v -- "$1") && initdb=$(readlink -f -- "$initdb")
major() { "$1" --version 2>/dev/null | sed -n 's/.*) \\([0-9]*\\).*/\\1/p'; }
for folder in "${initdb%/*}" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
  if test -x "$folder/initdb" && test -x "$folder/pg_restore" && test "$(major "$folder/initdb")" = "$(major "$folder/pg_restore")"
  then printf '%s %s\\n' "$(major "$folder/initdb")" "$folder"; fi
done
"""
_FORMAT_AT, _CUSTOM = 10, b"\1"
"""Position of the format byte in the header of an archive, and the value of this byte for the format `custom`.

pg_restore can read a table of contents from standard input only in the format `custom`. Therefore this value replaces the
format byte in the table of contents (toc.dat) of an archive in the format `tar` or `directory`. Source: ReadHead in
pg_backup_archiver.c.
"""
_NO_COMPRESSION = b"this installation does not support compression"
"""Warning that pg_restore prints when it was built without support for the archive's compression. Such a pg_restore can list
the archive, but cannot read the rows.
"""


def need_reader(ctx: Context, service: Postgres, programs: Sequence[str], location: str | None) -> None:
    """Check that ``programs`` exist on the step's host, and that pg_restore is at least as new as the pg_dump of the backup.

    ``location``: location of the backup, or None when an earlier step of the drill takes the backup. If it is None, the
    pg_dump that the earlier step will run is asked for its version. Raises NotReady when a program is missing or too old.
    """
    tools = Tools.of(ctx, service, ctx.host)
    tools.need(programs, 0)
    made = _of_backup(ctx, location) if location else _of_earlier_step(ctx)
    if "initdb" in programs:
        need_server(tools, made=made)
    has = tools.version("pg_restore")[0]
    if made > has:
        raise NotReady(
            f"{ctx.host.name}: {tools.path('pg_restore')} has version {has}, but the backup is a dump of pg_dump {made}",
            hint=f"set {service.setting('bin')} to a folder of PostgreSQL's programs of version {made} or newer",
        )


def _of_backup(ctx: Context, location: str) -> int:
    """Return the major version of the pg_dump that took a finished backup.

    Return 0 when the backup cannot be read. A check before the drill then records that the version was not verified.
    The step itself reports the error later.
    """
    try:
        text = Manifest.read(Store(ctx.bucket(location)), stored_backup.split(location)).tools.get("pg_dump", "")
    except (StepFailed, CouldNotVerify) as error:
        ctx.unsure(f"the version of the pg_dump that took the backup {location}: {error.message}")
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", text)
    return int(match[1]) if match else 0


def _of_earlier_step(ctx: Context) -> int:
    """Return the major version of the pg_dump that will take the backup, or 0 when the version is unknown.

    A missing pg_dump is reported by the step that takes the backup.
    """
    origin = ctx.services.get(ctx.origins.get("from", ""))
    with suppress(DrillbookError):
        return Tools.of(ctx, origin).version("pg_dump")[0] if isinstance(origin, Postgres) else 0
    return 0


def need_format(ctx: Context, host: Host, program: str, beginning: bytes, name: str, *, setting: str) -> None:
    """Check that ``program``, a pg_restore on ``host``, knows the format and the compression of a dump.

    ``beginning``: first bytes of the dump. The value is empty when these bytes cannot be read, or when the dump is a plain
    dump, which pg_restore does not read. In both cases nothing is checked. ``setting``: field of the inventory with the
    folder of ``program``. Raises NotReady when ``program`` is missing, too old for the dump, or built without this
    compression.
    """
    if not beginning:
        return
    output = _listed(host, program, beginning, ctx.deadline)
    if output.exit == MISSING:
        raise NotReady(
            f"{host.name} has no {program}", hint=f"install this program, or set {setting} to the folder of pg_restore"
        )
    if TOO_NEW.search(output.stderr):
        raise NotReady(
            f"{host.name}: {program} is too old for the dump {name}: {printable(output.stderr, limit=200).strip()}",
            hint=f"set {setting} to the folder of a pg_restore at least as new as the pg_dump that made the backup",
        )
    if _NO_COMPRESSION in output.stderr:
        raise NotReady(
            f"{host.name}: {program} was built without support for the compression of the dump {name}",
            hint=f"set {setting} to the folder of a pg_restore that supports this compression, or let pg_dump compress with gzip",
        )


def _listed(host: Host, program: str, beginning: bytes, deadline: Deadline) -> Output:
    """Let ``program``, a pg_restore on ``host``, list the archive with the first bytes ``beginning``."""
    lone = beginning[:_FORMAT_AT] + _CUSTOM + beginning[_FORMAT_AT + 1 :]
    return host.run((program, "--list"), deadline=deadline, stdin=lone, env=AS_CLIENT)


def need_server(tools: Tools, beginning: bytes = b"", made: int = 0) -> None:
    """Check that the server of the restore knows all settings that pg_restore of ``tools`` will set.

    The versions of server and pg_restore can differ when the inventory sets no folder of programs (`bin`). On Debian,
    pg_restore on PATH is then a wrapper that chooses the newest version. Raises NotReady when the server is too old. A server
    of unknown version is accepted.

    ``beginning``: first bytes of the archive, or empty. ``made``: major version of the pg_dump that made the dump, or 0 if it is
    unknown. The hint names only folders whose pg_restore can read this dump.
    """
    server = _major_of_server(tools)
    client = tools.version("pg_restore")[0]
    if unknown := _unknown(server, client):
        folders = _folders(tools, beginning, made or client)
        such = f"such as {' or '.join(folders)}" if folders else f"after you installed PostgreSQL {client} there"
        raise NotReady(
            f"{tools.host.name}: the server of the restore has version {server:.0f} and does not know "
            f"{', '.join(unknown)}, which pg_restore of version {client} sets",
            hint=f"set {tools.service.setting('bin')} to a folder that has pg_restore and the server in the same version, at least "
            f"as new as the pg_dump that made the backup, {such}",
        )


def _folders(tools: Tools, beginning: bytes, least: int) -> list[str]:
    """Return the folders with pg_restore and initdb of one version that can read a dump. If its first bytes ``beginning`` are
    known, each pg_restore tries to read them. Otherwise, the version must be ``least`` or newer.
    """
    argv = ("sh", "-c", _FOLDERS, "sh", tools.path("initdb"))
    lines = tools.host.run(argv, deadline=tools.deadline, env=AS_CLIENT).text.splitlines()
    versions = {folder: int(major) for major, _, folder in (line.partition(" ") for line in lines) if major.isdecimal()}
    if not beginning:
        return [folder for folder, major in versions.items() if major >= least]
    read = {folder: _listed(tools.host, f"{folder}/pg_restore", beginning, tools.deadline).stderr for folder in versions}
    return [folder for folder, said in read.items() if not TOO_NEW.search(said)]


def _unknown(server: float, client: int) -> list[str]:
    """Return the settings that pg_restore of version ``client`` sets and that a server of version ``server`` does not know.
    Both are major versions.
    """
    return [setting for setting, since in SINCE.items() if server < since <= client]


def need_running(ctx: Context, tools: Tools, beginning: bytes = b"") -> None:
    """Check that the running server knows the settings that pg_restore of ``tools`` writes into the SQL of an archive.
    ``beginning``: first bytes of the archive, or empty.

    Raises NotReady when the server is too old or cannot be queried.
    """
    try:
        with connected(ctx, tools.service) as session:
            server = session.info.server_version // 10000
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{tools.service.name} cannot be queried for its version: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error
    client = tools.version("pg_restore")[0]
    if unknown := _unknown(server, client):
        own = f"/usr/lib/postgresql/{server}/bin"
        hint = f"set {tools.service.setting('bin')} to the folder with the programs of the server, such as {own}"
        if beginning and TOO_NEW.search(_listed(tools.host, f"{own}/pg_restore", beginning, ctx.deadline).stderr):
            hint = (
                f"take the dumps with pg_dump {server}, or update the server: pg_restore {server} cannot read this dump, "
                "because a newer pg_dump made it"
            )
        raise NotReady(
            f"{tools.host.name}: the server has version {server} and does not know {', '.join(unknown)}, which "
            f"pg_restore of version {client} sets",
            hint=hint,
        )


def need_preamble(tools: Tools, preamble: Collection[str], name: str) -> None:
    """Check that psql and the server of ``tools`` know the commands and settings at the beginning of a dump, before its first
    object.

    ``preamble``: names of these settings, and ``restrict`` if the dump contains psql's command of this name. Raises
    NotReady when psql or the server is too old. An unknown version is accepted.
    """
    if "restrict" in preamble:
        _need_restrict(tools, name)
    wanted = set(preamble) & SINCE.keys()
    if not wanted:
        return
    major = _major_of_server(tools)
    if unknown := sorted(setting for setting in wanted if major < SINCE[setting]):
        raise NotReady(
            f"{tools.host.name}: {tools.path('postgres')} of version {major} is too old for the dump {name}, which sets "
            f"{', '.join(unknown)}",
            hint=f"set {tools.service.setting('bin')} to a folder with PostgreSQL's programs of a version that is at least as "
            "new as the pg_dump that made the dump",
        )


def _major_of_server(tools: Tools) -> float:
    """Return the major version of initdb, which is also the major version of the server. Return infinity when the version
    is unknown.
    """
    with suppress(NotReady):
        return tools.version("initdb")[0]
    return float("inf")


def _need_restrict(tools: Tools, name: str) -> None:
    """Check that psql knows the command ``\\restrict``, by searching the commands in its help.

    Since August 2025, pg_dump writes this command into plain dumps. Source:
    https://www.postgresql.org/support/security/CVE-2025-8714/.
    """
    psql = tools.path("psql")
    output = tools.host.run((psql, "--help=commands"), deadline=tools.deadline, env=AS_CLIENT)
    if output.ok and r"\copy" in output.text and r"\restrict" not in output.text:
        raise NotReady(
            f"{tools.host.name}: {psql} does not know the command \\restrict in the dump {name}",
            hint="install the newest minor version of PostgreSQL's client on that host, or set "
            f"{tools.service.setting('bin')} to a folder that has it",
        )
