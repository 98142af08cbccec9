"""Actions that read the activity of a PostgreSQL server: its connections, statements and locks.

The facts come from pg_stat_activity, pg_locks and pg_blocking_pids(). PostgreSQL's documentation describes these in the
chapter "Monitoring Database Activity". All durations are measured with the server's clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import excerpt, printable
from drillbook.systems.postgres import cluster, preflight, session_rights
from drillbook.systems.postgres.actions.fields import ServiceName, examined
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Duration

MOST_ROWS = 50
AGAIN_S = 0.2
LEAST_LOCKS = 140000
"""First version of PostgreSQL that records the time from which a session waits for a lock."""
_FULL = re.compile(r"too many (?:clients|connections)|remaining connection slots")
_UPKEEP = re.compile(
    r"(?:\s|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*(?:COPY|VACUUM|ANALY[ZS]E|REINDEX|CLUSTER|CHECKPOINT|"
    r"REFRESH\s+MATERIALIZED|CREATE\s+(?:UNIQUE\s+)?INDEX|BASE_BACKUP|START_REPLICATION)\b",
    re.IGNORECASE,
)
_LITERAL = re.compile(r"'(?:[^']|'')*'?|\$\$.*?\$\$|\b\d{6,}\b", re.DOTALL)


class _Looking(Read):
    """Base class of read-only actions that log in as superuser.

    These actions work even when clients use all ordinary connections, because the server reserves some connections for
    superusers.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 30.0

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the superuser can log in, and has the right to see what the action reads."""
        preflight.ask(ctx, ctx.service(self.service, Postgres), lambda session: self._need(ctx, session))

    def _need(self, ctx: Context, session: Connection) -> None:
        """Raise NotReady or CouldNotVerify when the server or the role of ``session`` does not permit the action."""

    @contextmanager
    def _session(self, ctx: Context) -> Iterator[Connection]:
        """Open a read-only session in which a statement waits at most 2 seconds for a lock.

        Raises CouldNotVerify when the server cannot be queried.
        """
        try:
            with self._connected(ctx) as session:
                session.execute("SET default_transaction_read_only = on")
                session.execute("SET lock_timeout = '2s'")
                yield session
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(
                f"{self.service} could not be queried: {reason(error)}",
                hint=("check that the server runs and that the superuser of the inventory can log in"),
            ) from error

    @contextmanager
    def _connected(self, ctx: Context) -> Iterator[Connection]:
        """Connect to the server. If all its connections are in use, including the reserved connections, wait for a free
        connection.
        """
        service = ctx.service(self.service, Postgres)
        with ExitStack() as stack:
            while True:
                try:
                    session = stack.enter_context(connected(ctx, service))
                    break
                except psycopg.OperationalError as error:
                    if not _FULL.search(str(error)) or ctx.deadline.remaining() < 2 * AGAIN_S:
                        raise
                    ctx.deadline.wait(AGAIN_S)
            yield session


def said(ctx: Context, query: str | None) -> str:
    """Return the SQL statement ``query`` as one printable line. Literals and secrets are replaced by placeholders."""
    text = " ".join(_LITERAL.sub("?", query or "").split())
    return excerpt(ctx.redactor.text(text), limit=300)


def is_upkeep(query: str | None) -> bool:
    """Return True when ``query`` is a statement that normally takes long, such as COPY or CREATE INDEX.

    Comments before the statement are ignored.
    """
    return _UPKEEP.match(query or "") is not None


_CONNECTIONS = """
SELECT coalesce(a.state, 'unknown'), coalesce(a.application_name, ''), coalesce(a.usename, ''),
       coalesce(host(a.client_addr), 'local'), count(*)
FROM pg_catalog.pg_stat_activity a
WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4
"""
_LIMITS = """
SELECT pg_catalog.current_setting('max_connections')::int,
       (SELECT coalesce(sum(setting::int), 0)::int FROM pg_catalog.pg_settings
        WHERE name IN ('superuser_reserved_connections', 'reserved_connections')),
       (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
       (SELECT count(*)::int FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend'
          AND pid <> pg_catalog.pg_backend_pid())
"""


class _OfSessions(_Looking):
    """Base class of actions that read the sessions of all roles. The server may hide sessions from the role of the action."""

    def _need(self, ctx: Context, session: Connection) -> None:
        session_rights.need_view(ctx, session, ctx.service(self.service, Postgres))


class Connections(_OfSessions):
    """Count the connections by state and by client. Also count the connections that ordinary roles can still open."""

    def run(self, ctx: Context) -> Facts:
        """Facts: the numbers of connections that are in use (``used``), reserved (``reserved``) and free (``free``).

        ``max_connections``: the server's setting of that name; ``percent``: percentage of ``max_connections`` in use;
        ``by_state``: number of connections in each state; ``exhausted``: true when no connection is free; ``holders``:
        the 10 clients with the most connections, each with ``application``, ``user``, ``address``, ``count`` (number of
        connections) and ``states`` (number of connections in each state). The action's own connection is not counted.
        """
        with self._session(ctx) as session:
            most, reserved, limit, own = first_row(session, _LIMITS)
            rows = session.execute(_CONNECTIONS).fetchall()
        by_state: dict[str, int] = {}
        holders: dict[tuple[str, str, str], dict[str, int]] = {}
        for state, application, user, address, count in rows:
            by_state[state] = by_state.get(state, 0) + count
            states = holders.setdefault((application, user, address), {})
            states[state] = states.get(state, 0) + count
        used = sum(by_state.values())
        free = most - reserved - used
        free = free if limit < 0 else min(free, limit - own)
        named = [
            {
                "application": printable(key[0], limit=100),
                "user": printable(key[1], limit=100),
                "address": key[2],
                "count": sum(states.values()),
                "states": states,
            }
            for key, states in holders.items()
        ]
        return {
            "used": used,
            "max_connections": most,
            "reserved": reserved,
            "free": max(0, free),
            "percent": round(100 * used / most, 1),
            "by_state": by_state,
            "exhausted": free <= 0,
            "holders": sorted(named, key=lambda holder: -int(str(holder["count"])))[:10],
        }


_STATEMENTS = """
SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(wait_event_type, ''), coalesce(wait_event, ''),
       extract(epoch FROM pg_catalog.clock_timestamp() - query_start)::float8, query, pg_catalog.pg_blocking_pids(pid)
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_catalog.pg_backend_pid()
  AND pg_catalog.clock_timestamp() - query_start >= pg_catalog.make_interval(secs => %s)
ORDER BY query_start LIMIT 50
"""


class Statements(_OfSessions):
    """List the statements that have been running longest. Literals are removed from the text of each statement."""

    longer_than: Annotated[
        Duration, Field(ge=0, description="List only statements that have been running for at least this time.")
    ] = Duration(5)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``running``: list of the running statements; ``count``: length of this list.

        ``working``: the running statements that are not blocked by another session; ``longest_s``: seconds since the oldest
        running statement began. Each statement has ``pid``, ``user``, ``application``, ``wait`` (the event for which the
        statement waits), ``seconds`` (time since it began), ``query``, ``blocked_by`` (pids of the sessions that block it)
        and ``upkeep``. ``upkeep`` is true for COPY, VACUUM, ANALYZE, CREATE INDEX and other statements that normally take
        long.
        """
        with self._session(ctx) as session:
            rows = session.execute(_STATEMENTS, (float(self.longer_than),)).fetchall()
        running = [
            {
                "pid": row[0],
                "user": printable(row[1], limit=100),
                "application": printable(row[2], limit=100),
                "wait": f"{row[3]}: {row[4]}" if row[3] else "",
                "seconds": round(row[5], 3),
                "query": said(ctx, row[6]),
                "upkeep": is_upkeep(row[6]),
                "blocked_by": list(row[7]),
            }
            for row in rows
        ]
        return {
            "running": running,
            "count": len(running),
            "working": [statement for statement in running if not statement["blocked_by"]],
            "longest_s": max((float(row[5]) for row in rows), default=0.0),
        }


_SESSIONS = """
SELECT pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'local'),
       coalesce(state, ''), extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(xact_start, query_start))::float8,
       extract(epoch FROM pg_catalog.clock_timestamp() - state_change)::float8,
       query, pg_catalog.pg_blocking_pids(pid), backend_start::text
FROM pg_catalog.pg_stat_activity
WHERE pid <> pg_catalog.pg_backend_pid() AND backend_type IN ('client backend', 'autovacuum worker', 'parallel worker')
  AND (cardinality(pg_catalog.pg_blocking_pids(pid)) > 0 OR state LIKE 'idle in transaction%%'
       OR pid IN (SELECT unnest(pg_catalog.pg_blocking_pids(w.pid)) FROM pg_catalog.pg_stat_activity w))
ORDER BY xact_start NULLS LAST LIMIT 500
"""


class Blocked(_OfSessions):
    """Show the sessions that wait for locks, the sessions that block others, and the sessions idle in a transaction."""

    idle_for: Annotated[
        Duration, Field(ge=0, description="List only sessions that have been idle in a transaction for at least this time.")
    ] = Duration(10)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``blocked``: number of sessions that wait for a lock; ``waiting``: list of these sessions.

        ``roots``: list of the sessions that block others and are not blocked themselves; ``idle_in_transaction``: list of
        the sessions that are idle in a transaction, even if they block nobody. Each session has ``pid``, ``user``,
        ``application``, ``address``, ``state``, ``transaction_s`` (age of its transaction in seconds), ``idle_s`` (seconds
        since the session became idle), ``query``, ``started`` and ``blocked_by`` (pids of the sessions that block it).
        ``state`` is empty for an autovacuum worker, and `unknown` when the role of the action has no right to see it. Each
        session in ``roots`` also has ``holds_up``, the number of sessions that wait for it. Sessions that wait for it
        through other sessions are included.
        """
        with self._session(ctx) as session:
            rows = session.execute(_SESSIONS.replace("%%", "%")).fetchall()
        session_by_pid = {row[0]: _session_facts(ctx, row) for row in rows}
        waiting = [waiter for waiter in session_by_pid.values() if waiter["blocked_by"]]
        roots = {
            pid
            for waiter in waiting
            for pid in waiter["blocked_by"]
            if pid not in session_by_pid or not session_by_pid[pid]["blocked_by"]
        }
        told = [
            {**session_by_pid.get(pid, {"pid": pid, "state": "unknown"}), "holds_up": len(_held_up(pid, waiting))}
            for pid in sorted(roots)
        ]
        idle = [
            client
            for client in session_by_pid.values()
            if client["state"].startswith("idle in transaction") and client["idle_s"] >= float(self.idle_for)
        ]
        return {
            "blocked": len(waiting),
            "roots": sorted(told, key=lambda root: -int(root["holds_up"]))[:MOST_ROWS],
            "waiting": waiting[:MOST_ROWS],
            "idle_in_transaction": idle[:MOST_ROWS],
        }


def _session_facts(ctx: Context, row: tuple[Any, ...]) -> dict[str, Any]:
    # A role may not see the state of another role's session; autovacuum workers have no state.
    state = row[4] or ("unknown" if row[1] else "")
    idle = state.startswith("idle")
    return {
        "pid": row[0],
        "user": printable(row[1], limit=100),
        "application": printable(row[2], limit=100),
        "address": row[3],
        "state": state,
        "transaction_s": round(row[5] or 0.0, 3),
        "idle_s": round(row[6] or 0.0, 3) if idle else 0.0,
        "query": said(ctx, row[7]),
        "blocked_by": sorted(set(row[8])),
        "started": row[9],
    }


def _held_up(root: int, waiting: list[dict[str, Any]]) -> set[int]:
    """Return the pids of the sessions that wait for ``root``, directly or through other sessions."""
    held: set[int] = set()
    while more := {
        waiter["pid"] for waiter in waiting if waiter["pid"] not in held and (held | {root}) & set(waiter["blocked_by"])
    }:
        held |= more
    return held


_LOCKS = """
SELECT l.granted, l.mode, l.locktype, coalesce(c.relname, ''), l.pid,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8, 0)
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND l.database IN (0, (
  SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
WHERE l.pid IS NOT NULL AND l.pid <> pg_catalog.pg_backend_pid()
"""


class Locks(_Looking):
    """Count the locks that sessions hold, by lock mode. List the exclusive locks and the locks for which sessions wait."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``held``: for each lock mode, the number of locks that sessions hold.

        ``exclusive``: list of the held locks of mode AccessExclusiveLock; ``waiting``: list of the locks that sessions wait
        for. Each lock has ``pid`` (process ID of its session), ``mode``, ``type``, ``relation`` and ``seconds``. In
        ``waiting``, ``seconds`` is the time for which the session has waited for the lock. In ``exclusive``, it is 0.
        Raises CouldNotVerify when the server is older than PostgreSQL 14.
        """
        with self._session(ctx) as session:
            self._need(ctx, session)
            rows = session.execute(_LOCKS).fetchall()
        held: dict[str, int] = {}
        for row in rows:
            if row[0]:
                held[row[1]] = held.get(row[1], 0) + 1
        named = [
            (
                row[0],
                {
                    "pid": row[4],
                    "mode": row[1],
                    "type": row[2],
                    "relation": printable(row[3], limit=100),
                    "seconds": round(row[5], 3),
                },
            )
            for row in rows
        ]
        return {
            "held": held,
            "waiting": [lock for granted, lock in named if not granted][:MOST_ROWS],
            "exclusive": [lock for granted, lock in named if granted and lock["mode"] == "AccessExclusiveLock"][:MOST_ROWS],
        }

    def _need(self, ctx: Context, session: Connection) -> None:
        if session.info.server_version < LEAST_LOCKS:
            raise CouldNotVerify(
                f"{self.service} is older than PostgreSQL 14. Such a server does not record how long sessions have waited for "
                "locks",
                hint="use the action postgres.blocked, which works with older servers",
            )


class DataDirectory(Read):
    """Check if a server's data directory contains a database cluster. The server need not run."""

    SERVICE = Postgres

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``holds``: kind of content of the data directory; ``path``: path of the data directory.

        ``holds`` is ``cluster`` (a database cluster), ``other`` (other files), ``empty``, or ``absent`` (the directory does
        not exist).
        """
        service = ctx.service(self.service, Postgres)
        return {"holds": cluster.state(Tools.of(ctx, service, ctx.host)), "path": service.data_directory}

    def ready(self, ctx: Context) -> None:
        """Check that the data directory can be examined."""
        examined(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
