"""Faults that hold sessions of a PostgreSQL server open: they use up its connections, or hold a lock."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo
from drillbook.systems.linux.fault_helper import LONGEST, Helper
from drillbook.systems.linux.process_lookup import need
from drillbook.systems.postgres.actions.fields import ServiceName, TableName
from drillbook.systems.postgres.connection import connected, conninfo, first_row, reason
from drillbook.systems.postgres.programs import Tools, passfile
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name, exists
from drillbook.values import Duration

For = Annotated[
    Duration,
    Field(
        alias="for",
        ge=1,
        le=LONGEST,
        description="Time after which the fault ends by itself, even if the controller has died; at most 1h.",
    ),
]
_OPTIONS = "-c client_connection_check_interval=250 -c statement_timeout=0 -c idle_session_timeout=0"
"""Server options for the fault's sessions. Without these options, settings of the role could let the server end such a
session by itself.

PostgreSQL 14 and newer versions have all these options.
"""
_FULL = ("too many clients", "too many connections", "remaining connection slots")
"""Error texts with which a server refuses a connection because no connection is free. The limit may be that of the server,
of the role or of the database.

Source: the files proc.c and postinit.c of PostgreSQL.
"""
SHOWN = 0.9
"""Fraction of the maximum number of connections that must be visible as sessions before the server counts as full.

It is less than 1 because a client that is logging in is not visible yet.
"""
LOOK_S = 0.2
"""Seconds between two queries of the server's sessions."""
LEAST_MAJOR = 14
"""First major version of PostgreSQL in which a running statement notices that its client is gone."""
_ACCOUNT = "check address, port and accounts of the service in the inventory"

REFUSAL = "error: connection to server .* failed: "
"""Pattern of the line that psql prints when every address of the server has refused the session.

There is one such line for each refused session. For a session that the server accepted and terminated later, psql prints
"connection to server was lost" instead.
"""

_CLIENT = """
export PGPASSFILE="$folder/private" PGAPPNAME="$1" PGOPTIONS="$2" PGCONNECT_TIMEOUT=10 LC_ALL=C
shift 2
"""
# NAME OPTIONS COUNT PSQL...: hold COUNT sessions, each with one waiting client. A session that the server refuses is tried
# again; a session that somebody terminated is not replaced.
_HOLD = (
    _CLIENT
    + """
count=$1; shift
session() { "$@" --command="SELECT pg_catalog.pg_sleep($seconds)" >/dev/null 2>>"$folder/refused" & }
: > "$folder/refused"
tried=0
while test "$tried" -lt "$count"; do session "$@"; tried=$((tried + 1)); done
: > "$folder/ready"
ended() { grep -qE 'terminating connection|closed the connection' "$folder/refused"; }
until over; do
  refused=$(grep -c '"""
    + REFUSAL
    + """' "$folder/refused")
  ended && break
  test "$((tried - refused))" -ge "$count" || { session "$@"; tried=$((tried + 1)); }
  rest; rest
done
rm -f -- "$folder/private"
until over; do
  jobs > "$folder/jobs"
  test -s "$folder/jobs" || break
  rest; rest
done
jobs >/dev/null
jobs -p > "$folder/jobs" && kill $(cat -- "$folder/jobs") 2>/dev/null
wait
"""
)
# NAME OPTIONS SQL PSQL...: run one client that sends SQL and then stays idle.
_STAND = (
    _CLIENT
    + """
sql=$1; shift
mkfifo -m 600 "$folder/in" || exit 1
"$@" < "$folder/in" &
client=$!
exec 3> "$folder/in"
printf '%s\\n' "$sql" >&3
: > "$folder/ready"
until over; do kill -0 "$client" 2>/dev/null || exit 1; sleep 1; done
kill "$client"
"""
)
_ROOM = """
SELECT pg_catalog.current_setting('server_version_num')::int / 10000,
       pg_catalog.current_setting('max_connections')::int
         - pg_catalog.current_setting('superuser_reserved_connections')::int
         - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'
          AND pid <> pg_catalog.pg_backend_pid()),
       coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = %s), false)
"""
# Count the sessions without the present one, without those that this step has closed, which the server may end later, and
# without those that are logging in (`starting`, since PostgreSQL 18): the server may still refuse them.
_USED = """
SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
  AND coalesce(state, '') <> 'starting' AND NOT (application_name = 'drillbook' AND pid = ANY(%s))
"""
_HELD = """
SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
WHERE application_name = %s AND (%s = '' OR state = %s)
"""

_LOCKS = """
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_locks l ON l.pid = a.pid
               WHERE a.application_name = %s AND a.state = 'idle in transaction' AND l.granted AND l.locktype = 'relation'
                 AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                 AND l.relation = pg_catalog.to_regclass(%s) AND l.mode = %s)
"""


class _Held(Fault):
    """Base class of faults that hold sessions open. The clients of these sessions run on the service's host. The
    clients exit when the time `for` has passed.
    """

    SERVICE = Postgres
    UNDO = ("commands",)

    service: ServiceName

    def _application(self, ctx: Context) -> str:
        """Return the `application_name` of the fault's sessions. No other step has the same name."""
        return f"drillbook-{sha256(Helper(ctx).mark.encode()).hexdigest()[:12]}"

    def _client(self, ctx: Context) -> tuple[str, ...]:
        service = ctx.service(self.service, Postgres)
        return (
            Tools.of(ctx, service, ctx.host).path("psql"),
            "--no-psqlrc",
            "--no-password",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--host",
            service.address,
            "--port",
            str(service.port),
            "--username",
            service.user,
            "--dbname",
            conninfo(service.database),
        )

    def _private(self, ctx: Context) -> bytes:
        return passfile(ctx.service(self.service, Postgres), as_user=True)

    def _count(self, ctx: Context, state: str = "") -> int:
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return int(first_row(session, _HELD, self._application(ctx), state, state)[0])

    def _checked(self, ctx: Context) -> None:
        """Raise NotReady unless the host has every program that the fault needs."""
        Helper(ctx).ready()
        need(ctx, "mkfifo")
        Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host).need(("psql",), 0)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that kills the fault's clients, which ends their sessions."""
        return Helper(ctx).undo()


class HoldConnections(_Held):
    """Open connections until the server accepts no more, like a program that never closes its connections.

    The connections belong to the application's role. Connections that are reserved for superusers stay free. The fault
    needs PostgreSQL 14 or newer.
    """

    TIMEOUT = 120.0

    leave: Annotated[int, Field(ge=0, le=1000, description="Number of connections that stay free.")] = 0
    for_: For = Duration(300)

    def ready(self, ctx: Context) -> None:
        """Check that the server has enough free connections, its version is supported, and psql is on the host.

        Also check that the application's role is not a superuser.
        """
        self._checked(ctx)
        major, most, used, exempt = self._room(ctx, set())
        if exempt:
            raise NotReady(
                (
                    f"{self.service}: `user` is a superuser, whose sessions would use up the connections reserved for "
                    "administrators"
                ),
                hint="set `user` of the service to the application's own role",
            )
        if major < LEAST_MAJOR:
            raise NotReady(
                f"{self.service} is PostgreSQL {major}; this fault needs {LEAST_MAJOR} or newer", hint="use another fault"
            )
        if self.known("leave") and most - used <= self.leave:
            raise NotReady(
                f"{self.service}: {used} of {most} connections are in use already", hint="choose a smaller `leave`"
            )

    def _room(self, ctx: Context, closed: set[int]) -> tuple[int, int, int, bool]:
        """Return the server's major version, the maximum number of ordinary connections, the number of ordinary connections
        in use, and a flag. The flag is True when the service's `user` is a superuser. This method queries the server in a
        session, closes the session, and adds its process id to ``closed``.

        Raises NotReady when the server cannot be queried.
        """
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                major, most, used, exempt = first_row(session, _ROOM, service.user)
                closed.add(session.info.backend_pid)
        except (psycopg.Error, HostError) as error:
            raise NotReady(f"{self.service} cannot be queried: {reason(error)}", hint=_ACCOUNT) from error
        return major, most, used, exempt

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``application``: `application_name` of the fault's sessions; ``held``: number of these sessions.

        ``limit``: maximum number of connections of ordinary roles.
        """
        closed: set[int] = set()
        _, most, used, _ = self._room(ctx, closed)
        wanted = most if self.leave == 0 else max(0, most - used - self.leave)
        Helper(ctx).start(
            _HOLD, self.for_, self._application(ctx), _OPTIONS, str(wanted), *self._client(ctx), private=self._private(ctx)
        )
        if self.leave == 0:
            self._fill(ctx, most, closed)
        while self.leave and self._count(ctx) < wanted:
            ctx.deadline.wait(LOOK_S)
        return {"application": self._application(ctx), "held": self._count(ctx), "limit": most}

    def _fill(self, ctx: Context, most: int, closed: set[int]) -> None:
        """Wait until the server refuses new clients, and at least the fraction ``SHOWN`` of its connections is in use.

        The step itself opens sessions and closes them again. A closed session occupies a connection until the server ends the
        session, so closed sessions are not counted. All counting queries use one session. After this session is closed, its
        connection is free, so the step waits once more until the server refuses new clients. ``closed``: process ids of the
        closed sessions.
        """
        least = min(SHOWN * most, most - 1)  # the session of these queries may occupy a connection
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            while not (int(first_row(session, _USED, [*closed])[0]) >= least and self._refuses(ctx, closed)):
                ctx.deadline.wait(LOOK_S)
        while not self._refuses(ctx, closed):
            ctx.deadline.wait(LOOK_S)

    def _refuses(self, ctx: Context, closed: set[int]) -> bool:
        """Return True when the server refuses the application because no connection is free. Return False when the server
        accepts it or does not answer in time. Add the process id of an accepted session to ``closed``.

        Raises CouldNotVerify when the server refuses the application for another reason.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres), as_user=True) as session:
                closed.add(session.info.backend_pid)
                return False
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.OperationalError as error:
            if error.sqlstate == "53300" or any(words in str(error) for words in _FULL):
                return True
            raise CouldNotVerify(
                f"{self.service}: it is unknown if the server accepts connections: {reason(error)}",
                hint="correct `user` and `password` of the service in the inventory",
            ) from error

    def active(self, ctx: Context) -> bool:
        """Return True while any session of the fault exists."""
        return self._count(ctx) > 0


class IdleInTransaction(_Held):
    """Open a transaction, lock a table, and stay idle. A client that hangs or waits for a person does the same."""

    table: TableName
    mode: Annotated[
        Literal["row exclusive", "share", "exclusive", "access exclusive"],
        Field(description="Lock mode of LOCK TABLE; `access exclusive` blocks readers too."),
    ] = "access exclusive"
    for_: For = Duration(300)

    def ready(self, ctx: Context) -> None:
        """Check that the table exists, and that psql is on the host."""
        self._checked(ctx)
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                if self.known("table") and not exists(session, Name.parse(self.table)):
                    raise NotReady(
                        f"{self.service}: there is no table {self.table}",
                        hint="write the name in SQL syntax, with its schema",
                    )
        except (psycopg.Error, HostError) as error:
            raise NotReady(f"{self.service} cannot be queried: {reason(error)}", hint=_ACCOUNT) from error

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``application``: `application_name` of the session; ``table``: locked table; ``mode``: mode of the lock."""
        name, helper = Name.parse(self.table), Helper(ctx)
        lock = f"BEGIN; SET LOCAL lock_timeout = '20s'; LOCK TABLE {name.quoted} IN {self.mode.upper()} MODE;"
        helper.start(_STAND, self.for_, self._application(ctx), "", lock, *self._client(ctx), private=self._private(ctx))
        while not self._locks(ctx):
            if not helper.pids():
                raise StepFailed(
                    f"{self.service}: the client that should lock {name} has exited; the server may have refused its "
                    "connection"
                )
            ctx.deadline.wait(0.1)
        return {"application": self._application(ctx), "table": str(name), "mode": self.mode}

    def active(self, ctx: Context) -> bool:
        """Return True while the fault's session is idle in its transaction."""
        return self._count(ctx, "idle in transaction") > 0

    def _locks(self, ctx: Context) -> bool:
        """Return True when the fault's session is idle in its transaction and holds the lock on the table."""
        mode = f"{self.mode.title().replace(' ', '')}Lock"
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return bool(first_row(session, _LOCKS, self._application(ctx), Name.parse(self.table).quoted, mode)[0])
