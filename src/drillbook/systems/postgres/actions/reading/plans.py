"""Read-only action that gets the plans of the statements that a PostgreSQL server is running at present."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from psycopg import sql
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import printable
from drillbook.systems.postgres import preflight
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.actions.reading.activity import is_upkeep, said
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.explain_output import nodes_of, reads_of
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Duration

AGAIN_S = 0.1
MOST_SCANNED = 10
_SETTINGS = (
    "default_transaction_read_only = on",
    "lock_timeout = '1s'",
    "statement_timeout = '3s'",
    "plan_cache_mode = force_generic_plan",
)
# The server shows only the beginning of a statement longer than track_activity_query_size; such a text is incomplete.
_RUNNING = """
SELECT pid, application_name, extract(epoch FROM pg_catalog.clock_timestamp() - query_start)::float8, query,
       octet_length(query) >= pg_catalog.pg_size_bytes(pg_catalog.current_setting('track_activity_query_size')) - 1
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_catalog.pg_backend_pid()
  AND usename = current_user AND datname = pg_catalog.current_database() AND wait_event_type IS DISTINCT FROM 'Lock'
  AND pg_catalog.clock_timestamp() - query_start >= pg_catalog.make_interval(secs => %s)
ORDER BY query_start LIMIT 50
"""
_ROWS = """
SELECT greatest(c.reltuples::bigint, pg_catalog.pg_stat_get_live_tuples(c.oid))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""


class Plans(Read):
    """Get the plans of the longest running statements, and list the tables that these plans scan sequentially.

    The action does not run the statements. But the planner may call the immutable and stable functions in a statement. These
    functions run with the rights of the role that asks for the plan, and must not get more rights than the application has.
    Therefore the action logs in with the application's role, and examines only the statements of this role. Each plan is made
    without parameter values (a generic plan). Literals are removed from the output.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 30.0

    service: ServiceName
    longer_than: Annotated[
        Duration, Field(ge=0, description="Examine only statements that have been running for at least this time.")
    ] = Duration(5)
    watch: Annotated[
        Duration,
        Field(ge=0, le=60, description="Maximum time to wait until a statement has been running for `longer_than`."),
    ] = Duration(0)
    rows: Annotated[int, Field(ge=0, description="Report sequential scans only of tables with at least this many rows.")] = (
        10_000
    )
    most: Annotated[
        int, Field(ge=1, le=10, description="Maximum number of different statements; the longest-running come first.")
    ] = 3

    def run(self, ctx: Context) -> Facts:
        """Facts: ``count``: number of examined statements; ``plans``: list with one plan for each statement.

        Each plan has ``pid``, ``application``, ``seconds`` (running time of the statement), ``query``, ``cost`` (estimated
        cost), ``indexes`` (indexes that the plan uses) and ``scanned``. If a statement has no plan, ``why`` is the reason.
        ``scanned`` lists the tables that the plan reads by sequential scans. Each of these tables has ``table`` (its name),
        ``rows``, ``filter``, and ``reads`` (the planner's estimate of the number of scans in one execution).
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres), as_user=True) as session:
                for setting in _SETTINGS:
                    session.execute(f"SET {setting}".encode())
                plans = [self._plan(ctx, session, row) for row in self._running(ctx, session)]
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(
                f"{self.service} could not be queried: {reason(error)}",
                hint=("check that the server runs, and that the application's role can log in"),
            ) from error
        return {"plans": plans, "count": len(plans)}

    def ready(self, ctx: Context) -> None:
        """Check that the application's role can log in."""
        preflight.ask(ctx, ctx.service(self.service, Postgres), lambda session: None, as_user=True)

    def _running(self, ctx: Context, session: Connection) -> list[tuple[Any, ...]]:
        """Return the statements that have been running longest, the longest first. The parameter `most` limits their number.
        Of several statements with equal text, only the longest-running one is returned. Statements such as COPY, which
        normally take long, are left out.
        """
        until = ctx.deadline.remaining() - min(float(self.watch), ctx.deadline.remaining() / 2)
        while True:
            rows = session.execute(_RUNNING, (float(self.longer_than),)).fetchall()
            row_by_query = {row[3]: row for row in reversed(rows) if not is_upkeep(row[3])}
            if row_by_query or ctx.deadline.remaining() <= until:
                return sorted(row_by_query.values(), key=lambda row: -float(row[2]))[: self.most]
            ctx.deadline.wait(AGAIN_S)

    def _plan(self, ctx: Context, session: Connection, row: tuple[Any, ...]) -> Facts:
        pid, application, seconds, query, cut = row
        told: Facts = {
            "pid": pid,
            "application": printable(application or "", limit=100),
            "seconds": round(seconds, 3),
            "query": said(ctx, query),
            "cost": None,
            "indexes": [],
            "scanned": [],
            "why": "",
        }
        if cut:
            return told | {
                "why": "the server shows only the beginning of the statement (see its setting track_activity_query_size)"
            }
        try:
            plan = _explained(session, query)
        except psycopg.Error as error:
            return told | {"why": said(ctx, reason(error))}
        nodes = list(nodes_of(plan))
        return told | {
            "cost": plan.get("Total Cost"),
            "scanned": self._scanned(ctx, session, plan),
            "indexes": sorted({printable(node["Index Name"], limit=130) for node in nodes if "Index Name" in node}),
        }

    def _scanned(self, ctx: Context, session: Connection, plan: dict[str, Any]) -> list[Facts]:
        table_by_name: dict[str, Facts] = {}
        for node, reads in sorted(reads_of(plan), key=lambda pair: pair[1]):
            if "Relation Name" in node:
                row = session.execute(_ROWS, (node["Schema"], node["Relation Name"])).fetchone()
                name = f"{node['Schema']}.{node['Relation Name']}".removeprefix("public.")
                table_by_name[name] = {
                    "table": printable(name, limit=130),
                    "rows": row[0] if row else 0,
                    "filter": said(ctx, node.get("Filter")),
                    "reads": reads,
                }
        large = [table for table in table_by_name.values() if table["rows"] >= self.rows]
        return sorted(large, key=lambda table: -int(str(table["rows"])))[:MOST_SCANNED]


def _explained(session: Connection, query: str) -> dict[str, Any]:
    """Return the generic plan of one statement. Such a plan is valid for any parameter values.

    The statement is not run, but only prepared with PREPARE and planned with EXPLAIN EXECUTE. PREPARE is sent by the
    extended protocol, because this protocol refuses a text with several statements. Raises psycopg.Error when the server
    reports an error.
    """
    session.execute(f"PREPARE drillbook_plan AS {query}".encode(), prepare=True)
    try:
        count = first_row(
            session,
            "SELECT cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements WHERE name = 'drillbook_plan'",
        )[0]
        values = sql.SQL("({})").format(sql.SQL(", ").join([sql.NULL] * count)) if count else sql.SQL("")
        row = first_row(session, sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE drillbook_plan{}").format(values))
    finally:
        session.execute("DEALLOCATE drillbook_plan")
    return dict(row[0][0]["Plan"])
