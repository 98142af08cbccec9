"""Read-only action that finds missing, broken and unused indexes and tables with many dead rows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import printable
from drillbook.systems.postgres.actions.reading.activity import MOST_ROWS, _Looking
from drillbook.systems.postgres.connection import Connection
from drillbook.values import Duration, Size

# Select each foreign key whose columns are not the first columns of a valid index, so that deletes and joins read the whole
# table.
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
"""A large table with at least this number of sequential scans during one observation probably lacks an index."""


class Indexes(_Looking):
    """Find missing, broken and unused indexes, and tables full of dead rows.

    Two things are signs of a missing index: a foreign key without an index, and sequential scans of a large table during
    the observation. The size of a table is its row count in the server's statistics. When a crash has erased the
    statistics, the size is the number of rows that one scan has read. The number of dead rows is an estimate.
    """

    rows: Annotated[int, Field(ge=0, description="Examine only tables with at least this many rows.")] = 10_000
    watch: Annotated[
        Duration, Field(ge=0, le=60, description="Duration of the observation, between two readings of the scan counters.")
    ] = Duration(2)
    unused_from: Annotated[Size, Field(ge=0, description="Report only unused indexes of at least this size.")] = Size(
        1 << 20
    )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``watched_s``: duration of the observation in seconds. All other facts are lists.

        ``foreign_keys``: foreign keys without an index. ``scanned``: tables with complete sequential scans during the
        observation. ``heavy``: tables with twenty or more such scans. ``invalid``: broken indexes. ``unused``: indexes not
        used since the statistics were reset. ``bloated``: tables in which a fifth or more of the rows are dead.
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
            "foreign_keys": list(map(_foreign_key, keys)),
            "scanned": scanned,
            "heavy": [table for table in scanned if table["scans"] >= HEAVY],
            "watched_s": float(self.watch),
            "invalid": [_name(row[0], row[2]) for row in indexes if not row[6]][:MOST_ROWS],
            "unused": [
                {"index": _name(row[0], row[2]), "table": _name(row[0], row[1]), "bytes": row[4]}
                for row in indexes
                if not row[3] and not row[5] and row[4] >= self.unused_from
            ][:MOST_ROWS],
            "bloated": [_bloated(row) for row in after.values() if row[7] * 4 >= row[6] >= max(1, self.rows)][:MOST_ROWS],
        }

    def _scans(self, session: Connection) -> dict[str, Any]:
        session.execute("SELECT pg_catalog.pg_stat_clear_snapshot()")
        return {row[0]: row for row in session.execute(_SCANS).fetchall()}


def _name(schema: str, name: str) -> str:
    return printable(name if schema == "public" else f"{schema}.{name}", limit=130)


def _foreign_key(row: tuple[Any, ...]) -> Facts:
    """Convert a row of the query ``_FOREIGN_KEYS`` to facts about a foreign key without an index."""
    return {
        "table": _name(row[0], row[1]),
        "constraint": printable(row[2], limit=100),
        "definition": printable(row[3], limit=200),
        "rows": row[4],
    }


def _bloated(row: tuple[Any, ...]) -> Facts:
    """Convert a row of the query ``_SCANS`` to facts about a table with many dead rows."""
    return {
        "table": _name(row[1], row[2]),
        "dead_rows": row[7],
        "live_rows": row[6],
        "bytes": row[8],
        "dead_percent": round(100 * row[7] / (row[6] + row[7]), 1),
    }


def _scanned(before: dict[str, Any], after: dict[str, Any], least: int) -> list[dict[str, Any]]:
    """Return the tables that were scanned completely between two readings of the counters, ``before`` and ``after``.

    Tables with fewer than ``least`` rows are left out.
    """
    scanned = []
    for key in before.keys() & after.keys():
        scans, rows = (after[key][column] - before[key][column] for column in (3, 4))
        live = max(after[key][6], after[key][9]) or rows // max(1, scans)
        if live >= max(1, least) and rows >= live:
            scanned.append(
                {"table": _name(after[key][1], after[key][2]), "rows_read": rows, "live_rows": live, "scans": scans}
            )
    return sorted(scanned, key=lambda table: -int(table["rows_read"]))[:MOST_ROWS]
