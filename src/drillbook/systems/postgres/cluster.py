"""Examines and creates data directories of PostgreSQL clusters, and configures, starts and stops their servers."""

from __future__ import annotations

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
from drillbook.sdk.host import Deadline, once_more, printable
from drillbook.sdk.manager import manager_of
from drillbook.sdk.random_names import fresh
from drillbook.systems.postgres import ownership
from drillbook.systems.postgres.connection import connected, first_row, reason
from drillbook.systems.postgres.manifest import Cluster as LikeCluster
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres

CLEAR_S = 60.0
LOG_LIMIT = 1500
"""Largest number of characters of a server's log in an error message."""
# DATA: print what the data directory DATA is: `absent`, `empty`, `cluster` or `other`. The exit status is 0.
_STATE = """
if test ! -e "$1" && test ! -L "$1"; then echo absent
elif test ! -d "$1" || test ! -x "$1" || test ! -r "$1"; then echo other
elif test -z "$(ls -A -- "$1")"; then echo empty
elif test -f "$1/PG_VERSION"; then echo cluster
else echo other
fi
"""

# PROGRAM OPTION...: run PROGRAM, which is initdb, and exit with its status. The password of the superuser is on standard input.
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
"""Seconds between two checks that a started server still runs. These checks end when the server accepts a write."""
NO_SERVER = 3
"""Exit status of `pg_ctl status` when no server runs."""
CONFIGURATION = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")
"""Files of the configuration that initdb writes to the data directory."""
INSTRUCTED, CHECKSUMMED = 14, 18
"""Major versions of initdb. ``INSTRUCTED`` is the first version with the option `--no-instructions`. ``CHECKSUMMED`` is the
first version that turns data checksums on by default.
"""
UNSYNCED = "drillbook.unsynced"
# DATA MARK COMMAND...: if the file MARK exists in DATA, run COMMAND, which syncs the files, and then remove the mark.
_SYNC = """
data=$1 mark=$2
shift 2
test ! -e "$data/$mark" || { "$@" && rm -f -- "$data/$mark"; }
"""


def state(tools: Tools) -> Literal["absent", "empty", "cluster", "other"]:
    """Return the content of the data directory as one word: ``absent``, ``empty``, ``cluster`` or ``other``.

    ``absent``: the directory does not exist; ``cluster``: it contains a PostgreSQL cluster; ``other``: it contains other
    files. Raises CouldNotVerify when the directory cannot be examined, and HostError when the host cannot be used.
    """
    output = once_more(lambda: tools.owned(("sh", "-c", _STATE, "sh", tools.service.data_directory)))
    word = {"absent": "absent", "empty": "empty", "cluster": "cluster", "other": "other"}.get(output.text)
    if not output.ok or word is None:
        said = printable(output.stderr.strip(), limit=300)
        raise CouldNotVerify(
            f"{tools.host.name}: cannot examine {tools.service.data_directory}: {said}",
            hint="set `run_as` of the service to the owner of the data directory",
        )
    return word  # type: ignore[return-value]  # a value of the dictionary


def not_clean(tools: Tools, wanted: str, measured: str) -> StepFailed:
    """Return the error for a restore whose target is in a wrong state. ``measured``: state of the target. ``wanted``:
    required state.
    """
    problem = finding("restore-target", title=tools.service.name, wanted=wanted, measured=measured, host=tools.host.name)
    return StepFailed(f"{tools.host.name}: {measured}", findings=[problem])


def aside(tools: Tools, run_id: str) -> Tools:
    """Return tools that work on a staging cluster: a new cluster in a folder next to the data directory.

    The folder of the staging cluster later replaces the data directory. Staging clusters of earlier attempts were never in
    use, and are removed. Raises HostError when the removal fails.
    """
    clear_aside(tools)
    # Each name is used only once, since the initdb of a controller that died may still run.
    path = f"{_beside(tools)}-{run_id}-{fresh(4)}"
    return replace(tools, service=tools.service.model_copy(update={"data_directory": path}))


def clear_aside(tools: Tools) -> None:
    """Remove all staging clusters and discarded clusters next to the data directory. Raises HostError when a removal
    fails.
    """
    tools.owned(("sh", "-c", _REMOVE_ASIDE, "sh", _beside(tools))).check()


def _beside(tools: Tools) -> str:
    """Return the common beginning of the paths of all staging clusters, which lie next to the data directory."""
    return f"{tools.service.data_directory.rstrip('/')}.drillbook"


def clear_own(tools: Tools, run_id: str) -> tuple[str, ...]:
    """Return the command that removes the staging cluster of this run."""
    return tools.as_owner("sh", "-c", _REMOVE_ASIDE, "sh", f"{_beside(tools)}-{run_id}")


def left_aside(tools: Tools, run_id: str) -> bool:
    """Return True when a staging cluster of this run exists. Raises HostError when the host cannot be used."""
    look = ("sh", "-c", 'set -- "$1"-*; test -e "$1"', "sh", f"{_beside(tools)}-{run_id}")
    return once_more(lambda: tools.owned(look)).ok


@contextmanager
def made_aside(tools: Tools, run_id: str) -> Iterator[Tools]:
    """Yield tools for a staging cluster, which the ``with`` block creates. After the block, move this cluster to the path of
    the data directory.

    If the block or the move fails, the staging cluster is removed. Raises HostError when a command on the host fails.
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
    """Move a new cluster to the path of the data directory in one step. Raises HostError when the move fails."""
    script = 'test ! -d "$2" || rmdir -- "$2" && mv -- "$1" "$2"'
    tools.owned(("sh", "-c", script, "sh", made.service.data_directory, tools.service.data_directory)).check()


def create(tools: Tools, options: Sequence[str]) -> None:
    """Run initdb with ``options`` to create an empty cluster that has the superuser of the service.

    The cluster is not safe on disk until ``sync`` is called. Raises StepFailed when initdb fails, and HostError when
    the host cannot be used.
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
        said = printable(output.stderr.strip(), limit=600)
        raise StepFailed(f"{tools.host.name}: initdb failed: {said}")
    write(tools, UNSYNCED, b"")


def initdb_options(tools: Tools, backup: Manifest) -> tuple[str, ...]:
    """Return the options with which the host's initdb makes a cluster like the cluster that was backed up.

    A backup by an older version of Drillbook does not describe the cluster. In this case, the new cluster gets the locale
    of the database in the backup. Source: initdb(1).
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
    """Remove the unused configuration files that initdb wrote to the data directory, because they would mislead people.

    ``paths``: configuration files outside the data directory. The server reads these files. It does not read initdb's files
    with the same names. Raises HostError when the removal fails.
    """
    names = {path.rpartition("/")[2] for path in paths} & set(CONFIGURATION)
    if names:
        data = tools.service.data_directory
        tools.owned(("rm", "-f", "--", *(f"{data}/{name}" for name in sorted(names)))).check()


def write(tools: Tools, name: str, data: bytes, *, append: bool = False) -> None:
    """Write a file in the data directory as the owner of the directory. Raises HostError when the file cannot be written."""
    script = _APPEND if append else _WRITE
    tools.owned(("sh", "-c", script, "sh", f"{tools.service.data_directory}/{name}"), stdin=data).check()


def overrides(service: Postgres) -> bytes:
    """Return settings that give a copied cluster its own port, and stop it from writing to the original cluster's
    archive.
    """
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
    return (
        "\n# Drillbook: this cluster was restored to another place than the original\n" + "\n".join(lines) + "\n"
    ).encode()


def start(ctx: Context, tools: Tools) -> None:
    """Start the service's unit, or the server itself when the inventory has no unit.

    Raises StepFailed when the start fails, and HostError when the host cannot be used.
    """
    if tools.service.unit:
        manager = manager_of(tools.host)
        tools.host.run(
            manager.start(tools.service.unit), deadline=ctx.deadline
        )  # a query of the unit's state would only cost time
        manager.ensure(tools.host, tools.service.unit, "running", ctx.deadline)
        return
    output = tools.host.run(start_command(tools), deadline=tools.deadline, env={"LC_ALL": "C"})
    if not output.ok:
        said = printable(output.stderr or output.stdout, limit=LOG_LIMIT).strip()
        where = f"Read {tools.service.data}/drillbook.log on {tools.host.name}, and start the server with pg_ctl."
        problem = finding(
            "service-state",
            title=tools.service.name,
            wanted="running",
            measured=said,
            host=tools.host.name,
            remedy=where,
        )
        raise StepFailed(f"{tools.host.name}: the server does not start: {said}", findings=[problem])


# Starts the server whose data directory is $2, unless it runs. $1 is the path of pg_ctl. The exit status is 0 when the server
# runs; otherwise it is that of the program that failed to start it, and the last lines of the log are printed. On Debian, the
# configuration may be outside of the data directory. pg_ctlcluster finds it by the version and the name of the cluster, the
# first two columns of pg_lsclusters.
_START = """
"$1" --pgdata "$2" --silent status >/dev/null 2>&1 && exit
if ! test -f "$2/postgresql.conf" && command -v pg_lsclusters >/dev/null; then
  cluster=$(pg_lsclusters --no-header | awk -v data="$2" '$6 == data { print $1, $2; exit }')
  test -z "$cluster" || exec pg_ctlcluster "${cluster% *}" "${cluster#* }" start
fi
"$1" --pgdata "$2" --silent --log "$2/drillbook.log" --wait start && exit
status=$?
tail -n 8 -- "$2/drillbook.log" >&2
exit $status
"""


def start_command(tools: Tools) -> tuple[str, ...]:
    """Return the command that starts the server without a service manager. The command also succeeds when the server
    already runs.
    """
    return tools.as_owner("sh", "-c", _START, "sh", tools.path("pg_ctl"), tools.service.data)


def stop(ctx: Context, tools: Tools, mode: Literal["fast", "immediate"]) -> None:
    """Stop the server. Raises StepFailed when it does not stop, and HostError when the host cannot be used.

    Without a unit, pg_ctl stops the server. With a unit, the service manager stops the unit. In the mode `immediate`, pg_ctl
    stops the server before this.
    """
    if mode == "immediate" or not tools.service.unit:
        tools.owned(
            (tools.path("pg_ctl"), "--pgdata", tools.service.data_directory, "--mode", mode, "--wait", "stop"),
            env={"LC_ALL": "C"},
        ).check()
    if tools.service.unit:
        manager_of(tools.host).ensure(tools.host, tools.service.unit, "stopped", ctx.deadline)


@contextmanager
def starting(ctx: Context, tools: Tools) -> Iterator[None]:
    """Start the server, and run the ``with`` block as soon as the server accepts a write. After the block,
    wait until the start has ended, because a service manager may report the unit as started some seconds later.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="start") as pool:
        started = pool.submit(start, ctx, tools)
        await_writable(ctx, tools, started)
        yield
        started.result()


def await_writable(ctx: Context, tools: Tools, started: Future[None]) -> None:
    """Wait until the server has left recovery and accepts a write.

    Nothing is written when another server answers at the same port. Raises StepFailed when the start fails, when the server
    exits, or when the server does not accept a write before the deadline. Raises HostError when the host cannot be used,
    and Cancelled when the run is stopped.
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
    """Raise StepFailed when the started server has exited. The message quotes ``last``, the last error of a connection."""
    if tools.service.unit:
        unit = manager_of(tools.host).state(tools.host, tools.service.unit, ctx.deadline)
        ended, word = unit.state in ("stopped", "failed"), unit.word
    else:
        look = (tools.path("pg_ctl"), "--pgdata", tools.service.data_directory, "status")
        asked = once_more(lambda: tools.owned(look, env={"LC_ALL": "C"}))
        ended, word = asked.exit == NO_SERVER, "not running"
    if ended:
        problem = finding("service-state", title=tools.service.name, wanted="running", measured=word, host=tools.host.name)
        raise StepFailed(
            f"{tools.host.name}: the server was started but has exited since (state: {word}): {last}", findings=[problem]
        )


def prove_writable(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Write a message to the WAL, and wait until it is on disk. The message changes no data. Raises psycopg.Error."""
    if first_row(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
        raise psycopg.errors.ReadOnlySqlTransaction("the server is in recovery")
    first_row(session, "SELECT pg_catalog.pg_logical_emit_message(true, 'drillbook', 'writable')::text")


def sync(tools: Tools) -> None:
    """Sync every file of a cluster made by ``create`` to disk. Do nothing if the cluster is already synced.

    Raises HostError when a file cannot be synced.
    """
    data = tools.service.data_directory
    tools.owned(
        ("sh", "-c", _SYNC, "sh", data, UNSYNCED, tools.path("initdb"), "--sync-only", "--pgdata", data), env={"LC_ALL": "C"}
    ).check()
