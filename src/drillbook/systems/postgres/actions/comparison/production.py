"""Action that compares a restored copy of a database with its original in production."""

from __future__ import annotations

import re
from typing import Annotated

import psycopg
from psycopg import sql
from pydantic import Field, field_validator

from drillbook.errors import CouldNotVerify, HostError, PlanError
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.key_ranges import History, Keyed, Rows, Tables, Tolerance, compare, wanted
from drillbook.systems.postgres import content
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import first_row, reason
from drillbook.systems.postgres.content import Snapshot
from drillbook.systems.postgres.manifest import ALGORITHM, OWN_SCHEMA
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name, exists

_PLAIN = re.compile("[a-z_][a-z0-9_$]*")
_DIGEST = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(("_row_".*)::text, 0)), 0)
FROM {table} AS "_row_" WHERE {where}
"""
_NEWEST = "SELECT {key}::text AS newest FROM {table} WHERE {key} IS NOT NULL ORDER BY {key} DESC OFFSET {margin} LIMIT 1"
_HIGHS = """
SELECT "_high_"::text FROM (
  SELECT max({key}) AS "_high_" FROM (
    SELECT {key}, ntile({ranges}) OVER (ORDER BY {key}) AS "_range_" FROM {table} WHERE {key} <= {newest}
  ) AS "_ranges_" GROUP BY "_range_"
) AS "_highs_" GROUP BY "_high_" ORDER BY "_highs_"."_high_"
"""
_OUTSIDE = "SELECT count(*) FILTER (WHERE {key} > {high}), count(*) FILTER (WHERE {key} IS NULL) FROM {table}"


class Compare(Read):
    """Compare a restored copy with the production database: content of the chosen tables, and row counts of all tables.

    Content is compared in ranges of a key. Because production has changed since the backup, a table that only grows is
    compared up to the newest rows of the copy. A table that never changes is compared as a whole. Rows that production has
    updated since the backup are reported as different.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0

    service: ServiceName
    against: Annotated[
        str,
        Field(description="Service whose database is in production and still runs. The action only reads this database."),
    ]
    tables: Tables = Field(default_factory=dict)
    tolerance: Tolerance = None
    history: History = None

    @classmethod
    def proves_content(cls, facts: Facts) -> bool:
        """Return True when the rows of at least one table were compared, and not only counted."""
        return bool(facts.get("tables"))

    @field_validator("tables")
    @classmethod
    def _names(cls, value: dict[str, Keyed]) -> dict[str, Keyed]:
        return {_shown(table): keyed for table, keyed in value.items()}

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables`` and ``rows``: numbers of tables and rows whose content was compared.

        ``ranges``: for each table, the list of its key ranges. Each range has its number of rows, and a flag. The flag is
        true if copy and production are equal in this range. ``volume``: for each table, the number of rows in the copy and
        in production; ``history``: an earlier run whose numbers of rows were compared with the present numbers, and the
        tables that were added or removed since that run; ``not_compared``: tables that were not compared, each with the
        reason; ``algorithm``: algorithm of the digests; ``seconds``: duration of the comparison.
        """
        parts = wanted(ctx, self.name(), self.service, self.tables, tolerance=self.tolerance, history=self.history)
        begun = ctx.deadline.remaining()
        copy, production = ctx.service(self.service, Postgres), ctx.service(self.against, Postgres)
        try:
            with content.snapshot(ctx, copy) as there, content.snapshot(ctx, production) as here:
                result = compare(_Reader(there), _Reader(here), parts)
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"{self.service} could not be compared with {self.against}: {reason(error)}") from error
        facts = result.facts(ALGORITHM) | {"seconds": round(begun - ctx.deadline.remaining(), 3)}
        return result.answer(self.service, facts)

    def ready(self, ctx: Context) -> None:
        """Raise PlanError when `service` and `against` name the same database."""
        if self.known("against") and ctx.same_service(self.service, self.against):
            raise PlanError(f"postgres.compare: {self.service} would be compared with itself")


class _Reader:
    """Reader of one of the two databases. All its queries use one snapshot, so they see the same rows."""

    def __init__(self, snap: Snapshot) -> None:
        self.session = snap.owner
        self.relations = content.relations(snap)

    def names(self) -> list[str]:
        """Return the names of all tables, except the tables that Drillbook created."""
        own = OWN_SCHEMA
        return [_shown(relation.name) for relation in self.relations if relation.kind == "r" and relation.schema != own]

    def has(self, table: str) -> bool:
        """Return True when the database has a relation of the name ``table``."""
        return exists(self.session, Name.parse(table))

    def count(self, table: str) -> int:
        """Return the number of rows of one table. Rows of its partitions are not counted."""
        return int(
            first_row(self.session, sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(Name.parse(table).sql))[0]
        )

    def bounds(self, table: str, keyed: Keyed) -> list[str]:
        """Divide the rows into key ranges of about equal size, and return the largest key of each range in order."""
        names = {"table": Name.parse(table).sql, "key": sql.Identifier(keyed.key)}
        newest = str(keyed.up_to)
        if keyed.up_to == "newest":
            row = self.session.execute(sql.SQL(_NEWEST).format(**names, margin=sql.Literal(keyed.margin))).fetchone()
            if row is None:
                return []
            newest = str(row[0])
        query = sql.SQL(_HIGHS).format(**names, ranges=sql.Literal(keyed.ranges), newest=sql.Literal(newest))
        return [str(high) for (high,) in self.session.execute(query).fetchall()]

    def rows(self, table: str, key: str, low: str | None, high: str | None) -> Rows:
        """Return number and digest of the rows whose key is greater than ``low`` and at most ``high``.

        Rows in partitions are included. A bound that is None does not limit the range.
        """
        where: list[sql.Composable] = [sql.SQL("true")]
        for sign, bound in ((">", low), ("<=", high)):
            if bound is not None:
                where.append(sql.SQL("{} {} {}").format(sql.Identifier(key), sql.SQL(sign), sql.Literal(bound)))
        query = sql.SQL(_DIGEST).format(table=Name.parse(table).sql, where=sql.SQL(" AND ").join(where))
        number, total = first_row(self.session, query)
        return Rows(int(number), format(int(total) % 2**64, "016x"))

    def outside(self, table: str, key: str, high: str) -> tuple[int, int]:
        """Count the rows outside the key ranges. Return the number of rows with a key above ``high``, and the number of
        rows with the key NULL.
        """
        names = {"table": Name.parse(table).sql, "key": sql.Identifier(key), "high": sql.Literal(high)}
        above, without = first_row(self.session, sql.SQL(_OUTSIDE).format(**names))
        return int(above), int(without)


def _shown(table: str) -> str:
    """Return schema and name of a table, with SQL quotes only where SQL requires them.

    Raises ValueError when ``table`` is not the name of a table in SQL syntax.
    """
    name = Name.parse(table)
    parts = (name.schema, name.table)
    return ".".join(part if _PLAIN.fullmatch(part) else sql.Identifier(part).as_string(None) for part in parts)
