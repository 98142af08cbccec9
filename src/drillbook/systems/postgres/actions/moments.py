"""Action that finds the time of the newest data in a database, to measure how much a restored copy has lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated

import psycopg
from psycopg import sql
from pydantic import Field, field_validator

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context, Facts, Place
from drillbook.sdk.moments import SAMPLE, MeasuresLoss, Moment, measured, newest
from drillbook.systems.postgres import explain_output, preflight
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.manifest import OWN_SCHEMA
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name
from drillbook.values import Duration

CANARY = f"{OWN_SCHEMA}.canary"
BACK = 10_000
"""Number of transactions whose commit times are examined, counted back from the newest."""
_HINT = (
    "set `tables` to columns with the time of writing, or write heartbeat rows regularly; compare the clocks of the server and of "
    "this machine"
)
_TIMES = "SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} DESC LIMIT {limit}"
_TYPE = """
SELECT pg_catalog.format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped
"""
_RESOLUTION = {"timestamp with time zone": 0.0, "timestamp without time zone": 0.0, "date": 86400.0}
"""Supported column types, each with its time resolution in seconds."""
# Newest commit from before this server started; later commits were made in the restored copy.
_COMMITS = """
SELECT max(t) FROM (
  SELECT pg_catalog.pg_xact_commit_timestamp(x::text::xid) AS t
  FROM pg_catalog.generate_series(greatest(n - %s, 3), n - 1) AS x
) AS times WHERE t <= pg_catalog.pg_postmaster_start_time()
"""
_NEXT = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint"


class NewestMoment(MeasuresLoss):
    """Find the time of the newest data in a database, usually in a restored copy.

    If this copy replaced the original database, all writes after that time would be lost.

    The action uses every available source: the rows of Drillbook's canary, the commit times (if `track_commit_timestamp`
    was on), and the newest values of columns that the application sets at each write.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 300.0

    service: ServiceName
    tables: Annotated[
        Mapping[str, str],
        Field(
            description="Columns that contain the time at which a row was written. The key is the name of a table, "
            "and the value is the name of its column, for example `{orders: created_at}`."
        ),
    ] = {}
    max_age: Annotated[
        Duration | None, Field(gt=0, description="Maximum age of the newest data; older data fails the step.")
    ] = None

    @field_validator("tables")
    @classmethod
    def _names(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for table in value:
            Name.parse(table)
        return value

    def ready(self, ctx: Context) -> None:
        """Check that the columns in `tables` exist and hold times, and that the role may read these columns and the table of
        canaries.
        """
        preflight.ask(ctx, ctx.service(self.service, Postgres), self._readable)

    def _readable(self, session: Connection) -> None:
        tables = dict(self.if_known("tables", {}))
        if first_row(session, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", CANARY)[0]:
            tables[CANARY] = "at"
        for table, column in tables.items():
            query, _ = self._query(session, Name.parse(table), column)
            explain_output.explain(session, query.as_string(session))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``newest_moment``: time of the newest data, by the clock of the backed-up server.

        ``age_s``: age of this moment in seconds, by the controller's clock; ``error_s``: seconds by which the last commit may
        be later than the moment. When the moment is the newest value of a column, this is the usual interval between the
        column's newest values. ``basis``: source of the newest moment; ``moments``: list of all sources, each with its newest
        moment and the error of this moment.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                session.execute("SET default_transaction_read_only = on")
                session.execute("SET timezone = 'UTC'")
                moments = [*self._canary(session), *self._commits(session), *self._columns(session)]
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"{self.service} could not be queried for its newest data: {reason(error)}") from error
        return measured(self.service, moments, self.max_age, hint=_HINT)

    def _canary(self, session: Connection) -> Iterator[Moment]:
        if first_row(session, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", CANARY)[0]:
            yield from self._newest(session, Name.parse(CANARY), "at", "the newest row of Drillbook's canary")

    def _commits(self, session: Connection) -> Iterator[Moment]:
        if first_row(session, "SHOW track_commit_timestamp")[0] != "on":
            return
        following = int(first_row(session, _NEXT)[0])
        with suppress(psycopg.errors.InvalidParameterValue):
            query = _COMMITS.replace("n - ", f"{following % 2**32} - ")
            if (at := first_row(session, query, BACK)[0]) is not None:
                yield Moment(
                    at, "time of the newest commit before this server's start, recorded by track_commit_timestamp", 0.0
                )

    def _columns(self, session: Connection) -> Iterator[Moment]:
        for table, column in self.tables.items():
            yield from self._newest(session, Name.parse(table), column, f"the newest {column} of {table}")

    def _newest(self, session: Connection, table: Name, column: str, basis: str) -> Iterator[Moment]:
        """Yield the newest value of a column, with its error. The error is the usual time between two values: the median
        interval between the column's newest values.
        """
        query, kind = self._query(session, table, column)
        values = [value for (value,) in session.execute(query).fetchall()]
        zone = ", taken as UTC" if kind != "timestamp with time zone" else ""
        yield from newest(values, basis + zone, _RESOLUTION[kind])

    def _query(self, session: Connection, table: Name, column: str) -> tuple[sql.Composed, str]:
        """Return the query for the newest values of a column, and the type of the column.

        Raises CouldNotVerify when the column does not exist or holds no times.
        """
        row = session.execute(_TYPE, (table.schema, table.table, column)).fetchone()
        if row is None or row[0] not in _RESOLUTION:
            kind = f"is of the type {row[0]}" if row else "does not exist"
            raise CouldNotVerify(
                f"{self.service}: the column {column} of {table} {kind}",
                hint="use a column of type timestamp, timestamptz or date",
            )
        query = sql.SQL(_TIMES).format(column=sql.Identifier(column), table=table.sql, limit=SAMPLE)
        text = sql.SQL("SELECT t::timestamptz FROM ({}) AS s(t) WHERE pg_catalog.isfinite(t)").format(query)
        return text, row[0]
