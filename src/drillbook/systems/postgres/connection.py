"""Connections to a PostgreSQL service from the controller."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg

from drillbook.sdk import unix_socket
from drillbook.sdk.action import Context
from drillbook.sdk.deadline import Lines, bounded
from drillbook.sdk.host import Deadline, once_more, printable
from drillbook.systems.postgres import login_errors
from drillbook.systems.postgres.bounded_connection import Bounded
from drillbook.systems.postgres.service import Postgres

CONNECT_S = 5
FIRST_AGAIN_S, AGAIN_S = 0.02, 0.2
"""Pauses between two attempts to log in, in seconds: the first pause, and the longest pause."""
CANCEL_S = 2
"""Seconds that a server has to cancel a query after the deadline. If the query still runs then, the connection is closed.
"""
FULL_S = 5.0
"""Seconds for which a login is retried while all connections are in use, including the connections reserved for superusers
(`superuser_reserved_connections`).
"""
REPLAY_S = 20.0
"""Seconds for which a login is retried while a started server replays its WAL (SQLSTATE 57P03, `cannot_connect_now`)."""
_PASSING = {
    "too many clients": FULL_S,
    "starting up": REPLAY_S,
    "not accepting connections": REPLAY_S,
    "not yet accepting connections": REPLAY_S,
    "in recovery mode": REPLAY_S,
}
"""Maps the text of a temporary error to the number of seconds for which a login is retried. The text is used because libpq
reports no SQLSTATE.
"""
_ENCRYPTION_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
DEADLOCKS = 5
"""Maximum number of times that a transaction is tried if it meets deadlocks with other sessions."""
Connection = psycopg.Connection[tuple[Any, ...]]
Result = TypeVar("Result")


@contextmanager
def connected(
    ctx: Context,
    service: Postgres,
    *,
    database: str | None = None,
    as_user: bool = False,
) -> Iterator[Connection]:
    """Open a connection in autocommit mode as the superuser, within the step's deadline.

    When ``as_user`` is true, log in as the application's role instead. Raises psycopg.Error when a query fails, and
    HostError when the host cannot be used. If the deadline passes during a query, TimeoutError is raised. If the deadline is
    cancelled, Cancelled is raised.
    """
    where = login_errors.place(service, as_user=as_user)
    with way(ctx, service, as_user=as_user) as (address, port):
        options = parameters(service, address, port, as_user=as_user, timeout=CONNECT_S)
        options["dbname"] = service.database if database is None else database
        try:
            session = _connect(options, ctx.deadline, where, again=not as_user)
        except psycopg.OperationalError as error:
            if error.sqlstate:
                raise
            if as_user or not service.admin.socket or not (why := _refused(ctx, service)):
                raise login_errors.explained(error, service, as_user=as_user) from error
            raise psycopg.OperationalError(why) from error
        with session as connection, watched(connection, ctx.deadline, where):
            yield connection


@contextmanager
def session_at(service: Postgres, address: str, port: int, deadline: Deadline) -> Iterator[Connection]:
    """Open a connection as the superuser. ``address`` and ``port``: the two values that the function ``way`` yields. Raises
    the errors of ``connected``.
    """
    try:
        session = Bounded.connect(**parameters(service, address, port, as_user=False, timeout=CONNECT_S))
    except psycopg.OperationalError as error:
        if error.sqlstate:
            raise
        raise login_errors.explained(error, service, as_user=False) from error
    with session as connection, watched(connection, deadline, login_errors.place(service, as_user=False)):
        yield connection


@contextmanager
def way(ctx: Context, service: Postgres, *, as_user: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the address (or the folder of a Unix socket) and the port for a login.

    The login is a login of the superuser. When ``as_user`` is true, it is a login of the application's role. Raises HostError
    when the host cannot be used.
    """
    admin = service.admin
    if as_user or not admin.socket:
        with ctx.reach(service) as there:
            yield there
        return
    path = socket_of(service)
    with ctx.host_named(service.host).forward_socket(path, path.rpartition("/")[2], service.run_as) as folder:
        yield folder, service.port


def socket_of(service: Postgres) -> str:
    """Return the path of the Unix socket at which the superuser logs in by peer authentication."""
    return f"{service.admin.socket.rstrip('/')}/.s.PGSQL.{service.port}"


def _refused(ctx: Context, service: Postgres) -> str:
    """Return the reason why a process of the user `run_as` cannot connect to the server's socket, or an empty text."""
    host, path = ctx.host_named(service.host), socket_of(service)
    tried = once_more(lambda: host.run(unix_socket.relay(path, service.run_as), deadline=ctx.deadline, env={"LC_ALL": "C"}))
    said = printable(tried.stderr, limit=300).strip().replace("\n", " ")
    who = service.run_as or "the SSH user"
    return "" if tried.ok else f"{host.name}: {who} cannot connect to {path}: {said or f'status {tried.exit}'}"


def _connect(options: dict[str, Any], deadline: Deadline, where: str, *, again: bool) -> Connection:
    """Open a connection. When ``again`` is true, try the login again after temporary errors. ``where``: the server's name in
    messages.
    """
    begun, pause = time.monotonic(), FIRST_AGAIN_S
    while True:
        try:
            return bounded(
                lambda: Bounded.connect(**options),
                deadline,
                late=lambda late: late.close(),
                what=where,
            )
        except psycopg.OperationalError as error:
            waits = min(begun + _passes_within(error) - time.monotonic(), deadline.remaining() - 2 * AGAIN_S)
            if not again or waits < 0:
                raise
        deadline.wait(pause)
        pause = min(pause * 1.5, AGAIN_S)


def _passes_within(error: psycopg.OperationalError) -> float:
    """Return the number of seconds for which a login is tried again after ``error``, because the error may pass. The number
    is 0 for a permanent error.
    """
    return max((seconds for words, seconds in _PASSING.items() if words in str(error)), default=0.0)


def parameters(service: Postgres, address: str, port: int, *, as_user: bool, timeout: float) -> dict[str, Any]:
    """Return connection parameters for psycopg. These parameters override the ``PG*`` environment variables of the
    controller.
    """
    password = service.password if as_user else service.admin.password
    given = {
        "host": address,
        "port": port,
        "user": service.user if as_user else service.admin.user,
        "dbname": service.database,
        "connect_timeout": max(2, int(timeout)),
        "autocommit": True,
        "application_name": "drillbook",
        "options": "",
        "target_session_attrs": "any",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    if password is not None:
        given["password"] = password.reveal()
    if "PGSERVICE" in os.environ:
        given["service"] = ""
    return given


@contextmanager
def watched(connection: Connection, deadline: Deadline, where: str) -> Iterator[None]:
    """Run the ``with`` block, and cancel its query when ``deadline`` passes or is cancelled. ``where``: the server's name in
    messages.

    Raises TimeoutError when the deadline has passed, and Cancelled when it was cancelled.
    """
    over = threading.Event()

    def cancel() -> None:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=CANCEL_S)

    def end() -> None:
        # Each cancellation has its own thread, since a hanging server blocks the cancellation too.
        threading.Thread(target=cancel, name="postgres-cancel", daemon=True).start()
        threading.Thread(target=cut, name="postgres-cut", daemon=True).start()

    def cut() -> None:
        if not over.wait(CANCEL_S) and not connection.closed:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    with Lines(deadline) as lines:
        lines.ended_by(end)
        try:
            yield
        except psycopg.Error:
            deadline.check(where)
            raise
        finally:
            over.set()


def after_deadlocks(transaction: Callable[[], Result]) -> tuple[Result, int]:
    """Call ``transaction``. Call it again each time the server rolls it back to end a deadlock (SQLSTATE 40P01).

    Return the result of ``transaction`` and the number of deadlocks. Any transaction can meet a deadlock, because clients
    lock tables in any order (PostgreSQL's manual, 13.3.4). Raises DeadlockDetected after ``DEADLOCKS`` deadlocks.
    """
    for before in range(DEADLOCKS - 1):
        with suppress(psycopg.errors.DeadlockDetected):
            return transaction(), before
    return transaction(), DEADLOCKS - 1


def answers(ctx: Context, service: Postgres) -> bool:
    """Return True when a server answers the request for encryption, even if it refuses logins. Raises HostError when the
    host cannot be used.

    libpq's PQping is not used, because it blocks all threads of the process. One of these threads may be the tunnel through
    which the server is reached.
    """
    with ctx.reach(service) as way:
        try:
            with socket.create_connection(way, timeout=CONNECT_S) as line:
                line.sendall(_ENCRYPTION_REQUEST)
                return line.recv(1) != b""
        except OSError:
            return False


def reason(error: BaseException) -> str:
    """Return the error of a server or a connection as one printable line without connection parameters."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
    return printable(text, limit=400).replace("\n", " ")


def first_row(connection: Connection, query: Any, *values: Any) -> tuple[Any, ...]:
    """Return the first row of the result of ``query``. Raises psycopg.Error when the query fails, and when there is no
    row.
    """
    row = connection.execute(query, values or None).fetchone()
    if row is None:
        raise psycopg.DataError("the query returned no row")
    return row


def conninfo(database: str) -> str:
    """Return the name of a database as a conninfo string. In this form, the option ``--dbname`` accepts any character."""
    return psycopg.conninfo.make_conninfo(dbname=database)
