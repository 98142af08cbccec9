"""Action that checks the health of a running PostgreSQL server."""

from __future__ import annotations

import psycopg

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.postgres import cluster, preflight
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.service import Postgres


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
    """Raise NotReady when the role of ``session`` has no right to call the SQL function ``pg_logical_emit_message``. The action
    calls this SQL function to prove that a write reaches the disk.
    """
    if not first_row(session, _MAY_WRITE)[0]:
        raise NotReady(
            f"the role {session.info.user} may not call pg_logical_emit_message; the step calls this function to check that a "
            "write reaches the disk",
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
