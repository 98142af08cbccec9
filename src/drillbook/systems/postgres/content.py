"""The content of a database in one snapshot: rows and digest of every table, state of every sequence.

The digest of a table is a sum over its rows, so it does not depend on their order, and unlike an exclusive or it sees
a pair of equal rows. Rows are hashed as text: the faster hash of a record depends on internal numbers of enum types,
which a restore changes.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.systems.postgres import connection as connections
from drillbook.systems.postgres.bounded import Bounded
from drillbook.systems.postgres.connection import Connection, watched
from drillbook.systems.postgres.manifest import OWN_SCHEMA, Sequence_, Table
from drillbook.systems.postgres.service import Postgres

WORKERS = 2
CHUNK = 128 << 20

# Everything that decides how a value is written as text.
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
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relkind, n.nspname, pg_catalog.pg_relation_size(c.oid)
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

_DIGEST = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(("_row_".*)::text, 0)), 0)
FROM ONLY {table} AS "_row_" {where}
"""

_LARGE_OBJECTS = """
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(
  oid::text || ' ' || pg_catalog.md5(pg_catalog.lo_get(oid)), 0)), 0)
FROM pg_catalog.pg_largeobject_metadata
"""
LARGE_OBJECTS = "pg_catalog.pg_largeobject"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the database that several sessions see; it lives as long as its ``owner``'s transaction."""

    service: Postgres
    address: str
    port: int
    name: str
    at: str
    owner: Connection
    deadline: Deadline

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """One more session in the snapshot."""
        options = connections.parameters(self.service, self.address, self.port, as_user=False, timeout=connections.CONNECT_S)
        with Bounded.connect(**options) as connection, watched(connection, self.deadline):
            _begin(connection)
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.name)))
            _pin(connection)
            yield connection


@contextmanager
def snapshot(ctx: Context, service: Postgres) -> Iterator[Snapshot]:
    """Export a snapshot and keep it. Raises psycopg.Error, HostError."""
    with ctx.reach(service) as (address, port):
        options = connections.parameters(service, address, port, as_user=False, timeout=connections.CONNECT_S)
        with Bounded.connect(**options) as owner, watched(owner, ctx.deadline):
            _begin(owner)
            name, at = connections.one(
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
    """A table or a materialized view; ``name`` is quoted as SQL writes it."""

    name: str
    kind: str
    schema: str
    bytes: int


def relations(snap: Snapshot) -> list[Relation]:
    """The relations that have rows, largest first, except those of extensions."""
    return [
        Relation(str(name), _letter(kind), str(schema), int(size))
        for name, kind, schema, size in snap.owner.execute(_TABLES, ()).fetchall()
    ]


def _letter(kind: str | bytes) -> str:
    return kind.decode() if isinstance(kind, bytes) else kind


def hold(snap: Snapshot, found: list[Relation]) -> None:
    """Keep the tables from being dropped, truncated or changed in form until the snapshot ends."""
    names = [sql.SQL(one.name) for one in found if one.kind == "r"]  # quoted by the server
    if names:
        snap.owner.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(names)))


def sequences(snap: Snapshot) -> list[Sequence_]:
    """State of every sequence; not part of the snapshot, because sequences belong to no transaction."""
    found = []
    for name, increment, cycle in snap.owner.execute(_SEQUENCES, (OWN_SCHEMA,)).fetchall():
        last, called = connections.one(snap.owner, sql.SQL("SELECT last_value, is_called FROM {}").format(sql.SQL(name)))
        found.append(Sequence_(name=name, last_value=str(last), is_called=called, increment=str(increment), cycle=cycle))
    return found


def tables(snap: Snapshot, found: list[Relation]) -> list[Table]:
    """Rows and digest of ``found``, read by several sessions at once; sorted by name. Raises psycopg.Error."""
    work: queue.SimpleQueue[tuple[str, str, sql.Composable]] = queue.SimpleQueue()
    block = int(connections.one(snap.owner, "SELECT pg_catalog.current_setting('block_size')::int")[0])
    for one in found:
        for where in _ranges(one, block):
            work.put((one.name, one.kind, where))
    work.put((LARGE_OBJECTS, "l", sql.SQL("")))
    rows: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    sizes = {LARGE_OBJECTS: 0} | {one.name: one.bytes for one in found}
    lock = threading.Lock()
    failed = threading.Event()

    def read() -> None:
        with snap.session() as session:
            while not failed.is_set():
                try:
                    name, kind, where = work.get_nowait()
                except queue.Empty:
                    return
                count, total = _measure(session, name, kind, where)
                with lock:
                    rows[name] += count
                    sums[name] += total

    _in_parallel(read, failed)
    kinds = {one.name: one for one in found}
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
    for one in done:
        one.result()


def _table(name: str, relation: Relation | None, rows: int, total: int, size: int) -> Table:
    if relation is not None and relation.kind == "m":
        return Table(name=name, rows=rows, digest=None, bytes=size, note="a materialized view, recomputed by the restore")
    if relation is not None and relation.schema == OWN_SCHEMA:
        return Table(name=name, rows=rows, digest=None, bytes=size, note="the canary of the drill, measured apart")
    return Table(name=name, rows=rows, digest=format(total % 2**64, "016x"), bytes=size)


def _ranges(one: Relation, block: int) -> Iterator[sql.Composable]:
    """Conditions that cut a large table into pieces, so that sessions share it."""
    pages, step = one.bytes // block, CHUNK // block
    if one.kind != "r" or pages <= step:
        yield sql.SQL("")
        return
    for first in range(0, pages, step):
        low = sql.SQL("WHERE ctid >= {}::pg_catalog.tid").format(sql.Literal(f"({first},0)"))
        high = sql.SQL(" AND ctid < {}::pg_catalog.tid").format(sql.Literal(f"({first + step},0)"))
        yield low if first + step >= pages else low + high


def _measure(session: Connection, name: str, kind: str, where: sql.Composable) -> tuple[int, int]:
    if kind == "l":
        count, total = connections.one(session, _LARGE_OBJECTS)
        return int(count), int(total)
    table = sql.SQL(name)  # quoted by the server
    if kind == "m":
        populated = connections.one(session, "SELECT relispopulated FROM pg_catalog.pg_class WHERE oid = %s::regclass", name)
        if not populated[0]:
            return 0, 0
        return int(connections.one(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(table))[0]), 0
    count, total = connections.one(session, sql.SQL(_DIGEST).format(table=table, where=where))
    return int(count), int(total)
