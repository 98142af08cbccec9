"""Keeping clients out of a database, and letting them in again.

A connection limit of 0 keeps out everybody but superusers. The limit to go back to is kept with the database itself, as
its own setting, so that it is known whoever opens it, from wherever.
"""

from __future__ import annotations

from psycopg import sql

from drillbook.postgresql.connection import Connection, one

_STATE = """
SELECT d.datconnlimit, (
  SELECT pg_catalog.split_part(x, '=', 2)::int FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS x
  WHERE s.setdatabase = d.oid AND s.setrole = 0 AND x LIKE 'drillbook.connection\\_limit=%%')
FROM pg_catalog.pg_database d WHERE d.datname = %s
"""


def closed(session: Connection, database: str) -> bool:
    """True while ``database`` is there and keeps clients out because of ``close``. Raises psycopg.Error."""
    found = session.execute(_STATE, (database,)).fetchone()
    return found is not None and found[0] == 0 and found[1] is not None


def close(session: Connection, database: str, limit: int) -> None:
    """Keep clients out of ``database`` from now on; ``limit`` is what ``open_up`` goes back to. Raises psycopg.Error."""
    name = sql.Identifier(database)
    session.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(name))
    session.execute(sql.SQL("ALTER DATABASE {} SET drillbook.connection_limit = {}").format(name, sql.Literal(str(limit))))


def open_up(session: Connection, database: str, limit: int | None = None) -> int:
    """Let clients in and return the limit now: ``limit``, or the one from before, or none; safe to call twice.

    Raises psycopg.Error.
    """
    current, kept = one(session, _STATE, database)
    name = sql.Identifier(database)
    wanted = limit if limit is not None else kept if kept is not None else current if current != 0 else -1
    session.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.SQL(str(int(wanted)))))
    session.execute(sql.SQL("ALTER DATABASE {} RESET drillbook.connection_limit").format(name))
    return int(wanted)
