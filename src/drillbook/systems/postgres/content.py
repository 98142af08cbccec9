"""Reads the content of a database in one snapshot: row count and digest of every table, and state of every sequence.

The digest of a table is the sum of the hashes of its rows. This sum does not depend on the order of the rows. Unlike an
XOR, it changes when a pair of equal rows is added. Rows are hashed as text. The hash of a record would be faster, but it
depends on the OIDs of enum types, and a restore changes these OIDs.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.systems.postgres.connection import Connection, first_row, session_at, way
from drillbook.systems.postgres.manifest import OWN_SCHEMA, Sequence_, Table
from drillbook.systems.postgres.service import Postgres

WORKERS = 2
CHUNK = 128 << 20

# All session settings that change how a value is written as text.
SETTINGS = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "search_path": "",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "quote_all_identifiers": "off",
}

_TABLES = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relkind, n.nspname, pg_catalog.pg_relation_size(c.oid),
  (SELECT pg_catalog.array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND EXISTS (
     SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
     WHERE i.inhrelid = c.oid AND p.relkind <> 'p'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 4 DESC, 1
"""

_SEQUENCES = """
SELECT pg_catalog.format('%%I.%%I', s.schemaname, s.sequencename), s.increment_by, s.cycle
FROM pg_catalog.pg_sequences s WHERE s.schemaname !~ '^pg_' AND s.schemaname <> %s ORDER BY 1
"""

DIGEST = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(("_row_".*)::text, 0)), 0)
FROM ONLY {table} AS "_row_" {where}
"""
_DIGEST_OF_ROW = DIGEST.replace('("_row_".*)', "({row})")

_LARGE_OBJECTS = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(
  oid::text || ' ' || pg_catalog.md5(pg_catalog.lo_get(oid)), 0)), 0)
FROM pg_catalog.pg_largeobject_metadata
"""
LARGE_OBJECTS = "pg_catalog.pg_largeobject"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Snapshot of the database that several sessions share. The snapshot is valid until the transaction of ``owner``
    ends.
    """

    service: Postgres
    address: str
    port: int
    name: str
    at: str
    owner: Connection
    deadline: Deadline

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Open another session that reads the same snapshot."""
        with session_at(self.service, self.address, self.port, self.deadline) as connection:
            _begin(connection)
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.name)))
            _pin(connection)
            yield connection


@contextmanager
def snapshot(ctx: Context, service: Postgres) -> Iterator[Snapshot]:
    """Export a snapshot that is valid during the ``with`` block.

    Raises psycopg.Error when a query fails, and HostError when the host cannot be used.
    """
    with way(ctx, service) as (address, port), session_at(service, address, port, ctx.deadline) as owner:
        _begin(owner)
        name, at = first_row(
            owner,
            "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.to_char(pg_catalog.timezone('UTC', "
            'pg_catalog.clock_timestamp()), \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')',
        )
        _pin(owner)
        yield Snapshot(service, address, port, name, at, owner, ctx.deadline)


def _begin(connection: Connection) -> None:
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")


def _pin(connection: Connection) -> None:
    query = sql.SQL("SELECT ") + sql.SQL(", ").join(
        sql.SQL("pg_catalog.set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in SETTINGS.items()
    )
    connection.execute(query)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a materialized view. ``name`` is quoted for SQL.

    ``columns``: names of the columns in alphabetical order, but only for a table that inherits from another table. A
    restore may change the order of columns in such a table, because it puts the inherited columns first. Therefore the
    digest of such a table uses the alphabetical order.
    """

    name: str
    kind: str
    schema: str
    bytes: int
    columns: tuple[str, ...] = ()


def relations(snap: Snapshot) -> list[Relation]:
    """Return all relations that can hold rows, the largest first. Relations of extensions are left out."""
    return [
        Relation(str(name), _letter(kind), str(schema), int(size), tuple(sorted(columns or ())))
        for name, kind, schema, size, columns in snap.owner.execute(_TABLES, ()).fetchall()
    ]


def as_recorded(listed: Sequence[Relation], wanted: Sequence[Table]) -> list[Relation]:
    """Return the relations ``listed`` with the order of columns that the digests in a backup need. ``wanted``: tables of the
    backup.

    A digest depends on the order of columns. ``columns`` of a relation are in alphabetical order. They are kept if the digest
    in the backup was computed in this order. For any other relation, ``columns`` is made empty, and the columns are read in the
    order of the server.
    """
    ordered = {table.name for table in wanted if table.columns}
    return [relation if relation.name in ordered else replace(relation, columns=()) for relation in listed]


def row_of(columns: Sequence[str]) -> sql.Composable:
    """Return SQL for a row with the given ``columns``, or with all columns of the table in order if ``columns`` is empty.

    The digest of a table is computed from such rows.
    """
    if not columns:
        return sql.SQL('"_row_".*')
    return sql.SQL("ROW({})").format(sql.SQL(", ").join(sql.Identifier("_row_", column) for column in columns))


def _letter(kind: str | bytes) -> str:
    return kind.decode() if isinstance(kind, bytes) else kind


def hold(snap: Snapshot, listed: list[Relation]) -> None:
    """Lock the tables, so that nobody can drop, truncate or alter them until the snapshot ends."""
    names = [sql.SQL(relation.name) for relation in listed if relation.kind == "r"]  # the server has quoted the name
    if names:
        snap.owner.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names)))


def sequences(snap: Snapshot) -> list[Sequence_]:
    """Return the state of every sequence. The states may be newer than the snapshot, because sequences are not transactional."""
    states = []
    for name, increment, cycle in snap.owner.execute(_SEQUENCES, (OWN_SCHEMA,)).fetchall():
        last, called = first_row(snap.owner, sql.SQL("SELECT last_value, is_called FROM {}").format(sql.SQL(name)))
        states.append(Sequence_(name=name, last_value=str(last), is_called=called, increment=str(increment), cycle=cycle))
    return states


def tables(snap: Snapshot, listed: list[Relation]) -> list[Table]:
    """Return row count and digest of each table in ``listed``, sorted by name. Raises psycopg.Error when a query fails.

    Several sessions read the tables in parallel.
    """
    work: queue.SimpleQueue[tuple[Relation, sql.Composable]] = queue.SimpleQueue()
    block = int(first_row(snap.owner, "SELECT pg_catalog.current_setting('block_size')::int")[0])
    for relation in listed:
        for where in _ranges(relation, block):
            work.put((relation, where))
    work.put((Relation(LARGE_OBJECTS, "l", "pg_catalog", 0), sql.SQL("")))
    rows: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    sizes = {LARGE_OBJECTS: 0} | {relation.name: relation.bytes for relation in listed}
    lock = threading.Lock()
    failed = threading.Event()

    def read() -> None:
        with snap.session() as session:
            while not failed.is_set():
                try:
                    relation, where = work.get_nowait()
                except queue.Empty:
                    return
                count, total = _measure(session, relation, where)
                with lock:
                    rows[relation.name] += count
                    sums[relation.name] += total

    _in_parallel(read, failed)
    kinds = {relation.name: relation for relation in listed}
    return sorted(
        (_table(name, kinds.get(name), rows[name], sums[name], sizes[name]) for name in sizes), key=lambda table: table.name
    )


def _in_parallel(work: Any, failed: threading.Event) -> None:
    def guarded() -> None:
        try:
            work()
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="digest") as pool:
        done = [pool.submit(guarded) for _ in range(WORKERS)]
    for future in done:
        future.result()


def _table(name: str, relation: Relation | None, rows: int, total: int, size: int) -> Table:
    if relation is not None and relation.kind == "m":
        return Table(name=name, rows=rows, digest=None, bytes=size, note="a materialized view, recomputed by the restore")
    if relation is not None and relation.schema == OWN_SCHEMA:
        return Table(
            name=name, rows=rows, digest=None, bytes=size, note="the canary's own table, which is measured separately"
        )
    columns = (relation.columns if relation else ()) or None
    return Table(name=name, rows=rows, digest=format(total % 2**64, "016x"), bytes=size, columns=columns)


def _ranges(relation: Relation, block: int) -> Iterator[sql.Composable]:
    """Yield SQL conditions that divide a large table into parts, so that several sessions can read it."""
    pages, step = relation.bytes // block, CHUNK // block
    if relation.kind != "r" or pages <= step:
        yield sql.SQL("")
        return
    for first in range(0, pages, step):
        low = sql.SQL("WHERE ctid >= {}::pg_catalog.tid").format(sql.Literal(f"({first},0)"))
        high = sql.SQL(" AND ctid < {}::pg_catalog.tid").format(sql.Literal(f"({first + step},0)"))
        yield low if first + step >= pages else low + high


def _measure(session: Connection, relation: Relation, where: sql.Composable) -> tuple[int, int]:
    name, kind = relation.name, relation.kind
    if kind == "l":
        count, total = first_row(session, _LARGE_OBJECTS)
        return int(count), int(total)
    table = sql.SQL(name)  # the server has quoted the name
    if kind == "m":
        populated = first_row(session, "SELECT relispopulated FROM pg_catalog.pg_class WHERE oid = %s::regclass", name)
        if not populated[0]:
            return 0, 0
        return int(first_row(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(table))[0]), 0
    query = sql.SQL(_DIGEST_OF_ROW).format(table=table, where=where, row=row_of(relation.columns))
    count, total = first_row(session, query)
    return int(count), int(total)
