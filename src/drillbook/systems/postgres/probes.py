"""Probes of PostgreSQL."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Annotated, Any

import psycopg
from psycopg import sql
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.probe import Availability, CanaryWriter, ConnectedWriter, Lost
from drillbook.sdk.probe import Canary as BaseCanary
from drillbook.systems.postgres.bounded_connection import Bounded
from drillbook.systems.postgres.canary_table import GRANTS, PREPARE, TABLE
from drillbook.systems.postgres.connection import Connection, connected, first_row, parameters, reason
from drillbook.systems.postgres.explain_output import explain, indexes_of, scanned_by
from drillbook.systems.postgres.manifest import OWN_SCHEMA
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name
from drillbook.values import Duration

_INSERT = f"INSERT INTO {TABLE} (run, number) VALUES (%s, %s)"  # noqa: S608  only constants are inserted
_SURVIVORS = f"SELECT number FROM {TABLE} WHERE run = %s ORDER BY number"  # noqa: S608
_DELETE = f"DELETE FROM {TABLE} WHERE run = %s"  # noqa: S608
_EMPTY = f"SELECT NOT EXISTS (SELECT 1 FROM {TABLE})"  # noqa: S608


ServiceName = Annotated[str, Field(description="Name of the PostgreSQL service in the inventory.")]


class Available(Availability):
    """Log in as the application's role and run a query. The result must be exactly one row.

    The default query shows that the server answers. It does not show that a table exists. To notice a lost table, read from
    the table: `SELECT 1 FROM orders LIMIT 1`. An error, or no answer within `timeout`, is a bad sample. The query runs in a
    read-only transaction.
    """

    CODE = "query"

    service: ServiceName
    query: Annotated[
        str,
        Field(
            min_length=1,
            description="SQL statement that returns one row. The application's role must have the right to run it.",
        ),
    ] = "SELECT 1"

    def check(self, ctx: Context) -> str | None:
        """Run the query once, in a new session. Return None if the result is one row, and otherwise the problem."""
        service, begun = ctx.service(self.service, Postgres), time.monotonic()
        try:
            with (
                ctx.reach(service) as way,
                Bounded.connect(**_prompt(service, *way, self.timeout)) as session,
                _cut_off(session, self.timeout, lambda: begun),
            ):
                session.execute("BEGIN READ ONLY")
                # The prepared form accepts only one statement: a second one could end the read-only transaction.
                cursor = session.execute(self.query.encode(), prepare=True)
                rows = cursor.rowcount if cursor.description else 0
                session.execute("ROLLBACK")
        except (psycopg.Error, CouldNotVerify, HostError, OSError) as error:
            return reason(error)
        return None if rows == 1 else f"the query returned {rows} rows, not 1"


class Planned(Availability):
    """Check that the server's plan of a statement uses the required index. The statement is not run.

    Unlike the duration of a statement, the plan does not depend on the speed of the machine.
    """

    service: ServiceName
    query: Annotated[str, Field(min_length=1, description="SQL statement that the application's role has the right to run.")]
    index: Annotated[str, Field(min_length=1, description="Index that the plan must use.")]

    def check(self, ctx: Context) -> str | None:
        """Get the plan once, in a session of the application's role. Return None if the plan uses the index, and
        otherwise a description of the problem.
        """
        service = ctx.service(self.service, Postgres)
        try:
            with ctx.reach(service) as way, Bounded.connect(**_prompt(service, *way, self.timeout)) as session:
                plan = explain(session, self.query)
        except (psycopg.Error, HostError, OSError) as error:
            return reason(error)
        if Name.parse(self.index).table in indexes_of(plan):
            return None
        return f"the plan does not use {self.index}; sequential scans: {', '.join(scanned_by(plan)) or 'nothing'}"


def _prompt(service: Postgres, address: str, port: int, timeout: float) -> dict[str, Any]:
    """Return connection options for the application's role. A statement may take at most ``timeout`` seconds."""
    milliseconds = max(1, int(timeout * 1000))
    return parameters(service, address, port, as_user=True, timeout=timeout) | {
        "options": f"-c statement_timeout={milliseconds}",
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
    }


@contextmanager
def _cut_off(session: Connection, timeout: float, since: Callable[[], float]) -> Iterator[None]:
    """Close the connection when an answer is overdue. A server that hangs would otherwise block the caller for ever.

    ``since``: function that returns the time at which the request was sent. It returns infinity while no answer is awaited.
    """
    over = threading.Event()
    line = socket.socket(fileno=os.dup(session.fileno()))

    def watch() -> None:
        while not over.wait(min(0.05, timeout / 5)):
            if time.monotonic() - since() > timeout + 0.1:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
                return

    thread = threading.Thread(target=watch, name="postgres-timeout", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        line.close()


class Canary(BaseCanary):
    """Write numbered rows as the application's role. Every acknowledged row must exist after the recovery."""

    service: ServiceName
    every: Duration = Field(
        default=Duration(0.05), description="Time between two writes; the resolution of the measured RPO."
    )
    timeout: Duration = Field(
        default=Duration(1.0),
        description="Time limit of a write. A row that is not acknowledged by then may or may not be committed.",
    )

    def reach(self, ctx: Context) -> None:
        """Log in as the superuser and as the application's role. Raises NotReady when a login or a write is impossible."""
        service = ctx.service(self.service, Postgres)
        with self._writing(ctx, service), connected(ctx, service, as_user=True):
            pass

    @contextmanager
    def _writing(self, ctx: Context, service: Postgres) -> Iterator[Connection]:
        try:
            with connected(ctx, service) as session:
                if first_row(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
                    raise NotReady(
                        f"{self.service} is a standby: a canary can write only to a primary",
                        hint="set `address` and `port` of the service to the primary",
                    )
                yield session
        except (psycopg.Error, HostError) as error:
            raise NotReady(
                f"the canary cannot write to {self.service}: {reason(error)}",
                hint="the superuser and the application's role must be able to log in and to write",
            ) from error

    def prepare(self, ctx: Context) -> None:
        """Create the canary's table, and allow the application's role to write to it. Raises NotReady on any error."""
        service = ctx.service(self.service, Postgres)
        with self._writing(ctx, service) as session:
            session.execute("SET client_min_messages = warning")
            for statement in PREPARE:
                session.execute(statement.encode())
            for grant in GRANTS:
                session.execute(sql.SQL(grant).format(sql.Identifier(service.user)))
            with connected(ctx, service, as_user=True) as user:
                first_row(user, "SELECT pg_catalog.has_table_privilege(%s, 'INSERT')", TABLE)

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer that logs in as the application's role. While the database refuses clients, this login fails."""
        return _Writer(ctx, ctx.service(self.service, Postgres), float(self.timeout))

    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the numbers of this run's rows that exist now. The result is empty when the table is missing.

        Raises CouldNotVerify when the rows cannot be read.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                return [number for (number,) in session.execute(_SURVIVORS, (ctx.run_id,)).fetchall()]
        except psycopg.errors.UndefinedTable:
            return []
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"the canary's rows in {self.service} cannot be read: {reason(error)}") from error

    def clean(self, ctx: Context) -> None:
        """Delete this run's rows. Then drop the canaries' table if it is empty, and drop the schema of this table if the
        schema is empty.

        Raises CouldNotVerify when the rows cannot be deleted.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                with suppress(psycopg.errors.UndefinedTable):
                    session.execute(_DELETE, (ctx.run_id,))
                    if first_row(session, _EMPTY)[0]:
                        session.execute(f"DROP TABLE {TABLE}".encode())
                # Also if the table is missing: a controller that died here earlier may have dropped only the table.
                with suppress(psycopg.errors.DependentObjectsStillExist, psycopg.errors.InvalidSchemaName):
                    session.execute(f"DROP SCHEMA {OWN_SCHEMA}".encode())
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"the canary's rows in {self.service} cannot be removed: {reason(error)}") from error


class _Writer(ConnectedWriter[Connection]):
    """Writer that inserts the canary's rows over one connection."""

    ERRORS = (psycopg.Error, HostError, OSError)

    def __init__(self, ctx: Context, service: Postgres, timeout: float) -> None:
        super().__init__()
        self._ctx, self._service, self._timeout = ctx, service, timeout
        self._since = math.inf

    def write(self, number: int) -> Lost | None:
        """Insert the row ``number`` and wait until it is committed."""
        try:
            session = self.session()
        except self.ERRORS as error:
            self.close()
            return Lost(reason(error), doubt=False)
        self._since = time.monotonic()
        try:
            session.execute(_INSERT, (self._ctx.run_id, number), prepare=True)
        except psycopg.Error as error:
            # ERROR means that the transaction was rolled back; after a FATAL error or without an answer, it may have been
            # committed.
            refused = error.diag.severity_nonlocalized == "ERROR"
            late = time.monotonic() - self._since >= self._timeout
            if not refused:
                self.close()
            return Lost(f"no answer within {self._timeout:g} s" if late else reason(error), doubt=not refused)
        finally:
            self._since = math.inf
        return None

    def connect(self, way: ExitStack) -> Connection:
        """Connect within the probe's timeout. The driver supports no timeout below two seconds, so a shorter timeout is
        replaced by two seconds.
        """
        address, port = way.enter_context(self._ctx.reach(self._service))
        options = _prompt(self._service, address, port, self._timeout) | {"application_name": "drillbook-canary"}
        session = way.enter_context(Bounded.connect(**options))
        way.enter_context(_cut_off(session, self._timeout, lambda: self._since))
        return session
