"""Actions after a restore: admit clients, discard incompletely restored databases and clusters of this run, and remove its
temporary cluster.
"""

from __future__ import annotations

from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.systems.postgres import access, cluster, cluster_mark, removal
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import connected, reason
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres


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
    """Discard each database or cluster that this run restored only in part. No client has used it yet.

    If this run restored a database completely, but has not admitted clients yet, the action admits clients. All other
    databases stay unchanged.
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
                f"{self.service}: an unfinished restore could not be found or cleared: {reason(error)}",
                hint=f"if its server is down, start it; then recover the run: invoke drill.recover {ctx.run_id}",
            ) from error
        return {"discarded": discarded, "opened": opened}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the unfinished database was never in use."""
        return Undo.nothing("the discarded data was never in use")


class RemoveCluster(Write):
    """Stop and remove a cluster that this run restored with `temporary: true`; refuse to remove any other cluster.

    Staging clusters next to the data directory, which were never in use, are removed first.
    """

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed``: true when a cluster was removed; ``files``: number of its files; ``bytes``: their total size.

        The step succeeds when there is no cluster; ``removed`` is then false.
        """
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        cluster.clear_aside(tools)
        if cluster.state(tools) in ("absent", "empty"):
            return {"removed": False, "files": 0, "bytes": 0}
        owner = cluster_mark.owner(tools)
        if owner != ctx.run_id:
            whose = (
                (f"the cluster in this folder belongs to the other run {owner}")
                if owner
                else ("the cluster in this folder is not a temporary cluster of any run")
            )
            raise StepFailed(
                f"{ctx.host.name}: {service.data_directory} must not be removed: {whose}",
                findings=[
                    finding(
                        "restore-target",
                        title=self.service,
                        wanted=f"a temporary cluster of the run {ctx.run_id}",
                        measured=whose,
                        remedy=(
                            "Find out who owns the cluster. If nobody needs it, stop its server and remove its data "
                            "directory by hand."
                        ),
                    )
                ],
            )
        cluster_mark.stop(ctx, tools)
        removed = removal.remove(tools)
        return {"removed": True, "files": removed.files, "bytes": removed.bytes}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the cluster existed only for this run."""
        return Undo.nothing("the cluster was made only for this run")
