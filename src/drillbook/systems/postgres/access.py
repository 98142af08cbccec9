"""Refuses clients of a database during its restore, and admits them afterwards.

Until the restore is complete, the database has a provisional name, so that no client finds an incomplete database. The
complete database gets its real name, but its connection limit of 0 refuses everybody except superusers until ``open_up``
is called. Two settings of the database (ALTER DATABASE ... SET) store facts for later runs: the original connection
limit, and the run and the step that restored the database.
"""

from __future__ import annotations

from hashlib import sha256

from psycopg import sql

from drillbook.sdk.random_names import fresh
from drillbook.systems.postgres.connection import Connection, first_row

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
"""First of the two keys of an advisory lock. This lock is held while a database is created."""
_END_OTHERS = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid = %s AND objid = %s AND granted
  AND pid <> pg_catalog.pg_backend_pid()
"""


def exists(session: Connection, database: str) -> bool:
    """Return True when the database exists. Raises psycopg.Error."""
    return session.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (database,)).fetchone() is not None


def closed(session: Connection, database: str) -> bool:
    """Return True while ``database`` exists and a restore keeps it closed to clients. Raises psycopg.Error."""
    row = session.execute(_STATE, (database,)).fetchone()
    return row is not None and row[0] == 0 and row[1] is not None


def restored_by(session: Connection, database: str) -> str:
    """Return the run and the step that restored the database, or an empty text when these are not recorded.

    Raises psycopg.Error.
    """
    row = session.execute(_STATE, (database,)).fetchone()
    return str(row[2] or "") if row else ""


def create_closed(session: Connection, database: str, by: str, limit: int, properties: sql.Composable) -> str:
    """Create ``database`` under a provisional name. Clients cannot connect to it. Return the provisional name. Raises
    psycopg.Error.

    ``by``: the run and the step that create the database; ``limit``: the connection limit that ``open_up`` sets later.

    If an earlier controller died while it created ``database``, its session may still be active on the server. Such a session
    is terminated first. Then the unfinished databases of this run are dropped.
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
    """Return the statement that renames a complete database from its provisional name to its real name."""
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(provisional), sql.Identifier(database))


def _alone(session: Connection, key: int) -> None:
    """Terminate all other sessions that hold the advisory lock for the creation of the database. Then take this lock."""
    session.execute(_END_OTHERS, (_LOCK, key))
    session.execute("SELECT pg_catalog.pg_advisory_lock(%s::int, %s::int)", (_LOCK, key))


def provisional_name(database: str, run: str) -> str:
    """Return a new provisional name for ``database`` while ``run`` restores it. The name is short enough for PostgreSQL."""
    return f"{_provisional(database, run)}{fresh(6)}"


def provisional(session: Connection, database: str, run: str) -> list[str]:
    """Return the names of unfinished databases that ``run`` began to restore as ``database``. Raises psycopg.Error."""
    query = "SELECT datname FROM pg_catalog.pg_database WHERE pg_catalog.starts_with(datname, %s) ORDER BY 1"
    return [str(name) for (name,) in session.execute(query, (_provisional(database, run),)).fetchall()]


def drop_provisional(session: Connection, database: str, run: str) -> list[str]:
    """Drop the unfinished databases that ``run`` began to restore as ``database``, and return their names.

    Raises psycopg.Error.
    """
    names = provisional(session, database, run)
    for name in names:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    return names


def _provisional(database: str, run: str) -> str:
    """Return the prefix of all provisional names of ``database`` during its restore by ``run``."""
    of_database, of_run = (sha256(text.encode()).hexdigest()[:6] for text in (database, run))
    return f"{database.encode()[:24].decode('utf-8', 'ignore')}~restoring~{of_database}~{of_run}"


def open_up(session: Connection, database: str, limit: int | None = None) -> int:
    """Admit clients to ``database``, and return its new connection limit. Raises psycopg.Error.

    If ``limit`` is None, the stored original limit becomes the new limit. If no limit is stored either, the present limit
    stays, but a present limit of 0 is replaced by -1 (no limit). A second call does no harm.
    """
    current, kept, _ = first_row(session, _STATE, database)
    name = sql.Identifier(database)
    wanted = limit if limit is not None else kept if kept is not None else current if current != 0 else -1
    session.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.SQL(str(int(wanted)))))
    for setting in ("connection_limit", "restored_by"):
        session.execute(sql.SQL("ALTER DATABASE {} RESET {}").format(name, sql.Identifier("drillbook", setting)))
    return int(wanted)
