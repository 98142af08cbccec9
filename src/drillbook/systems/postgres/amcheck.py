"""Checks every B-tree and GIN index and every table of a database with PostgreSQL's extension amcheck.

A check of an index reads the whole index. When ``heap`` is true, the check also looks up every row of the table in the
index. The database is not changed: if the extension is missing, it is created in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from drillbook.errors import CouldNotVerify
from drillbook.findings import Finding, finding
from drillbook.language.lists import listed
from drillbook.systems.postgres.connection import Connection, first_row, reason

MOST_MESSAGES = 3
"""Maximum number of messages about a table that are quoted in the finding for this table."""
_INSTALLED = """
SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'amcheck'
"""
_AVAILABLE = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck'"
_FUNCTIONS = """
SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
  AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'amcheck'
"""
_INDEXES = """
SELECT c.oid::bigint, c.oid::pg_catalog.regclass::text, a.amname::text, i.indisvalid AND i.indisready
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE c.relkind = 'i' AND c.relpersistence <> 't' ORDER BY c.relpages, 2
"""
_TABLES = """
SELECT c.oid::bigint, c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't' AND a.amname = 'heap' ORDER BY c.relpages, 2
"""
# The functions return the present version of a collation's library; those for databases exist since version 15.
_COLLATIONS = """
SELECT 'collation ' || c.oid::pg_catalog.regcollation::text, c.collversion, pg_catalog.pg_collation_actual_version(c.oid)
FROM pg_catalog.pg_collation c
WHERE c.collversion IS DISTINCT FROM pg_catalog.pg_collation_actual_version(c.oid) AND c.collversion IS NOT NULL
"""
_DATABASE = """
SELECT 'database ' || pg_catalog.quote_ident(d.datname), d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid)
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND d.datcollversion IS NOT NULL
  AND d.datcollversion IS DISTINCT FROM pg_catalog.pg_database_collation_actual_version(d.oid)
"""


@dataclass(slots=True)
class Checked:
    """Result of the checks: the numbers of checked indexes and tables, and the findings.

    ``not_covered``: numbers of indexes and tables that were not checked. The key of each entry is the reason.
    """

    indexes: int = 0
    tables: int = 0
    findings: list[Finding] = field(default_factory=list)
    not_covered: dict[str, int] = field(default_factory=dict)

    def leave(self, why: str) -> None:
        """Count one more table or index that was not checked. ``why``: the reason."""
        self.not_covered[why] = self.not_covered.get(why, 0) + 1


@dataclass(frozen=True, slots=True)
class Amcheck:
    """Extension amcheck, as seen by one session.

    ``borrowed`` is true when the session has created the extension in a transaction that will be rolled back.
    """

    session: Connection
    schema: str
    functions: frozenset[str]
    borrowed: bool

    def check(self, *, heap: bool) -> Checked:
        """Check every index and table of the database. Raises psycopg.Error when the connection is lost."""
        result = Checked()
        for oid, name, method, usable in self.session.execute(_INDEXES).fetchall():
            if method not in ("btree", "gin"):
                result.leave(f"indexes of the method {method}")
            elif not usable:
                result.leave("indexes that are not valid")
            else:
                self._index(result, int(oid), str(name), str(method), heap=heap)
        for oid, name in self.session.execute(_TABLES).fetchall():
            self._table(result, int(oid), str(name))
        return result

    def _index(self, result: Checked, oid: int, name: str, method: str, *, heap: bool) -> None:
        if method == "gin" and "gin_index_check" not in self.functions:
            result.leave("indexes of the method gin, because this version of amcheck cannot check them")
            return
        call = f"gin_index_check({oid})" if method == "gin" else f"bt_index_check({oid}, {str(heap).lower()})"
        said = self._said(result, oid, call)
        if said is not None:
            result.indexes += 1
        if said:
            result.findings.append(
                finding("index-corrupt", title=name, wanted="an index that agrees with its table", measured=said[0])
            )

    def _table(self, result: Checked, oid: int, name: str) -> None:
        if "verify_heapam" not in self.functions:
            result.leave("tables, because this version of amcheck cannot check them")
            return
        said = self._said(result, oid, f"verify_heapam({oid})")
        if said is not None:
            result.tables += 1
        if said:
            measured = listed(said, MOST_MESSAGES, "; ")
            result.findings.append(finding("heap-corrupt", title=name, wanted="a table without damage", measured=measured))

    def _said(self, result: Checked, oid: int, call: str) -> list[str] | None:
        """Check the relation ``oid``, and return the server's messages about damage.

        Return None when the relation could not be checked or was dropped meanwhile.
        """
        query = sql.SQL("SELECT x::text FROM {}.{} AS x").format(sql.SQL(self.schema), sql.SQL(call))
        if self.borrowed:
            self.session.execute("SAVEPOINT checked")
        try:
            return [text for (text,) in self.session.execute(query).fetchall() if text]
        except (
            psycopg.errors.InternalError,
            psycopg.DataError,
            psycopg.ProgrammingError,
            psycopg.NotSupportedError,
        ) as error:
            if self.borrowed:
                self.session.execute("ROLLBACK TO SAVEPOINT checked")
            if not first_row(self.session, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE oid = %s", oid)[0]:
                return None  # a client dropped it meanwhile
            if isinstance(error, psycopg.errors.InternalError):
                return [reason(error)]
            result.leave(f"tables or indexes that the server could not check: {reason(error)}")
            return None


@contextmanager
def opened(session: Connection, *, borrow: bool) -> Iterator[Amcheck]:
    """Yield the extension amcheck for the ``with`` block.

    If the extension is not installed and ``borrow`` is true, create the extension in a transaction, and roll the
    transaction back after the block. Raises CouldNotVerify when the extension is not installed and cannot be created.
    Raises psycopg.Error when the server reports an error.
    """
    session.execute("SET search_path TO ''")
    installed = need(session, borrow=borrow)
    try:
        if installed is None:
            session.execute("BEGIN")
            session.execute("CREATE EXTENSION amcheck SCHEMA pg_catalog")
        schema = str(installed[0]) if installed else "pg_catalog"
        functions = frozenset(str(name) for (name,) in session.execute(_FUNCTIONS).fetchall())
        yield Amcheck(session, schema, functions, borrowed=installed is None)
    finally:
        if installed is None and not session.closed:
            session.execute("ROLLBACK")


def need(session: Connection, *, borrow: bool) -> tuple[Any, ...] | None:
    """Return a row with the schema of the extension amcheck. Return None when the extension is not installed but can be
    created.

    If ``borrow`` is false, the extension must be installed. Raises CouldNotVerify when the extension is missing and cannot
    or must not be created, and psycopg.Error when the server reports an error.
    """
    installed = session.execute(_INSTALLED).fetchone()
    if installed is None and not borrow:
        raise CouldNotVerify(
            "the extension amcheck is not installed in the database",
            hint="run CREATE EXTENSION amcheck, or set `borrow: true` to create it in a transaction that is rolled back",
        )
    if installed is None and not first_row(session, _AVAILABLE)[0]:
        raise CouldNotVerify(
            "the extension amcheck is not available on the server",
            hint="install PostgreSQL's contrib modules on the server's host",
        )
    return installed


def collations(session: Connection) -> list[Finding]:
    """Return a finding for each collation whose recorded version differs from the version of the library.

    Raises psycopg.Error.
    """
    session.execute("SET search_path TO ''")
    rows = session.execute(_COLLATIONS).fetchall()
    if session.info.server_version >= 150000:
        rows += session.execute(_DATABASE).fetchall()
    return [
        finding("collation-version", title=name, wanted=f"version {before}", measured=f"version {now or 'unknown'}")
        for name, before, now in rows
    ]
