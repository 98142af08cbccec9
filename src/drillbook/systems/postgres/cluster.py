"""PostgreSQL cluster on its host: examine or create the data directory, configure, start and stop the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Literal

import psycopg

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.manager import manager_of
from drillbook.systems.postgres import ownership
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.manifest import Cluster as LikeCluster
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools

CLEAR_S = 60.0
_STATE = """
if test ! -e "$1" && test ! -L "$1"; then echo absent
elif test ! -d "$1" || test ! -x "$1" || test ! -r "$1"; then echo other
elif test -z "$(ls -A -- "$1")"; then echo empty
elif test -f "$1/PG_VERSION"; then echo cluster
else echo other
fi
"""

_INITDB = """
umask 077
secret=$(mktemp) || exit 1
trap 'rm -f -- "$secret"' EXIT
cat > "$secret"
program=$1; shift
"$program" --pwfile="$secret" "$@"
"""

_WRITE = 'umask 077; mkdir -p -- "$(dirname -- "$1")" && cat > "$1"'
_APPEND = 'umask 077; cat >> "$1"'

# An initdb started by a controller that died may still write to its folder; it fails once its files are removed.
_REMOVE_ASIDE = """
tries=0
until rm -rf -- "$1"-* 2>/dev/null; do
  tries=$((tries + 1))
  test $tries -lt 100 || exit 1
  sleep 0.05
done
"""

# The mark file survives a crash of the controller; it shows a recovery that the new cluster is not yet synced to disk.
LOOK_S = 2.0
"""Seconds between two checks if a server that does not yet accept writes is still running."""
NO_SERVER = 3
"""Exit status of `pg_ctl status` when no server runs."""
CONFIGURATION = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")
"""Files of the configuration that initdb writes to the data directory."""
INSTRUCTED, CHECKSUMMED = 14, 18
"""First major versions whose initdb has `--no-instructions`, and makes checksums unless `--no-data-checksums` is given."""
UNSYNCED = "drillbook.unsynced"
_SYNC = """
data=$1 mark=$2
shift 2
test ! -e "$data/$mark" || { "$@" && rm -f -- "$data/$mark"; }
"""


def state(tools: Tools) -> Literal["absent", "empty", "cluster", "other"]:
    """Return ``absent``, ``empty``, ``cluster`` or ``other``: the content of the data directory. Raises CouldNotVerify, HostError.

    ``cluster`` means a PostgreSQL cluster, ``other`` means other files.
    """
    output = once_more(lambda: tools.owned(("sh", "-c", _STATE, "sh", tools.service.data_directory)))
    found = {"absent": "absent", "empty": "empty", "cluster": "cluster", "other": "other"}.get(output.text)
    if not output.ok or found is None:
        said = output.stderr.decode("utf-8", "replace").strip()[-300:]
        raise CouldNotVerify(
            f"{tools.host.name}: cannot examine {tools.service.data_directory}: {said}",
            hint="set `run_as` of the service to the owner of the data directory",
        )
    return found  # type: ignore[return-value]  # a value of the dictionary


def not_clean(tools: Tools, wanted: str, measured: str) -> StepFailed:
    """Return the error for a restore target in the state ``measured``, which should be in the state ``wanted``."""
    found = finding("restore-target", title=tools.service.name, wanted=wanted, measured=measured, host=tools.host.name)
    return StepFailed(f"{tools.host.name}: {measured}", findings=[found])


def aside(tools: Tools, run_id: str) -> Tools:
    """Return tools to create a staging cluster next to the data directory; when complete, it becomes the data directory.

    Staging clusters of earlier attempts, which were never in use, are removed. Raises HostError.
    """
    clear_aside(tools)
    # Each name is used only once, since the initdb of a controller that died may still run.
    path = f"{_beside(tools)}-{run_id}-{secrets.token_hex(2)}"
    return replace(tools, service=tools.service.model_copy(update={"data_directory": path}))


def clear_aside(tools: Tools) -> None:
    """Remove all staging clusters and discarded clusters next to the data directory. Raises HostError."""
    tools.owned(("sh", "-c", _REMOVE_ASIDE, "sh", _beside(tools))).check()


def _beside(tools: Tools) -> str:
    """Return the path prefix of staging cluster directories, next to the data directory."""
    return f"{tools.service.data_directory.rstrip('/')}.drillbook"


def clear_own(tools: Tools, run_id: str) -> tuple[str, ...]:
    """Return the command that removes the staging cluster of this run."""
    return tools.as_owner("sh", "-c", _REMOVE_ASIDE, "sh", f"{_beside(tools)}-{run_id}")


def left_aside(tools: Tools, run_id: str) -> bool:
    """Return True when a staging cluster of this run exists. Raises HostError."""
    look = ("sh", "-c", 'set -- "$1"-*; test -e "$1"', "sh", f"{_beside(tools)}-{run_id}")
    return once_more(lambda: tools.owned(look)).ok


@contextmanager
def made_aside(tools: Tools, run_id: str) -> Iterator[Tools]:
    """Let the ``with`` block create a staging cluster, then move it to the data directory; after a failure, remove it.

    Raises HostError.
    """
    made = aside(tools, run_id)
    try:
        yield made
        put_in_place(made, tools)
    except BaseException:
        with suppress(HostError, TimeoutError):
            clear_aside(replace(tools, deadline=Deadline.after(CLEAR_S)))
        raise


def put_in_place(made: Tools, tools: Tools) -> None:
    """Move a new cluster to the data directory in one step. Raises HostError."""
    script = 'test ! -d "$2" || rmdir -- "$2" && mv -- "$1" "$2"'
    tools.owned(("sh", "-c", script, "sh", made.service.data_directory, tools.service.data_directory)).check()


def create(tools: Tools, options: Sequence[str]) -> None:
    """Create a new, empty cluster with ``options`` of initdb, and with the superuser of the service.

    The cluster is not yet synced to disk; see ``sync``. Raises StepFailed, HostError.
    """
    password = tools.service.admin.password
    arguments = [
        tools.path("initdb"),
        "--pgdata",
        tools.service.data_directory,
        "--username",
        tools.service.admin.user,
        "--no-sync",
        *options,
        "--auth-host",
        "scram-sha-256",
        "--auth-local",
        "scram-sha-256" if password else "peer",
    ]
    script = _INITDB if password else 'program=$1; shift; "$program" "$@"'
    output = tools.owned(
        ("sh", "-c", script, "sh", *arguments), env={"LC_ALL": "C"}, stdin=password.reveal().encode() if password else b""
    )
    if not output.ok:
        said = output.stderr.decode("utf-8", "replace").strip()[-600:]
        raise StepFailed(f"{tools.host.name}: initdb failed: {said}")
    write(tools, UNSYNCED, b"")


def initdb_options(tools: Tools, backup: Manifest) -> tuple[str, ...]:
    """Return the options with which the host's initdb makes a cluster like the one of ``backup``.

    Backups of older versions do not record the cluster; its locale is then the one of the database. Source: initdb(1).
    """
    like, major = backup.cluster or backup.database, tools.version("initdb")[0]
    locale: tuple[str, ...] = ("--encoding", like.encoding, "--lc-collate", like.collate, "--lc-ctype", like.ctype)
    locale += {
        "i": ("--locale-provider=icu", "--icu-locale", like.locale),
        "b": ("--locale-provider=builtin", "--builtin-locale", like.locale),
    }.get(like.provider, ())
    # Without the option, initdb makes checksums from PostgreSQL 18 on, and none before.
    checksums = ("--data-checksums",) if backup.data_checksums else ("--no-data-checksums",) if major >= CHECKSUMMED else ()
    quiet = ("--no-instructions",) if major >= INSTRUCTED else ()
    return (*checksums, *quiet, *locale, *(_file_options(backup.cluster) if backup.cluster else ()))


def _file_options(like: LikeCluster) -> tuple[str, ...]:
    rules = (f"--icu-rules={like.icu_rules}",) if like.icu_rules else ()
    group = ("--allow-group-access",) if like.group_access else ()
    return (f"--wal-segsize={like.wal_segment_bytes >> 20}", *rules, *group)


def configure_outside(tools: Tools, paths: Sequence[str]) -> None:
    """Remove the configuration that initdb wrote, as far as the lost cluster had it outside its data directory.

    ``paths`` are the paths of those files; a second configuration that no server reads would mislead. Raises HostError.
    """
    names = {path.rpartition("/")[2] for path in paths} & set(CONFIGURATION)
    if names:
        data = tools.service.data_directory
        tools.owned(("rm", "-f", "--", *(f"{data}/{name}" for name in sorted(names)))).check()


def write(tools: Tools, name: str, data: bytes, *, append: bool = False) -> None:
    """Write a file of the data directory as the owner of that directory. Raises HostError."""
    script = _APPEND if append else _WRITE
    tools.owned(("sh", "-c", script, "sh", f"{tools.service.data_directory}/{name}"), stdin=data).check()


def overrides(service: Postgres) -> bytes:
    """Return the settings for a copy of a cluster: its own port, and no write access to the WAL archive of the original."""
    here = service.address in ("localhost", "::1") or service.address.startswith("127.")
    parent = service.data_directory.rstrip("/").rpartition("/")[0].replace("'", "''")
    settings: Mapping[str, str] = {
        "port": str(service.port),
        "listen_addresses": "localhost" if here else "*",
        "unix_socket_directories": parent,
        "archive_mode": "off",
        "primary_conninfo": "",
        "restore_command": "",
    }
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    return ("\n# Drillbook: restored to another place than that of the backup\n" + "\n".join(lines) + "\n").encode()


def start(ctx: Context, tools: Tools) -> None:
    """Start the service's unit, or the server itself when the inventory has no unit. Raises StepFailed, HostError."""
    if tools.service.unit:
        manager = manager_of(tools.host)
        tools.host.run(
            manager.start(tools.service.unit), deadline=ctx.deadline
        )  # a query of the unit's state would only cost time
        manager.ensure(tools.host, tools.service.unit, "running", ctx.deadline)
        return
    output = tools.host.run(start_command(tools), deadline=tools.deadline, env={"LC_ALL": "C"})
    if not output.ok:
        raise StepFailed(
            f"{tools.host.name}: the server does not start: " + output.text[-300:],
            findings=[
                finding(
                    "service-state", title="postgres", wanted="running", measured=output.text[-300:], host=tools.host.name
                )
            ],
        )


# PG_CTL DATA: start the server, unless it runs. Debian's pg_ctlcluster knows where the configuration of a cluster is that has
# none in its data directory; it takes the version and name of the cluster, the first columns of pg_lsclusters.
_START = """
"$1" --pgdata "$2" --silent status && exit
if ! test -f "$2/postgresql.conf" && command -v pg_lsclusters >/dev/null; then
  cluster=$(pg_lsclusters --no-header | awk -v data="$2" '$6 == data { print $1, $2; exit }')
  test -z "$cluster" || exec pg_ctlcluster "${cluster% *}" "${cluster#* }" start
fi
exec "$1" --pgdata "$2" --silent --log "$2/drillbook.log" --wait start
"""


def start_command(tools: Tools) -> tuple[str, ...]:
    """Return the command that starts a server without a service manager, and succeeds when it runs already."""
    return tools.as_owner("sh", "-c", _START, "sh", tools.path("pg_ctl"), tools.service.data)


def stop(ctx: Context, tools: Tools, mode: Literal["fast", "immediate"]) -> None:
    """Stop the server: by its unit if ``fast`` and there is a unit, otherwise with pg_ctl. Raises StepFailed, HostError."""
    if mode == "immediate" or not tools.service.unit:
        tools.owned(
            (tools.path("pg_ctl"), "--pgdata", tools.service.data_directory, "--mode", mode, "--wait", "stop"),
            env={"LC_ALL": "C"},
        ).check()
    if tools.service.unit:
        manager_of(tools.host).ensure(tools.host, tools.service.unit, "stopped", ctx.deadline)


@contextmanager
def starting(ctx: Context, tools: Tools) -> Iterator[None]:
    """Start the server, run the `with` block when it accepts a write, and then check that its unit is running.

    A service manager takes seconds to report a unit as started, while its server works already.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="start") as pool:
        started = pool.submit(start, ctx, tools)
        await_writable(ctx, tools, started)
        yield
        started.result()


def await_writable(ctx: Context, tools: Tools, started: Future[None]) -> None:
    """Wait until the server is out of recovery and accepts a write; stop waiting when its start failed or it exited.

    Nothing is written to another server that answers at the same port. Raises StepFailed, also at the deadline; HostError,
    Cancelled.
    """
    last, service, looked = "", tools.service, time.monotonic()
    while True:
        if started.done():
            started.result()
            if time.monotonic() - looked >= LOOK_S:
                _must_run(ctx, tools, last)
                looked = time.monotonic()
        try:
            with connected(ctx, service, database="postgres") as session:
                ownership.must_answer(session, tools)
                prove_writable(session)
                return
        except (psycopg.Error, HostError) as error:
            last = reason(error)
        if ctx.deadline.remaining() < 0.5:
            raise StepFailed(
                f"the server did not accept a write in time: {last}",
                findings=[
                    finding("postgres-unhealthy", title=service.name, wanted="a server that accepts writes", measured=last)
                ],
            )
        ctx.deadline.wait(0.05)


def _must_run(ctx: Context, tools: Tools, last: str) -> None:
    """Raise StepFailed when the started server has exited; ``last`` is the last error, for the message."""
    if tools.service.unit:
        unit = manager_of(tools.host).state(tools.host, tools.service.unit, ctx.deadline)
        ended, word = unit.state in ("stopped", "failed"), unit.word
    else:
        look = (tools.path("pg_ctl"), "--pgdata", tools.service.data_directory, "status")
        asked = once_more(lambda: tools.owned(look, env={"LC_ALL": "C"}))
        ended, word = asked.exit == NO_SERVER, "not running"
    if ended:
        found = finding("service-state", title=tools.service.name, wanted="running", measured=word, host=tools.host.name)
        raise StepFailed(
            f"{tools.host.name}: the server was started but has exited since (state: {word}): {last}", findings=[found]
        )


def prove_writable(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Write a message to the WAL and wait until the message is on disk; no data is changed. Raises psycopg.Error."""
    if one(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
        raise psycopg.errors.ReadOnlySqlTransaction("the server is in recovery")
    one(session, "SELECT pg_catalog.pg_logical_emit_message(true, 'drillbook', 'writable')::text")


def sync(tools: Tools) -> None:
    """Sync every file of a cluster made by ``create`` to disk, unless this was done already. Raises HostError."""
    data = tools.service.data_directory
    tools.owned(
        ("sh", "-c", _SYNC, "sh", data, UNSYNCED, tools.path("initdb"), "--sync-only", "--pgdata", data), env={"LC_ALL": "C"}
    ).check()
