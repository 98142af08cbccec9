"""Trial server: a temporary server that loads a saved RDB file, so that the content of a backup can be checked.

A trial server uses the same host and the same program as the server that was saved. It listens on the loopback address, has
a random password, and writes nothing. It exits when the connection that started it is closed, and so also when the
controller is killed.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from drillbook.errors import CouldNotVerify, DrillbookError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Output, excerpt, printable
from drillbook.systems.redis.connection import Session, opened
from drillbook.systems.redis.manifest import RDB
from drillbook.systems.redis.server_state import TICK_S

PORTS = range(30000, 60000)
ATTEMPTS = 8
# The settings are in a folder that only its owner may read, never in the arguments of a process.
SETTINGS = """bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{folder}"
dbfilename {rdb}
save ""
appendonly no
daemonize no
set-proc-title no
maxmemory 0
"""

# PROGRAM: run a server, and kill it when its connection ends. A line is written every second to the reader of the server's
# output; when this fails, the controller has died. By default a background process reads /dev/null, hence descriptor 3. The
# `sleep` does not keep the output open.
WATCHED = """
exec 3<&0
"$1" - <&3 3<&- &
server=$!
exec 3<&- </dev/null
(
  trap '' PIPE
  while kill -0 "$server" 2>/dev/null; do
    echo 2>/dev/null || { kill -KILL "$server"; exit; }
    sleep 1 >/dev/null 2>&1
  done
) &
watcher=$!
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"""


@contextmanager
def loading(ctx: Context, program: str, folder: str) -> Iterator[Session]:
    """Yield a session with a trial server that has loaded the RDB in ``folder``. Raises StepFailed when the server cannot
    load this RDB.
    """
    for _ in range(ATTEMPTS):
        port, password = secrets.choice(PORTS), secrets.token_hex(24)
        stop = threading.Event()
        quoted = folder.replace("\\", "\\\\").replace('"', '\\"')
        settings = SETTINGS.format(port=port, password=password, folder=quoted, rdb=RDB)
        with ThreadPoolExecutor(1, thread_name_prefix="trial") as pool:
            deadline = Deadline(ctx.deadline.at, stop)
            server = pool.submit(
                ctx.host.run, ("sh", "-c", WATCHED, "sh", program), deadline=deadline, stdin=settings.encode(), cwd=folder
            )
            try:
                with ctx.host.forward("127.0.0.1", port) as way, suppress(_Taken):
                    yield from _session(ctx, server, way, password)
                    return
            finally:
                stop.set()
                with suppress(DrillbookError, TimeoutError):
                    server.result()
    raise CouldNotVerify(f"{ctx.host.name}: no free port was found for a trial server between {PORTS[0]} and {PORTS[-1]}")


class _Taken(Exception):
    """Raised when another program uses the port chosen for the trial server."""


def _session(ctx: Context, server: Future[Output], port: int, password: str) -> Iterator[Session]:
    from redis.exceptions import RedisError  # noqa: PLC0415  slow to load

    line = None
    while line is None:
        if server.done():
            _ended(ctx, server.result())
        try:
            line = opened("127.0.0.1", port, password=password)
        except (RedisError, OSError):
            ctx.deadline.wait(TICK_S)
    try:
        session = Session(line, ctx.deadline)
        while session.info("persistence")["loading"] != "0":
            ctx.deadline.wait(TICK_S)
        yield session
        with suppress(RedisError, OSError):
            session.ask("SHUTDOWN", "NOSAVE")
    except (RedisError, OSError) as error:
        ctx.deadline.check()
        if server.done():
            _ended(ctx, server.result())
        raise CouldNotVerify(
            f"{ctx.host.name}: the connection to the trial server failed: {type(error).__name__}"
        ) from error
    finally:
        line.disconnect()


def _ended(ctx: Context, output: Output) -> None:
    """Raise an error for a trial server that exited although nobody stopped it. The type of the error depends on the
    server's output.
    """
    text = printable(output.stdout + output.stderr, limit=20_000)
    if "Address already in use" in text:
        raise _Taken
    if output.exit in (126, 127):
        raise CouldNotVerify(
            f"{ctx.host.name}: {output.argv[-1]} cannot be run as a trial server",
            hint="set `program` of the service to the path of redis-server or valkey-server",
        )
    evidence = ctx.evidence("trial.log", text)
    lines = [line for line in text.splitlines() if line.strip()]
    raise StepFailed(
        f"{ctx.host.name}: the trial server cannot load the saved file",
        findings=[
            finding(
                "restore-errors",
                title=RDB,
                wanted="a file that a server can load",
                measured=excerpt(" | ".join(lines[-3:]), limit=800),
                evidence=(str(evidence["file"]),),
                host=ctx.host.name,
            )
        ],
    )
