"""A PostgreSQL server that serves: is it healthy, what does it answer, who may connect."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Effect, Facts, Place, Read, Undo, Write
from drillbook.systems.postgres import access, cluster
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.rows import plain
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools

ROWS_LIMIT = 1000
Role = Literal["admin", "user"]
Declared = Literal["read", "write"]


class Healthy(Read):
    """The server serves: its superuser logs in, it is not in recovery, and a write reaches its disk."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``version database bytes in_recovery uptime_s connections max_connections``."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                version, recovering, uptime, size, used, most = one(session, _HEALTH)
                cluster.prove_writable(session)
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service} does not serve: {reason(error)}",
                findings=[
                    finding(
                        "postgres-unhealthy",
                        title=self.service,
                        wanted="a login and a write that reaches the disk",
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


_HEALTH = """
SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(),
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_postmaster_start_time()),
       pg_catalog.pg_database_size(pg_catalog.current_database()),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
       pg_catalog.current_setting('max_connections')::int
"""


class Sql(Read):
    """Run one SQL statement; it cannot change anything unless the drill declares `effect: write`."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    CODE = "query"
    UNDO = (
        "action",
        "nothing",
    )

    service: ServiceName
    query: Annotated[str, Field(min_length=1, description="The statement.")]
    database: Annotated[str | None, Field(description="Another database of the same server.")] = None
    as_: Annotated[Role, Field(alias="as", description="Whose rights: the superuser's or the application's.")] = "user"
    declared: Annotated[Declared, Field(alias="effect", description="`write`: it may change something.")] = "read"
    undo_query: Annotated[str | None, Field(description="Statement that puts back what a write changed.")] = None

    @property
    def effect(self) -> Effect:
        """What the drill declares."""
        return Effect(self.declared)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``columns``, ``rows`` (the first 1000, as lists), ``rowcount``, ``truncated``, ``value`` (the first)."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service, database=self.database, as_user=self.as_ == "user") as session:
                session.execute("BEGIN READ ONLY" if self.effect is Effect.READ else "BEGIN")
                # Prepared, so that it is one statement: a second one could end the read-only transaction.
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
            raise StepFailed(f"{self.service}: {reason(error)}") from error
        return facts | {"value": facts["rows"][0][0] if rows and columns else None}

    def ready(self, ctx: Context) -> None:
        """An undo belongs to a write."""
        if self.undo_query and self.effect is Effect.READ:
            raise PlanError("postgres.sql: `undo_query` needs `effect: write`")

    def undo(self, ctx: Context) -> Undo:
        """The drill's own statement, when it gives one."""
        if self.effect is Effect.READ or not self.undo_query:
            return Undo.nothing("reads only" if self.effect is Effect.READ else "the drill gives no `undo_query`")
        return Undo.by_action(
            "postgres.sql",
            service=self.service,
            query=self.undo_query,
            database=self.database,
            effect="write",
            **{"as": self.as_},
        )


class Admit(Write):
    """Let clients into a database that was restored `closed`. Does no harm when they are in already."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    limit: Annotated[int | None, Field(ge=-1, description="Connection limit; not given: the one of the backup.")] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``database``, ``connection_limit``."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service, database="postgres") as session:
                limit = access.open_up(session, service.database, self.limit)
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service}: clients could not be let in: {reason(error)}; when the server is up, run as "
                f'superuser: ALTER DATABASE "{service.database}" CONNECTION LIMIT -1'
            ) from error
        return {"database": service.database, "connection_limit": limit}

    def undo(self, ctx: Context) -> Undo:
        """Clients are meant to be in."""
        return Undo.nothing("clients are meant to be in")


class ClearRestore(Write):
    """Discard what a restore of this very run half made; nobody was ever let into it.

    A database that the run restored whole and left `closed` is opened. Any other is left as it is.
    """

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``discarded`` (names of databases), ``opened``."""
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
                f"{self.service} cannot be asked what a restore left half made: {reason(error)}",
                hint=f"bring its server up and recover the run: invoke drill.recover {ctx.run_id}",
            ) from error
        return {"discarded": discarded, "opened": opened}

    def undo(self, ctx: Context) -> Undo:
        """Nothing to undo: a half-made database was never in use."""
        return Undo.nothing("what is discarded was never anybody's")
