"""Actions on a running PostgreSQL server: check its health, run SQL, and admit clients after a restore."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Effect, Facts, Place, Read, Undo, Write
from drillbook.systems.postgres import access, cluster, preflight
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.row_values import plain
from drillbook.systems.postgres.service import Postgres

ROWS_LIMIT = 1000
Role = Literal["admin", "user"]
Declared = Literal["read", "write"]


class Healthy(Read):
    """Check that the superuser can log in, that the server is not in recovery, and that a write reaches the disk."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``version``: version of the server; ``database``: name of the database; ``bytes``: size of the database.

        ``in_recovery``: true when the server is in recovery; ``uptime_s``: seconds since the server started;
        ``connections``: number of connections in use; ``max_connections``: maximum number of connections.
        """
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                version, recovering, uptime, size, used, most = first_row(session, _HEALTH)
                cluster.prove_writable(session)
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service} does not work: {reason(error)}",
                findings=[
                    finding(
                        "postgres-unhealthy",
                        title=self.service,
                        wanted="a successful login, and a write that reaches the disk",
                        measured=reason(error),
                    )
                ],
            ) from error
        return {
            "version": version,
            "database": service.database,
            "bytes": size,
            "in_recovery": recovering,
            "uptime_s": round(float(uptime), 1),
            "connections": used,
            "max_connections": most,
        }

    def ready(self, ctx: Context) -> None:
        """Check that the superuser can log in, and has the right to write a message to the WAL."""
        preflight.ask(ctx, ctx.service(self.service, Postgres), _may_write)


def _may_write(session: Connection) -> None:
    """Raise NotReady when the role of ``session`` has no right to call ``pg_logical_emit_message``. The action calls this
    function to prove that a write reaches the disk.
    """
    if not first_row(session, _MAY_WRITE)[0]:
        raise NotReady(
            "this role may not call the function pg_logical_emit_message, which shows that a write reaches the disk",
            hint="log in with another role in the inventory, or grant the right EXECUTE on the function",
        )


_MAY_WRITE = """
SELECT pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))
FROM pg_catalog.pg_proc p WHERE p.proname = 'pg_logical_emit_message'
"""
_HEALTH = """
SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(),
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_postmaster_start_time()),
       pg_catalog.pg_database_size(pg_catalog.current_database()),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
       pg_catalog.current_setting('max_connections')::int
"""


class Sql(Read):
    """Run one SQL statement. Unless the step sets `effect: write`, the statement runs in a read-only transaction."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    CODE = "query"
    UNDO = ("action", "nothing")
    UNDO_ACTIONS = ("postgres.sql",)
    UNDO_BY = "undo_query"
    ANY_DATA = True

    service: ServiceName
    query: Annotated[str, Field(min_length=1, description="SQL statement to run.")]
    database: Annotated[str | None, Field(description="Name of another database on the same server.")] = None
    as_: Annotated[
        Role, Field(alias="as", description="Role that runs the statement: the superuser or the application's role.")
    ] = "user"
    declared: Annotated[Declared, Field(alias="effect", description="`write`: the statement may change data.")] = "read"
    undo_query: Annotated[str | None, Field(description="SQL statement that undoes a write.")] = None

    @property
    def effect(self) -> Effect:
        """Effect of the statement, as declared in the drill: read or write."""
        return Effect(self.if_known("declared", Effect.READ))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``columns``: names of the result's columns; ``rows``: the first 1000 rows, each as a list of values.

        ``rowcount``: number of rows that the statement returned or changed; ``truncated``: true when there are more rows
        than in ``rows``; ``value``: the first value of the first row; ``effect``: ``write``. The fact ``effect`` is absent
        unless the step sets `effect: write`.
        """
        service = ctx.service(self.service, Postgres)
        declared: Facts = {} if self.effect is Effect.READ else {"effect": str(self.effect)}
        try:
            with connected(ctx, service, database=self.database, as_user=self.as_ == "user") as session:
                session.execute("BEGIN READ ONLY" if self.effect is Effect.READ else "BEGIN")
                # A prepared statement must be a single statement: a second one could end the read-only transaction.
                cursor = session.execute(self.query.encode(), prepare=True)
                columns = [column.name for column in cursor.description or ()]
                rows = cursor.fetchmany(ROWS_LIMIT) if columns else []
                facts: Facts = {
                    "columns": columns,
                    "rows": [[plain(value) for value in row] for row in rows],
                    "rowcount": cursor.rowcount,
                    "truncated": bool(columns) and cursor.rowcount > len(rows),
                }
                session.execute("COMMIT")
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: {reason(error)}", facts=declared) from error
        return facts | {"value": facts["rows"][0][0] if rows and columns else None} | declared

    def ready(self, ctx: Context) -> None:
        """Check that the server can plan the statement: its tables exist, and the role has the right to use them.

        Raises PlanError when the step has an `undo_query` but does not set `effect: write`.
        """
        if self.if_known("undo_query") and self.effect is Effect.READ:
            raise PlanError("postgres.sql: `undo_query` needs `effect: write`")
        if self.known("query") and self.known("database") and self.known("as_"):
            preflight.ask(
                ctx,
                ctx.service(self.service, Postgres),
                preflight.plannable(self.query),
                database=self.database,
                as_user=self.as_ == "user",
            )

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that runs the step's `undo_query`. Without this parameter, the undo does nothing."""
        if self.effect is Effect.READ or not self.undo_query:
            return Undo.nothing("reads only" if self.effect is Effect.READ else "the step declares no `undo_query`")
        return Undo.by_action(
            "postgres.sql",
            service=self.service,
            query=self.undo_query,
            database=self.database,
            effect="write",
            **{"as": self.as_},
        )


class Admit(Write):
    """Admit clients to a database that was restored with `closed: true`.

    When clients are already admitted, the action does nothing.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    limit: Annotated[
        int | None, Field(ge=-1, description="New connection limit; by default the limit recorded in the backup.")
    ] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``database``: name of the database; ``connection_limit``: its new connection limit."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service, database="postgres") as session:
                limit = access.open_up(session, service.database, self.limit)
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service}: clients could not be admitted: {reason(error)}; when the server is up, run as "
                f'superuser: ALTER DATABASE "{service.database}" CONNECTION LIMIT -1'
            ) from error
        return {"database": service.database, "connection_limit": limit}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the database stays open to clients."""
        return Undo.nothing("the clients may stay admitted")


class ClearRestore(Write):
    """Discard each database or cluster that this run restored incompletely. No client has used such a database yet.

    If this run restored a database completely, and the database still refuses clients, the action admits clients to it. No
    other database is changed.
    """

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``discarded``: names of the discarded databases; ``opened``: true when this step admitted clients."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        ctx.run(*cluster.clear_own(tools, ctx.run_id)).check()
        if cluster.state(tools) in ("absent", "empty"):
            return {"discarded": [], "opened": False}
        try:
            with connected(ctx, service, database="postgres") as session:
                discarded = access.drop_provisional(session, service.database, ctx.run_id)
                by = access.restored_by(session, service.database) if access.closed(session, service.database) else ""
                if opened := by.partition(" ")[0] == ctx.run_id:
                    access.open_up(session, service.database)
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(
                f"{self.service} cannot be queried for unfinished restores: {reason(error)}",
                hint=f"start its server, then recover the run: invoke drill.recover {ctx.run_id}",
            ) from error
        return {"discarded": discarded, "opened": opened}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the unfinished database was never in use."""
        return Undo.nothing("the discarded data was never in use")
