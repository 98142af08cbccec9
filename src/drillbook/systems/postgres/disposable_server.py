"""Runs disposable PostgreSQL servers in sandboxes. Such a server uses an empty cluster or a restored data directory.

The server listens only on a Unix socket in the sandbox's folder, and needs no password. The server archives no WAL,
replicates nothing, and runs no subscriptions. It does not sync its files to disk, because the sandbox is removed at the end
of the run.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.host import Host, Output, printable
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.systems.postgres.cluster import INSTRUCTED, NO_SERVER, prove_writable
from drillbook.systems.postgres.connection import Connection, connected, reason
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres

LOG = "server.log"
LOG_LINES = 15
TEMPLATE = "template1"
"""Database to connect to. Every cluster has it, even a cluster in which the database `postgres` was dropped."""
C = {"LC_ALL": "C"}
SAFE: Mapping[str, str] = {
    "listen_addresses": "",
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "restore_command": "",
    "max_logical_replication_workers": "0",
    "ssl": "off",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "cron.launch_active_jobs": "off",
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "synchronous_standby_names": "",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "external_pid_file": "",
    "lc_messages": "C",
    "unix_socket_permissions": "0700",
    "allow_in_place_tablespaces": "on",
}
"""Settings of every server in a sandbox. They are passed on the command line, so that they override the settings in a
restored data directory.
"""
EMPTY: Mapping[str, str] = {
    "max_connections": "20",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_replication_slots": "0",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
}
"""Additional settings of a server that uses an empty cluster."""
_RESTRICTS = {12: 20, 13: 16, 14: 13, 15: 8, 16: 4, 17: 0}
"""First minor version that has the setting ``restrict_nonsystem_relation_kind``. The key of each entry is the major version.

All later major versions have this setting.
"""
_LEAST = {
    "max_connections": "20",
    "max_worker_processes": "8",
    "max_wal_senders": "10",
    "max_prepared_xacts": "0",
    "max_locks_per_xact": "64",
}
"""Minimum values of settings for a server that uses a restored data directory.

If a value is lower than on the primary server, the recovery is aborted (PostgreSQL's manual, 26.4.3).
"""
_NAMES = {"max_prepared_xacts": "max_prepared_transactions", "max_locks_per_xact": "max_locks_per_transaction"}
"""Full names of settings that pg_controldata abbreviates."""
# FOLDER DATA: write those configuration files of the server that are outside the data directory, so that it does not use those
# of the original. Remove the files of a running server and of a standby from the data directory.
_FILES = """
rm -f -- "$2/postmaster.pid" "$2/postmaster.opts" "$2/standby.signal" || exit 1
printf 'local all all trust\\n' > "$1/pg_hba.conf"
: > "$1/postgresql.conf" && : > "$1/pg_ident.conf"
"""
# DATA PKGLIBDIR POSTGRES: print the libraries that the copy's settings preload, each after `there` or `lacking`.
_PRELOADED = """
"$3" -C shared_preload_libraries -D "$1" 2>/dev/null | tr ',' '\\n' | sed "s/[ '\\"]//g" | while read -r name; do
  name=${name##*/} name=${name%.so}
  test -n "$name" || continue
  if test -e "$2/$name.so"; then echo "there $name"; else echo "lacking $name"; fi
done
"""
LOOK_S = 0.2
"""Time between two checks of the process of a starting server, in seconds."""
PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.2
"""First pause, and longest pause, between attempts to connect to a server that is starting, in seconds."""
Version = tuple[int, str]
"""Major version of a program, and the text that it prints about its version."""
_LACKING = """
SELECT extname FROM pg_catalog.pg_extension e
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions a WHERE a.name = e.extname) ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Locale:
    """Encoding and locale of a cluster or a database.

    ``provider``: one letter as in pg_database, namely c (libc), i (ICU) or b (builtin).
    """

    encoding: str = "UTF8"
    collate: str = "C"
    ctype: str = "C"
    provider: str = "c"
    locale: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Options of initdb that choose this encoding and locale."""
        named = {
            "i": ("--locale-provider=icu", f"--icu-locale={self.locale}"),
            "b": ("--locale-provider=builtin", f"--builtin-locale={self.locale}"),
        }.get(self.provider, ())
        return (f"--encoding={self.encoding}", f"--lc-collate={self.collate}", f"--lc-ctype={self.ctype}", *named)


def ready(ctx: Context, service: Sandboxed, programs: Sequence[str], least: int = 0) -> dict[str, str]:
    """Check that the sandbox's host has ``programs`` of the major version ``least`` or newer, and return their versions.

    Also check that the user of the sandbox is not root, because PostgreSQL's server refuses to run as root. Raises NotReady
    when a check fails, and HostError when the host cannot be used.
    """
    box = Sandbox.of(ctx, service)
    tools = tools_of(box, box.trial)
    versions = tools.need(programs, least)
    # PostgreSQL refuses to run as root; a wrapper that drops root privileges is allowed.
    output = tools.owned((tools.path("pg_ctl"), "--pgdata", box.folder, "status"), env=C)
    if b"cannot be run as root" in output.stderr or (box.config.isolation == "container" and box.uid() == "0"):
        raise NotReady(
            f"{box.host.name}: the sandbox {service.name} would run PostgreSQL as root, which PostgreSQL refuses",
            hint="set `run_as` of the sandbox to another user, such as postgres, or connect as another user",
        )
    box.must_admit()
    return versions


def tools_of(box: Sandbox, host: Host | None = None) -> Tools:
    """Return the runner of PostgreSQL's programs in the sandbox, or on ``host`` if it is given.

    The programs run as the user of the sandbox. The service's `run_as` is not used. Raises NotReady when the service is not
    of the kind postgres.
    """
    if not isinstance(box.service, Postgres):
        raise NotReady(f"{box.service.name} is not a service of kind postgres", hint="use a sandbox of kind postgres")
    return Tools.of(box.ctx, box.service.model_copy(update={"run_as": ""}), host or box.programs)


def start_empty(box: Sandbox, locale: Locale | None = None, *, settings: Mapping[str, str] | None = None) -> None:
    """Create an empty cluster in the sandbox, start its server, and wait until the server accepts writes.

    The template databases get ``locale``. A database created from template0 may get another locale. Raises StepFailed when
    initdb or the start fails, and HostError when the host cannot be used.
    """
    tools = tools_of(box)
    arguments = ("--pgdata", tools.service.data, "--username", tools.service.admin.user, "--auth=trust", "--no-sync")
    quiet = ("--no-instructions",) if tools.version("initdb")[0] >= INSTRUCTED else ()
    output = box.run(tools.path("initdb"), *arguments, *quiet, *(locale or Locale()).options, env=C)
    if not output.ok:
        raise StepFailed(f"{box.host.name}: initdb failed in the sandbox: {_said(output)}")
    _start(box, tools, tools.service.data, {**SAFE, **EMPTY, **(settings or {})})


def start_existing(
    box: Sandbox,
    data: str,
    *,
    settings: Mapping[str, str] | None = None,
    preload: Sequence[str] | None = None,
    version: Version | None = None,
) -> dict[str, str]:
    """Start a server on ``data``, a copied data directory. Wait until the server has recovered and accepts writes.

    The server ignores postgresql.conf and pg_hba.conf of the copy. It reads postgresql.auto.conf of the copy. The values in
    `SAFE` and ``settings`` take precedence over this file. For a recovery from an archive, ``settings`` must contain
    ``restore_command``. ``preload``: libraries that the server loads first. If ``preload`` is None, the server loads the
    libraries that the copy's own settings name, without those that do not exist on the host. ``version``: version of the
    program `postgres`, or None when the version is unknown.

    Return all settings that were passed to the server. Raises StepFailed when the server does not start, and HostError when
    the host cannot be used.
    """
    tools = tools_of(box)
    there = libraries(box, data)[0] if preload is None else preload
    chosen = {**SAFE, **_of_primary(box, tools, data), "shared_preload_libraries": ",".join(there)}
    chosen |= settings or {}
    _start(box, tools, data, chosen, version)
    return chosen


def libraries(box: Sandbox, data: str) -> tuple[list[str], list[str]]:
    """Find the libraries that a server preloads according to the settings in ``data``, a copied data directory.

    Return two lists: the libraries that exist on the sandbox's host, and the libraries that this host lacks.
    """
    tools = tools_of(box)
    folder = box.run(tools.path("pg_config"), "--pkglibdir", env=C)
    if not folder.ok:
        return [], []
    output = box.run("sh", "-c", _PRELOADED, "sh", data, folder.text, tools.path("postgres"), env=C)
    pairs = [line.split(" ", 1) for line in output.text.splitlines()]
    there, lacking = ([name for word, name in pairs if word == kind] for kind in ("there", "lacking"))
    return there, lacking


def lacking_extensions(session: Connection) -> list[str]:
    """Return the extensions of the database that the server has no files for. Raises psycopg.Error."""
    return [str(name) for (name,) in session.execute(_LACKING).fetchall()]


def _of_primary(box: Sandbox, tools: Tools, data: str) -> dict[str, str]:
    """Return the settings whose values must be at least as large as on the primary server.

    pg_controldata prints the values of the primary server. Raises StepFailed when it cannot read the data directory.
    """
    output = box.run(tools.path("pg_controldata"), "--pgdata", data, env=C)
    if not output.ok:
        raise StepFailed(
            f"{box.host.name}: {data} is not a data directory: {_said(output)}",
            findings=[
                finding(
                    "backup-damaged",
                    title=box.service.name,
                    wanted="a control file that can be read",
                    measured=_said(output),
                    host=box.host.name,
                )
            ],
        )
    setting_by_name = dict(re.findall(r"^(max_\w+) setting: +(\d+)$", output.text, re.MULTILINE))
    sizes = {
        _NAMES.get(name, name): str(max(int(least), int(setting_by_name.get(name, 0)))) for name, least in _LEAST.items()
    }
    # Without this setting the server would discard the commit timestamps in the copy.
    times = "on" if re.search(r"^track_commit_timestamp setting: +on$", output.text, re.MULTILINE) else "off"
    # If the copy contains a replication slot, the server starts only with a sufficient wal_level.
    return {**sizes, "wal_level": "logical", "max_replication_slots": "100", "track_commit_timestamp": times}


def _without_foreign_tables(version: Version) -> dict[str, str]:
    """Return the setting that forbids foreign tables. Without this setting, a query of a foreign table could reach a
    production server.

    The result is empty if the server's version lacks this setting.
    """
    major, text = version
    minor = re.search(rf"\b{major}\.(\d+)", text)
    known = major > max(_RESTRICTS) or (minor is not None and int(minor[1]) >= _RESTRICTS.get(major, 1000))
    return {"restrict_nonsystem_relation_kind": "foreign-table"} if known else {}


def _start(box: Sandbox, tools: Tools, data: str, settings: Mapping[str, str], version: Version | None = None) -> None:
    """Start a server, and wait until it accepts writes.

    Raises StepFailed with the last lines of the server's log when the server does not accept writes, and HostError when
    the host cannot be used.
    """
    box.run("sh", "-c", _FILES, "sh", box.folder, data).check()
    chosen = {
        "config_file": f"{box.folder}/postgresql.conf",
        "hba_file": f"{box.folder}/pg_hba.conf",
        "ident_file": f"{box.folder}/pg_ident.conf",
        "unix_socket_directories": box.folder,
        "port": str(tools.service.port),
        **_without_foreign_tables(version or tools.version("postgres")),
        **settings,
    }
    options = shlex.join([word for name, value in chosen.items() for word in ("-c", f"{name}={value}")])
    box.start(tools.path("pg_ctl"), "--pgdata", data, "--no-wait", "--silent", "-o", options, "start", log=LOG)
    await_writable(box, tools, data)


def await_writable(box: Sandbox, tools: Tools, data: str) -> None:
    """Wait until the sandbox's server has left recovery and accepts a write.

    Raises StepFailed when the server exits or does not accept a write in time, HostError when the host cannot be used,
    and Cancelled when the run is stopped.
    """
    last, ctx, running, pause, looked = "", box.ctx, False, PAUSE_S, time.monotonic()
    while True:
        box.admit(tools.service.socket)
        try:
            with connected(ctx, tools.service, database=TEMPLATE) as session:
                prove_writable(session)
                return
        except (psycopg.Error, HostError) as error:
            last = reason(error)
        ended = False
        if time.monotonic() - looked >= LOOK_S:
            status = box.run(tools.path("pg_ctl"), "--pgdata", data, "status", env=C).exit
            ended = status == NO_SERVER and (running or _has_failed(box))
            running, looked = running or status == 0, time.monotonic()
        if ended or 'role "' in last or ctx.deadline.remaining() < 1:
            raise not_started(box, tools, last)
        ctx.deadline.wait(pause)
        pause = min(pause * 1.1, LONGEST_PAUSE_S)


def _has_failed(box: Sandbox) -> bool:
    """Return True when the log shows that the server exited before its pid could be read.

    Raises HostError when the host cannot be used.
    """
    return box.run("grep", "-q", "-e", "FATAL: ", "-e", "PANIC: ", "-e", "could not start", "--", f"{box.folder}/{LOG}").ok


def not_started(box: Sandbox, tools: Tools, last: str) -> StepFailed:
    """Return the error for a server that does not accept writes. The error quotes the server's log.

    Raises HostError when the host cannot be used.
    """
    lines = log_lines(box)
    problem = next((line for line in reversed(lines) if re.search(r"FATAL: |PANIC: |ERROR: ", line)), last)
    return StepFailed(
        f"{box.host.name}: the server in the sandbox {tools.service.name} does not accept writes: {problem}",
        findings=[
            finding(
                "postgres-unhealthy",
                title=tools.service.name,
                wanted="a server that accepts writes",
                measured=problem,
                evidence=tuple(lines),
                host=box.host.name,
            )
        ],
    )


def log_lines(box: Sandbox) -> list[str]:
    """Return the last lines of the server's log. Raises HostError when the host cannot be used."""
    output = box.run("tail", "-n", str(LOG_LINES), "--", f"{box.folder}/{LOG}")
    return printable(output.stdout, limit=4000).splitlines()


def _said(output: Output) -> str:
    return printable(output.stderr or output.stdout, limit=400).strip().replace("\n", "; ")
