"""Action that runs one SQL statement on a PostgreSQL server."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from pydantic import Field

from drillbook.errors import HostError, PlanError, StepFailed
from drillbook.sdk.action import Context, Effect, Facts, Place, Read, Undo
from drillbook.systems.postgres import preflight
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import connected, reason
from drillbook.systems.postgres.row_values import plain
from drillbook.systems.postgres.service import Postgres

ROWS_LIMIT = 1000
Role = Literal["admin", "user"]
Declared = Literal["read", "write"]


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
