"""Keeping clients out of a database, and letting them in again.

A database that is being restored bears a provisional name until it is whole: whoever asks for it meanwhile finds none,
never an empty one. From then on a connection limit of 0 keeps out everybody but superusers. The limit to go back to, and
the step of the run that restored it, are kept with the database itself, as its own settings, so that they are known
whoever opens it, from wherever.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

from psycopg import sql

from drillbook.systems.postgres.connection import Connection, one

_STATE = """
WITH own AS (
  SELECT s.setdatabase, pg_catalog.split_part(x, '=', 1) AS name, pg_catalog.split_part(x, '=', 2) AS value
  FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS x WHERE s.setrole = 0 AND x LIKE 'drillbook.%%')
SELECT d.datconnlimit,
       (SELECT value::int FROM own WHERE setdatabase = d.oid AND name = 'drillbook.connection_limit'),
       (SELECT value FROM own WHERE setdatabase = d.oid AND name = 'drillbook.restored_by')
FROM pg_catalog.pg_database d WHERE d.datname = %s
"""

_LOCK = 0x64726C6C
"""Class of the advisory locks of those who make a database."""
_END_OTHERS = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid = %s AND objid = %s AND granted
  AND pid <> pg_catalog.pg_backend_pid()
"""


def exists(session: Connection, database: str) -> bool:
    """Is there a database of that name? Raises psycopg.Error."""
    return session.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (database,)).fetchone() is not None


def closed(session: Connection, database: str) -> bool:
    """True while ``database`` is there and keeps clients out because a restore made it so. Raises psycopg.Error."""
    found = session.execute(_STATE, (database,)).fetchone()
    return found is not None and found[0] == 0 and found[1] is not None


def restored_by(session: Connection, database: str) -> str:
    """The run and step that restored the ``closed`` database, whole; empty where it does not say. Raises psycopg.Error."""
    found = session.execute(_STATE, (database,)).fetchone()
    return str(found[2] or "") if found else ""


def create_closed(session: Connection, database: str, by: str, limit: int, properties: sql.Composable) -> str:
    """Make ``database`` under a provisional name, which is returned, and keep clients out of it. Raises psycopg.Error.

    ``by`` is the run and the step that make it; ``limit`` is what ``open_up`` goes back to. What the same run left when
    its controller died is dropped first, and a statement of it that still runs is ended.
    """
    _alone(session, int(sha256(database.encode()).hexdigest()[:7], 16))
    run = by.partition(" ")[0]
    drop_provisional(session, database, run)
    name = provisional_name(database, run)
    provisional = sql.Identifier(name)
    session.execute(sql.SQL("CREATE DATABASE {} CONNECTION LIMIT 0 ").format(provisional) + properties)
    for setting, value in (("connection_limit", str(limit)), ("restored_by", by)):
        session.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                provisional, sql.Identifier("drillbook", setting), sql.Literal(value)
            )
        )
    return name


def naming(provisional: str, database: str) -> sql.Composable:
    """The statement that gives a database which is whole its name."""
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(provisional), sql.Identifier(database))


def _alone(session: Connection, key: int) -> None:
    """Be the one session that makes this database, until it ends: no other follows from the one before."""
    session.execute(_END_OTHERS, (_LOCK, key))
    session.execute("SELECT pg_catalog.pg_advisory_lock(%s::int, %s::int)", (_LOCK, key))


def provisional_name(database: str, run: str) -> str:
    """A name for ``database`` while ``run`` restores it: no longer than the server takes, and never given twice."""
    return f"{_provisional(database, run)}{secrets.token_hex(3)}"


def provisional(session: Connection, database: str, run: str) -> list[str]:
    """Databases that ``run`` began to restore as ``database`` and did not bring to their end. Raises psycopg.Error."""
    query = "SELECT datname FROM pg_catalog.pg_database WHERE pg_catalog.starts_with(datname, %s) ORDER BY 1"
    return [str(name) for (name,) in session.execute(query, (_provisional(database, run),)).fetchall()]


def drop_provisional(session: Connection, database: str, run: str) -> list[str]:
    """Drop what ``run`` half made of ``database``; returns the names. Raises psycopg.Error."""
    names = provisional(session, database, run)
    for name in names:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    return names


def _provisional(database: str, run: str) -> str:
    """Beginning of the provisional names that ``run`` gives to ``database``."""
    one, two = (sha256(text.encode()).hexdigest()[:6] for text in (database, run))
    return f"{database.encode()[:24].decode('utf-8', 'ignore')}~restoring~{one}~{two}~"


def open_up(session: Connection, database: str, limit: int | None = None) -> int:
    """Let clients in and return the limit now: ``limit``, or the one from before, or none; safe to call twice.

    Raises psycopg.Error.
    """
    current, kept, _ = one(session, _STATE, database)
    name = sql.Identifier(database)
    wanted = limit if limit is not None else kept if kept is not None else current if current != 0 else -1
    session.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.SQL(str(int(wanted)))))
    for setting in ("connection_limit", "restored_by"):
        session.execute(sql.SQL("ALTER DATABASE {} RESET {}").format(name, sql.Identifier("drillbook", setting)))
    return int(wanted)
