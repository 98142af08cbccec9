"""A cluster on its host: its folder, making a new one, its configuration, starting it, and killing it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal

import psycopg

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, once_more
from drillbook.sdk.manager import manager_of
from drillbook.systems.postgres import ownership
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.manifest import Database
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

# An initdb whose controller died may still write into its folder: it gives up when its files go.
_REMOVE_ASIDE = """
tries=0
until rm -rf -- "$1"-* 2>/dev/null; do
  tries=$((tries + 1))
  test $tries -lt 100 || exit 1
  sleep 0.05
done
"""

# The postmaster is the process of postmaster.pid only when it works in this very folder. It goes first: children that
# die before it make it start again by itself.
_KILL = """
cd -- "$1" || exit 3
test -f PG_VERSION || exit 3
pid=$(head -n 1 postmaster.pid 2>/dev/null)
case $pid in ''|*[!0-9]*) exit 0;; esac
test "$(readlink "/proc/$pid/cwd")" = "$(pwd -P)" || exit 0
children=$(grep -ls "^PPid:[[:space:]]*$pid\\$" /proc/[0-9]*/status | cut -d/ -f3)
kill -KILL "$pid" || exit 4
for child in $children; do kill -KILL "$child" 2>/dev/null; done
tries=0
for one in $pid $children; do
  while grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$one/status" && test $tries -lt 500; do
    tries=$((tries + 1)); sleep 0.01
  done
done
echo "$pid"
"""

_REMOVABLE = """
real=$(cd -- "$1" && pwd -P) || exit 3
case $real in /*/?*) ;; *) exit 5;; esac
test "$real" != "$(cd -- "${HOME:-/nonexistent}" 2>/dev/null && pwd -P)" || exit 5
test -f "$real/PG_VERSION" || exit 3
test -f "$real/global/pg_control" || test -f "$real/global/pg_control.lost" || exit 3
"""
# What cannot be moved loses first that without which no server starts on what is left of it.
_REMOVE = (
    _REMOVABLE
    + """
cd /
files=$(find "$real" -type f | wc -l)
blocks=$(du -sk -- "$real" | cut -f1)
if test ! -L "$1" && mv -- "$real" "$real.drillbook-$2" 2>/dev/null; then rm -rf -- "$real.drillbook-$2" || exit 6
else
  mv -f -- "$real/global/pg_control" "$real/global/pg_control.lost" 2>/dev/null
  find "$real" -mindepth 1 -delete || exit 6
fi
echo $files $blocks
"""
)
# A server that was killed leaves its socket, with a lock file that names its process and its folder. The next one there
# takes it over; there is no next one where the cluster is taken away for good.
_CLEAR = (
    _REMOVABLE
    + """
socket=$(sed -n 5p "$real/postmaster.pid" 2>/dev/null)/.s.PGSQL.$(sed -n 4p "$real/postmaster.pid" 2>/dev/null)
server=$(sed -n 1p "$real/postmaster.pid" 2>/dev/null)
"""
    + _REMOVE
    + """
case $(sed -n 2p "$socket.lock" 2>/dev/null) in "${1%/}"|"$real") ;; *) exit 0;; esac
test "$(sed -n 1p "$socket.lock")" = "$server" && test ! -e "/proc/$server" && rm -f -- "$socket" "$socket.lock"
exit 0
"""
)
# One command: nothing that becomes of the controller leaves a server that is dead and a cluster that is there.
_LOSE = _REMOVABLE + "pid=$(\n" + _KILL + ") || exit\necho ${pid:-none}\n" + _REMOVE

# A new cluster says that it is not on disk yet, so that whoever goes on after a controller died knows it too.
LOOK_S = 2.0
"""Seconds between two looks whether a server that does not take a write yet still runs."""
NO_SERVER = 3
"""Status with which `pg_ctl status` says that none runs."""
UNSYNCED = "drillbook.unsynced"
_SYNC = """
data=$1 mark=$2
shift 2
test ! -e "$data/$mark" || { "$@" && rm -f -- "$data/$mark"; }
"""


def state(tools: Tools) -> Literal["absent", "empty", "cluster", "other"]:
    """What lies where the data directory belongs. Raises CouldNotVerify, HostError."""
    output = once_more(lambda: tools.owned(("sh", "-c", _STATE, "sh", tools.service.data_directory)))
    found = {"absent": "absent", "empty": "empty", "cluster": "cluster", "other": "other"}.get(output.text)
    if not output.ok or found is None:
        said = output.stderr.decode("utf-8", "replace").strip()[-300:]
        raise CouldNotVerify(
            f"{tools.host.name}: cannot look at {tools.service.data_directory}: {said}",
            hint="set `run_as` of the service to the owner of the data directory",
        )
    return found  # type: ignore[return-value]  # one of the values above


def aside(tools: Tools, run_id: str) -> Tools:
    """The same programs for a new cluster that is made beside the data directory and moved there when it is whole.

    What an attempt before left beside it is removed: it was never in place. Raises HostError.
    """
    clear_aside(tools)
    # Never the same name twice: the initdb of a controller that died may still be at work.
    path = f"{_beside(tools)}-{run_id}-{secrets.token_hex(2)}"
    return replace(tools, service=tools.service.model_copy(update={"data_directory": path}))


def clear_aside(tools: Tools) -> None:
    """Remove what lies beside the data directory of clusters that were never in place, or are no more. Raises HostError."""
    tools.owned(("sh", "-c", _REMOVE_ASIDE, "sh", _beside(tools))).check()


def _beside(tools: Tools) -> str:
    """What the names of all clusters beside the data directory begin with."""
    return f"{tools.service.data_directory.rstrip('/')}.drillbook"


def clear_own(tools: Tools, run_id: str) -> tuple[str, ...]:
    """The command that removes what this run left beside the data directory of a cluster that was never in place."""
    return tools.as_owner("sh", "-c", _REMOVE_ASIDE, "sh", f"{_beside(tools)}-{run_id}")


def left_aside(tools: Tools, run_id: str) -> bool:
    """Does something of this run lie beside the data directory? Raises HostError."""
    look = ("sh", "-c", 'set -- "$1"-*; test -e "$1"', "sh", f"{_beside(tools)}-{run_id}")
    return once_more(lambda: tools.owned(look)).ok


@contextmanager
def made_aside(tools: Tools, run_id: str) -> Iterator[Tools]:
    """Make a cluster ``aside`` in the block, then put it in place; a failure leaves nothing of it. Raises HostError."""
    made = aside(tools, run_id)
    try:
        yield made
        put_in_place(made, tools)
    except BaseException:
        with suppress(HostError, TimeoutError):
            clear_aside(replace(tools, deadline=Deadline.after(CLEAR_S)))
        raise


def put_in_place(made: Tools, tools: Tools) -> None:
    """Move a new cluster to where its server expects it, in one step. Raises HostError."""
    script = 'test ! -d "$2" || rmdir -- "$2" && mv -- "$1" "$2"'
    tools.owned(("sh", "-c", script, "sh", made.service.data_directory, tools.service.data_directory)).check()


def create(tools: Tools, like: Database) -> None:
    """Make a new, empty cluster with checksums, whose superuser is the service's. Not yet on disk: see ``sync``.

    Raises StepFailed, HostError.
    """
    locale = ["--encoding", like.encoding, "--lc-collate", like.collate, "--lc-ctype", like.ctype]
    locale += {
        "i": ["--locale-provider=icu", "--icu-locale", like.locale],
        "b": ["--locale-provider=builtin", "--builtin-locale", like.locale],
    }.get(like.provider, [])
    password = tools.service.admin.password
    arguments = [
        tools.path("initdb"),
        "--pgdata",
        tools.service.data_directory,
        "--username",
        tools.service.admin.user,
        "--data-checksums",
        "--no-sync",
        "--no-instructions",
        *locale,
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


def write(tools: Tools, name: str, data: bytes, *, append: bool = False) -> None:
    """Write a file of the data directory, with the rights of its owner. Raises HostError."""
    script = _APPEND if append else _WRITE
    tools.owned(("sh", "-c", script, "sh", f"{tools.service.data_directory}/{name}"), stdin=data).check()


def overrides(service: Postgres) -> bytes:
    """Settings with which a copy of a cluster serves at another place and does not disturb the original's archive."""
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
    return ("\n# Drillbook: restored to another place than it was backed up from\n" + "\n".join(lines) + "\n").encode()


def start(ctx: Context, tools: Tools) -> None:
    """Start the service's unit, or the server itself when the inventory names no unit. Raises StepFailed, HostError."""
    if tools.service.unit:
        manager = manager_of(tools.host)
        tools.host.run(manager.start(tools.service.unit), deadline=ctx.deadline)  # at once: asking first costs time
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


def start_command(tools: Tools) -> tuple[str, ...]:
    """The command that starts a server which is in no service manager; succeeds when it runs already."""
    data = tools.service.data_directory
    script = '"$1" --pgdata "$2" --silent status || "$1" --pgdata "$2" --silent --log "$2/drillbook.log" --wait start'
    return tools.as_owner("sh", "-c", script, "sh", tools.path("pg_ctl"), data)


def stop(ctx: Context, tools: Tools, mode: Literal["fast", "immediate"]) -> None:
    """Stop the server: by its unit when ``fast`` and there is one, otherwise with pg_ctl. Raises StepFailed, HostError."""
    if mode == "immediate" or not tools.service.unit:
        tools.owned(
            (tools.path("pg_ctl"), "--pgdata", tools.service.data_directory, "--mode", mode, "--wait", "stop"),
            env={"LC_ALL": "C"},
        ).check()
    if tools.service.unit:
        manager_of(tools.host).ensure(tools.host, tools.service.unit, "stopped", ctx.deadline)


@contextmanager
def starting(ctx: Context, tools: Tools) -> Iterator[None]:
    """Start the server and go on as soon as it takes a write; at the end its unit must run as well.

    A service manager takes seconds to call a unit started that has served all the while.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="start") as pool:
        started = pool.submit(start, ctx, tools)
        await_writable(ctx, tools, started)
        yield
        started.result()


def await_writable(ctx: Context, tools: Tools, started: Future[None]) -> None:
    """Wait until the server is out of recovery and takes a write, its start failed, or it has ended since.

    Nothing is written into another server that answers in its place. Raises StepFailed, also at the deadline; HostError,
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
                f"the server did not take a write in time: {last}",
                findings=[
                    finding("postgres-unhealthy", title=service.name, wanted="a server that takes writes", measured=last)
                ],
            )
        ctx.deadline.wait(0.05)


def _must_run(ctx: Context, tools: Tools, last: str) -> None:
    """Raise StepFailed when a server that was started runs no more: nobody takes a write there, however long one waits."""
    if tools.service.unit:
        unit = manager_of(tools.host).state(tools.host, tools.service.unit, ctx.deadline)
        ended, word = unit.state in ("stopped", "failed"), unit.word
    else:
        look = (tools.path("pg_ctl"), "--pgdata", tools.service.data_directory, "status")
        asked = once_more(lambda: tools.owned(look, env={"LC_ALL": "C"}))
        ended, word = asked.exit == NO_SERVER, "not running"
    if ended:
        found = finding("service-state", title=tools.service.name, wanted="running", measured=word, host=tools.host.name)
        raise StepFailed(f"{tools.host.name}: the server was started and has ended since ({word}): {last}", findings=[found])


def prove_writable(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Write to the log of the server and wait until that is on disk; leaves nothing. Raises psycopg.Error."""
    if one(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
        raise psycopg.errors.ReadOnlySqlTransaction("the server is in recovery")
    one(session, "SELECT pg_catalog.pg_logical_emit_message(true, 'drillbook', 'writable')::text")


def sync(tools: Tools) -> None:
    """Bring every file of a cluster to disk that ``create`` made, unless that was done. Raises HostError."""
    data = tools.service.data_directory
    tools.owned(
        ("sh", "-c", _SYNC, "sh", data, UNSYNCED, tools.path("initdb"), "--sync-only", "--pgdata", data), env={"LC_ALL": "C"}
    ).check()


@dataclass(frozen=True, slots=True)
class Removed:
    """What was in a data directory that is gone."""

    files: int
    bytes: int


def kill(tools: Tools) -> int | None:
    """End the server without warning; returns the postmaster's pid, None when it did not run.

    Raises StepFailed, HostError.
    """
    output = tools.owned(("sh", "-c", _KILL, "sh", tools.service.data_directory))
    if output.exit == 3:
        raise StepFailed(f"{tools.host.name}: {tools.service.data_directory} is not the data directory of a cluster")
    text = output.check().text.strip()
    return int(text) if text else None


def remove(tools: Tools) -> Removed:
    """Remove the data directory, or its content when it is a mount point or a link, and the socket of its dead server.

    It is out of its place in one step: whoever looks after a controller died sees all of it or nothing. Raises StepFailed,
    HostError.
    """
    return _removed(_take_away(tools, _CLEAR))


def lose(tools: Tools) -> tuple[int | None, Removed]:
    """``kill`` and ``remove`` in one: the postmaster's pid, None when it did not run, and what was removed.

    Raises StepFailed, HostError.
    """
    pid, *removed = _take_away(tools, _LOSE)
    return None if pid == "none" else int(pid), _removed(removed)


def _take_away(tools: Tools, script: str) -> list[str]:
    data = tools.service.data_directory
    if not re.fullmatch(r"/[^/]+(/[^/]+)+/?", data) or ".." in data.split("/"):
        raise StepFailed(f"{data} is refused: a drill removes nothing at the top of a file system, and no path with `..`")
    output = tools.owned(("sh", "-c", script, "sh", data, f"gone-{secrets.token_hex(2)}"))
    if output.exit in (3, 5):
        why = "is not the data directory of a cluster" if output.exit == 3 else "is the top of a file system or a home"
        raise StepFailed(f"{tools.host.name}: {data} {why}; nothing was removed")
    return output.check().text.split()


def _removed(words: list[str]) -> Removed:
    files, blocks = words
    return Removed(int(files), int(blocks) * 1024)
