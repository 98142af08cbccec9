"""Finds the tables of canaries in a database before a restore, and creates them again after the restore. A canary is a probe
that writes numbered rows during a drill.

The drill creates these tables, so a backup that the team took before the drill lacks them. Without its table, a canary could
not write after the restore, and the drill would not notice that the service has recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg import sql

from drillbook.sdk.in_place import CANARY_COLUMNS
from drillbook.systems.postgres.connection import Connection
from drillbook.systems.postgres.manifest import OWN_SCHEMA

TABLE = f"{OWN_SCHEMA}.canary"
PREPARE = (
    f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}",
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (run text NOT NULL, number bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, number))""",
)
"""Statements that create the table of `postgres.canary`."""
GRANTS = (f"GRANT USAGE ON SCHEMA {OWN_SCHEMA} TO {{}}", f"GRANT SELECT, INSERT ON {TABLE} TO {{}}")
"""Statements that allow a role to write to the table of `postgres.canary`."""
LIKE_CANARY = f"""
  ARRAY(SELECT a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
  = ARRAY['{CANARY_COLUMNS[0]} character varying(100)', '{CANARY_COLUMNS[1]} integer']
  AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p' AND k.conkey = '{{1,2}}')
"""  # noqa: S608  only constants are inserted
"""SQL condition that is true when the table ``c`` was created by `sql.canary`.

A drill can choose the name of such a table. Therefore the table is recognised by its columns, their types, and its
primary key. A team's own table whose columns only have the same names does not match.
"""
_TABLES = f"""
SELECT n.nspname::text, c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND (n.nspname = '{OWN_SCHEMA}' AND c.relname = 'canary' OR {LIKE_CANARY})
"""  # noqa: S608  only constants are inserted
_CREATE = "CREATE TABLE IF NOT EXISTS {} ({} VARCHAR(100) NOT NULL, {} INTEGER NOT NULL, PRIMARY KEY ({}, {}))"


def listed(session: Connection) -> list[tuple[str, str, str]]:
    """Return schema, name and owner of each table to which a canary writes in the database. Raises psycopg.Error."""
    return [(str(schema), str(name), str(owner)) for schema, name, owner in session.execute(_TABLES).fetchall()]


def create(session: Connection, tables: Sequence[Sequence[str]], user: str) -> None:
    """Create each table in ``tables`` that is missing. Raises psycopg.Error.

    ``user``: the application's role, which gets the right to write to the table of `postgres.canary`. If the restored
    cluster lacks this role, nobody gets the right. If it lacks the owner of a table, the owner is not set. If it lacks the
    schema of a table, the table is not created.
    """
    session.execute("SET client_min_messages = warning")
    for schema, name, owner in tables:
        if schema == OWN_SCHEMA:
            for statement in PREPARE:
                session.execute(statement.encode())
            with suppress(psycopg.errors.UndefinedObject):
                for grant in GRANTS:
                    session.execute(sql.SQL(grant).format(sql.Identifier(user)))
            continue
        table, columns = sql.Identifier(schema, name), [sql.Identifier(column) for column in CANARY_COLUMNS]
        with suppress(psycopg.errors.UndefinedObject, psycopg.errors.InvalidSchemaName):
            session.execute(sql.SQL(_CREATE).format(table, *columns, *columns))
            session.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, sql.Identifier(owner)))
