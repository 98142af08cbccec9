"""Operations on one table of a database: parse its name, test whether it exists, refuse its writers and admit them again.

A closed table has a trigger that refuses every write. Reads are permitted. The trigger is the only record that a table is
closed. The function that the trigger calls is in Drillbook's own schema, which is never compared with a backup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import sql

from drillbook.sdk.action import NARROWED
from drillbook.systems.postgres.connection import Connection, first_row
from drillbook.systems.postgres.manifest import OWN_SCHEMA, Table

TRIGGER = "drillbook_closed"
_PART = r'("(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
_NAME = re.compile(rf"\s*(?:{_PART}\.)?{_PART}\s*")

_CLOSED = """
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %s AND c.relname = %s AND t.tgname = %s)
"""

_EXISTS = """
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %s AND c.relname = %s)
"""

_OPEN_FUNCTION = f"""
CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA};
CREATE OR REPLACE FUNCTION {OWN_SCHEMA}.closed() RETURNS pg_catalog.trigger LANGUAGE plpgsql AS $closed$ BEGIN
  RAISE EXCEPTION 'table %.% takes no writes until its restore is verified', TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'read_only_sql_transaction', HINT = 'postgres.admit_table lets the writers in';
END $closed$;
"""


@dataclass(frozen=True, slots=True)
class Name:
    """Schema and name of a table, without SQL quotes."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the name of a table in SQL syntax. The default schema is ``public``. Raises ValueError when the text is
        not such a name.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not the name of a table; write it in SQL syntax: `orders` or `sales.orders`")
        return cls(_plain(match[1] or "public"), _plain(match[2]))

    @property
    def sql(self) -> sql.Composable:
        """Name as an object from which SQL statements can be composed."""
        return sql.Identifier(self.schema, self.table)

    @property
    def quoted(self) -> str:
        """Name as SQL text in which schema and table are always quoted."""
        return self.sql.as_string(None)

    @property
    def listed(self) -> str:
        """Name in the format of pg_restore's list: schema and table separated by a space."""
        return f"{self.schema} {self.table}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def _plain(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()


def chosen(tables: Sequence[Table], wanted: Sequence[str]) -> tuple[list[Table], list[str]]:
    """Return two lists. The first contains each table with a name in ``wanted``. The second contains each name in ``wanted``
    without a table.

    Raises ValueError when a text in ``wanted`` is not the name of a table.
    """
    known = {Name.parse(table.name): table for table in tables if _NAME.fullmatch(table.name)}
    names = [Name.parse(text) for text in wanted]
    unknown = [str(name) for name in names if name not in known]
    return [known[name] for name in dict.fromkeys(names) if name in known], unknown


def exists(session: Connection, name: Name) -> bool:
    """Return True when a relation of that name exists. Raises psycopg.Error."""
    return bool(first_row(session, _EXISTS, name.schema, name.table)[0])


def closed(session: Connection, name: Name) -> bool:
    """Return True while writers of the table are refused. Raises psycopg.Error."""
    return bool(first_row(session, _CLOSED, name.schema, name.table, TRIGGER)[0])


def closing(names: Sequence[Name]) -> sql.Composable:
    """Return SQL statements that close the tables ``names``.

    The tables refuse writers as soon as the transaction that ran these statements is committed.
    """
    each = [
        sql.SQL(
            "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION {schema}.closed();\nALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger};\n"
        ).format(trigger=sql.Identifier(TRIGGER), table=name.sql, schema=sql.Identifier(OWN_SCHEMA))
        for name in names
    ]
    return sql.SQL(_OPEN_FUNCTION) + sql.Composed(each)


_ALL_CLOSED = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgname = %s AND t.tgparentid = 0
"""


def open_up(session: Connection) -> list[Name]:
    """Admit writers to every closed table, and return the names of these tables. Raises psycopg.Error.

    It does no harm to call this function twice.
    """
    names = [Name(schema, table) for schema, table in session.execute(_ALL_CLOSED, (TRIGGER,)).fetchall()]
    for name in names:
        session.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(TRIGGER), name.sql))
    session.execute(sql.SQL("DROP FUNCTION IF EXISTS {}.closed()").format(sql.Identifier(OWN_SCHEMA)))
    with suppress(psycopg.errors.DependentObjectsStillExist, psycopg.errors.InvalidSchemaName):
        session.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(OWN_SCHEMA)))
    return names


def counted(fact: str, service: str, name: Name, rows: int | None, where: str = "") -> dict[str, Any]:
    """Return two facts about removed or restored rows of a table. The first fact is ``table``, the name of the table.

    ``fact``: name of the second fact. Its value is a mapping with one entry, from a text with the table, the service and the
    condition to the number of rows. ``rows``: number of rows. When it is None (unknown), the second fact is left out.
    ``where``: condition that the rows meet, or empty for all rows.
    """
    kind = f"rows of {name} in {service}" + (f"{NARROWED}{' '.join(where.split())}" if where else "")
    return {"table": str(name)} | ({} if rows is None else {fact: {kind: rows}})
