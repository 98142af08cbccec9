"""Connections to a PostgreSQL service from the controller."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from drillbook.sdk.action import Context
from drillbook.sdk.deadline import Lines, bounded
from drillbook.sdk.host import Deadline, printable
from drillbook.systems.postgres.bounded import Bounded
from drillbook.systems.postgres.service import Postgres

CONNECT_S = 5
AGAIN_S = 0.2
CANCEL_S = 2
"""Seconds that a server has to cancel a query whose time is over; then the connection to it is cut."""
FULL_S = 5.0
"""Seconds in which the connections kept for superusers (`superuser_reserved_connections`) may all be in use for a moment."""
REPLAY_S = 20.0
"""Seconds in which a server that has just started may still replay its log (SQLSTATE 57P03, `cannot_connect_now`)."""
_PASSING = {
    "too many clients": FULL_S,
    "starting up": REPLAY_S,
    "not accepting connections": REPLAY_S,
    "not yet accepting connections": REPLAY_S,
    "in recovery mode": REPLAY_S,
}
"""Words of what passes by itself: an error of a connection that was not made has no SQLSTATE in libpq."""
_ENCRYPTION_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def connected(
    ctx: Context,
    service: Postgres,
    *,
    database: str | None = None,
    as_user: bool = False,
) -> Iterator[Connection]:
    """A connection as the superuser, or as the application's role, in autocommit, ended by the step's deadline.

    Raises psycopg.Error, HostError; Cancelled and TimeoutError when a query was ended by the deadline.
    """
    with ctx.reach(service) as (address, port):
        options = parameters(service, address, port, as_user=as_user, timeout=CONNECT_S)
        options["dbname"] = service.database if database is None else database
        with _connect(options, ctx.deadline, again=not as_user) as connection, watched(connection, ctx.deadline):
            yield connection


def _connect(options: dict[str, Any], deadline: Deadline, *, again: bool) -> Connection:
    """A new connection; a superuser's is tried ``again`` while what keeps it away passes by itself."""
    begun = time.monotonic()
    while True:
        try:
            return bounded(
                lambda: Bounded.connect(**options),
                deadline,
                late=lambda late: late.close(),
                what=f"the server at {options['host']}:{options['port']}",
            )
        except psycopg.OperationalError as error:
            waits = min(begun + _passes_within(error) - time.monotonic(), deadline.remaining() - 2 * AGAIN_S)
            if not again or waits < 0:
                raise
        deadline.wait(AGAIN_S)


def _passes_within(error: psycopg.OperationalError) -> float:
    """Seconds in which what ``error`` tells may pass; 0: it does not."""
    return max((seconds for words, seconds in _PASSING.items() if words in str(error)), default=0.0)


def parameters(service: Postgres, address: str, port: int, *, as_user: bool, timeout: float) -> dict[str, Any]:
    """What psycopg needs to connect; ``PG*`` variables of the controller decide nothing that matters."""
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
def watched(connection: Connection, deadline: Deadline) -> Iterator[None]:
    """Cancel whatever ``connection`` runs when the deadline passes or its flag is set, and raise for that."""
    over = threading.Event()

    def cancel() -> None:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=CANCEL_S)

    def end() -> None:
        # Each in a thread of its own: a server that hangs lets who asks it to cancel wait too.
        threading.Thread(target=cancel, name="postgres-cancel", daemon=True).start()
        threading.Thread(target=cut, name="postgres-cut", daemon=True).start()

    def cut() -> None:
        if not over.wait(CANCEL_S) and not connection.closed:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    where = f"the server at {connection.info.host}:{connection.info.port}"
    with Lines(deadline) as lines:
        lines.ended_by(end)
        try:
            yield
        except psycopg.Error:
            deadline.check(where)
            raise
        finally:
            over.set()


def answers(ctx: Context, service: Postgres) -> bool:
    """Whether a server is there, even one that lets nobody in: it answers the question for encryption. Raises HostError.

    Not libpq's PQping, which blocks every thread of this process, also the one that carries its connection.
    """
    with ctx.reach(service) as way:
        try:
            with socket.create_connection(way, timeout=CONNECT_S) as line:
                line.sendall(_ENCRYPTION_REQUEST)
                return line.recv(1) != b""
        except OSError:
            return False


def reason(error: BaseException) -> str:
    """What the server or the connection said, in one printable line without connection parameters."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
    return printable(text, limit=400).replace("\n", " ")


def one(connection: Connection, query: Any, *values: Any) -> tuple[Any, ...]:
    """The only row of a query. Raises psycopg.Error."""
    row = connection.execute(query, values or None).fetchone()
    if row is None:
        raise psycopg.DataError("the query gave no row")
    return row


def conninfo(database: str) -> str:
    """A database's name in the form that every tool's ``--dbname`` takes as a name, whatever it holds."""
    return psycopg.conninfo.make_conninfo(dbname=database)
