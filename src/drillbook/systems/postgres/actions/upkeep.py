"""Indexes and dead rows of a PostgreSQL database: what is missing, broken, unused or bloated. Looks only."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import printable
from drillbook.systems.postgres.actions.activity import MOST_ROWS, _Looking
from drillbook.systems.postgres.connection import Connection
from drillbook.values import Duration, Size

# A foreign key whose columns are not the first ones of any valid index: deletes and joins read the whole table.
_FOREIGN_KEYS = """
SELECT n.nspname, c.relname, con.conname, pg_catalog.pg_get_constraintdef(con.oid), c.reltuples::bigint
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE con.contype = 'f' AND c.reltuples >= %s AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_index i
  WHERE i.indrelid = con.conrelid AND i.indisvalid AND i.indpred IS NULL
    AND (i.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)
ORDER BY c.reltuples DESC LIMIT 50
"""
_SCANS = """
SELECT s.relid::text, s.schemaname, s.relname, s.seq_scan, s.seq_tup_read, coalesce(s.idx_scan, 0), s.n_live_tup,
       s.n_dead_tup, pg_catalog.pg_relation_size(s.relid), greatest(c.reltuples::bigint, 0)
FROM pg_catalog.pg_stat_user_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid
"""
_INDEXES = """
SELECT n.nspname, t.relname, c.relname, coalesce(s.idx_scan, 0), pg_catalog.pg_relation_size(c.oid), i.indisunique,
       i.indisvalid
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_user_indexes s ON s.indexrelid = c.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%%'
"""

HEAVY = 20
"""Whole reads of a large table, while the action looks on, that an index would spare."""


class Indexes(_Looking):
    """Which indexes a database lacks, which are broken or never used, and which tables are full of dead rows.

    A missing index shows as a foreign key without one, and as a large table that is read from end to end again and
    again while the action looks on. How large it is, the server's statistics tell, or what one such read came to: a server
    that crashed has forgotten its statistics. Dead rows are the statistics' estimate, not a measurement of pages.
    """

    rows: Annotated[int, Field(ge=0, description="Only tables of at least so many rows.")] = 10_000
    watch: Annotated[Duration, Field(ge=0, le=60, description="How long it looks on between two counts.")] = Duration(2)
    unused_from: Annotated[Size, Field(ge=0, description="Unused indexes count from this size on.")] = Size(1 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``foreign_keys`` (without an index), ``scanned`` (read from end to end meanwhile), ``heavy`` (twenty times
        or more), ``invalid``, ``unused`` (since the statistics were reset), ``bloated`` (a fifth or more dead), each a list;
        ``watched_s``.
        """
        with self._session(ctx) as session:
            keys = session.execute(_FOREIGN_KEYS, (self.rows,)).fetchall()
            indexes = session.execute(_INDEXES.replace("%%", "%")).fetchall()
            before = self._scans(session)
            if self.watch:
                ctx.deadline.wait(min(float(self.watch), ctx.deadline.remaining() / 2))
            after = self._scans(session)
        scanned = _scanned(before, after, self.rows)
        return {
            "foreign_keys": [
                {
                    "table": _name(row[0], row[1]),
                    "constraint": printable(row[2], limit=100),
                    "definition": printable(row[3], limit=200),
                    "rows": row[4],
                }
                for row in keys
            ],
            "scanned": scanned,
            "heavy": [one for one in scanned if one["scans"] >= HEAVY],
            "watched_s": float(self.watch),
            "invalid": [_name(row[0], row[2]) for row in indexes if not row[6]][:MOST_ROWS],
            "unused": [
                {"index": _name(row[0], row[2]), "table": _name(row[0], row[1]), "bytes": row[4]}
                for row in indexes
                if not row[3] and not row[5] and row[4] >= self.unused_from
            ][:MOST_ROWS],
            "bloated": [
                {
                    "table": _name(row[1], row[2]),
                    "dead_rows": row[7],
                    "live_rows": row[6],
                    "bytes": row[8],
                    "dead_percent": round(100 * row[7] / (row[6] + row[7]), 1),
                }
                for row in after.values()
                if row[7] * 4 >= row[6] >= max(1, self.rows)
            ][:MOST_ROWS],
        }

    def _scans(self, session: Connection) -> dict[str, Any]:
        session.execute("SELECT pg_catalog.pg_stat_clear_snapshot()")
        return {row[0]: row for row in session.execute(_SCANS).fetchall()}


def _name(schema: str, name: str) -> str:
    return printable(name if schema == "public" else f"{schema}.{name}", limit=130)


def _scanned(before: dict[str, Any], after: dict[str, Any], least: int) -> list[dict[str, Any]]:
    """Tables of ``least`` rows or more that were read from end to end at least once between two counts."""
    found = []
    for key in before.keys() & after.keys():
        scans, rows = (after[key][column] - before[key][column] for column in (3, 4))
        live = max(after[key][6], after[key][9]) or rows // max(1, scans)
        if live >= max(1, least) and rows >= live:
            found.append(
                {"table": _name(after[key][1], after[key][2]), "rows_read": rows, "live_rows": live, "scans": scans}
            )
    return sorted(found, key=lambda one: -int(one["rows_read"]))[:MOST_ROWS]
