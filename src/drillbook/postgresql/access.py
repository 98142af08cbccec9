"""Keeping clients out of a database, and letting them in again.

A connection limit of 0 keeps out everybody but superusers. The limit to go back to is kept with the database itself, as
its own setting, so that it is known whoever opens it, from wherever.
"""

from __future__ import annotations

from hashlib import sha256

from psycopg import sql

from drillbook.postgresql.connection import Connection, one

_STATE = """
SELECT d.datconnlimit, (
  SELECT pg_catalog.split_part(x, '=', 2)::int FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS x
  WHERE s.setdatabase = d.oid AND s.setrole = 0 AND x LIKE 'drillbook.connection\\_limit=%%')
FROM pg_catalog.pg_database d WHERE d.datname = %s
"""

_LOCK = 0x64726C6C
"""Class of the advisory locks of those who make a database."""
_END_OTHERS = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid = %s AND objid = %s AND granted
  AND pid <> pg_catalog.pg_backend_pid()
"""


def closed(session: Connection, database: str) -> bool:
    """True while ``database`` is there and keeps clients out because of ``close``. Raises psycopg.Error."""
    found = session.execute(_STATE, (database,)).fetchone()
    return found is not None and found[0] == 0 and found[1] is not None


def create_closed(session: Connection, database: str, limit: int, properties: sql.Composable) -> None:
    """Make ``database`` and keep clients out of it; ``limit`` is what ``open_up`` goes back to. Raises psycopg.Error.

    There is no database of that name before it is closed and says so itself: it is made under a provisional name. One
    that a controller left which died meanwhile is dropped first, and a statement of it that still runs is ended.
    """
    provisional, name = sql.Identifier(provisional_name(database)), sql.Identifier(database)
    _alone(session, int(sha256(database.encode()).hexdigest()[:7], 16))
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(provisional))
    session.execute(sql.SQL("CREATE DATABASE {} CONNECTION LIMIT 0 ").format(provisional) + properties)
    session.execute(sql.SQL("ALTER DATABASE {} SET drillbook.connection_limit = {}").format(
        provisional, sql.Literal(str(limit))))
    session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(provisional, name))


def _alone(session: Connection, key: int) -> None:
    """Be the one session that makes this database, until it ends: no other follows from the one before."""
    session.execute(_END_OTHERS, (_LOCK, key))
    session.execute("SELECT pg_catalog.pg_advisory_lock(%s::int, %s::int)", (_LOCK, key))


def provisional_name(database: str) -> str:
    """The name of ``database`` while it is made: no longer than the server takes, and no other's."""
    return f"{database.encode()[:40].decode('utf-8', 'ignore')}~{sha256(database.encode()).hexdigest()[:6]}~drillbook"


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
