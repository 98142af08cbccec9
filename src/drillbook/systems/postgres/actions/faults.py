"""What can happen to a PostgreSQL server."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo
from drillbook.sdk.identity import Identity
from drillbook.sdk.manager import manager_of
from drillbook.systems.postgres import access, cluster, identity, ownership
from drillbook.systems.postgres.actions.fields import ServiceName, need_ownership, need_unit
from drillbook.systems.postgres.connection import answers, connected, reason
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools

_WHOLE = "postgres.base_intact"
"""Proves a backup of all databases; a dump is of one."""
_OTHERS = """
SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate AND datname <> 'postgres' AND datname <> %s ORDER BY 1
"""


class LoseData(Fault):
    """Kill the server hard and remove its data directory, as when the disk is lost."""

    SERVICE = Postgres
    RESTORE_ONLY = True
    PROVEN_BY = ("postgres.backup_intact", _WHOLE)
    RESTORED_BY = {"postgres.backup_intact": "postgres.restore", _WHOLE: "postgres.recover"}
    UNDO = ("restore",)

    service: ServiceName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid`` of the killed server, ``data_directory``, ``files``, ``bytes``."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        if why := self._not_covered(ctx, service):
            raise StepFailed(f"{why}; nothing was lost")
        try:
            ownership.must_own(ctx, tools)
        except CouldNotVerify as error:
            raise StepFailed(f"{error.message}; nothing was lost") from error
        pid, removed = cluster.lose(tools)
        return {"pid": pid, "data_directory": service.data_directory, "files": removed.files, "bytes": removed.bytes}

    def ready(self, ctx: Context) -> None:
        """There must be a cluster to lose, of this unit, and it must be the one that answers at the port."""
        service = ctx.service(self.service, Postgres)
        try:
            found = cluster.state(Tools.of(ctx, service, ctx.host))
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if found != "cluster":
            raise NotReady(
                f"{ctx.host.name}: {service.data_directory} is {found}, not the data directory of a cluster",
                hint="check `data_directory` of the service in the inventory",
            )
        need_ownership(ctx, service)
        if why := self._not_covered(ctx, service):
            raise NotReady(
                why,
                hint=f"prove a `postgres.base_backup` with `{_WHOLE}` and restore with `postgres.recover`, "
                "or let the cluster hold one database",
            )

    def _not_covered(self, ctx: Context, service: Postgres) -> str:
        """Why the backup that this drill proves does not hold all that is lost; empty when it does."""
        if _WHOLE in ctx.proofs:
            return ""
        try:
            with connected(ctx, service, database="postgres") as session:
                others = [str(name) for (name,) in session.execute(_OTHERS, (service.database,)).fetchall()]
        except (psycopg.Error, HostError) as error:
            return f"{self.service} cannot be asked which databases it holds: {reason(error)}"
        if not others:
            return ""
        named = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
        return (
            f"the cluster of {self.service} also holds {named}, and a dump of {service.database} brings back that "
            "database alone"
        )

    def subject(self, ctx: Context) -> Identity | None:
        """The database that is lost with its cluster."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Only a restore brings the data back."""
        return Undo.by_restore("the data directory is gone; only a restore brings it back")

    def active(self, ctx: Context) -> bool | None:
        """True while there is no cluster, or one without the database; False once the database is there, whole."""
        service = ctx.service(self.service, Postgres)
        found, there = cluster.state(Tools.of(ctx, service, ctx.host)), answers(ctx, service)
        if found in ("absent", "empty") and not there:
            return True
        if found == "cluster" and there:
            return not _holds_its_database(ctx, service)
        raise CouldNotVerify(
            f"{ctx.host.name}: {service.data_directory} is {found}, and {self.service} "
            f"{'answers' if there else 'does not answer'}"
        )

    def untouched(self, ctx: Context) -> bool | None:
        """The cluster is there and its server answers with the database: one that was killed or half removed does not."""
        service = ctx.service(self.service, Postgres)
        there = cluster.state(Tools.of(ctx, service, ctx.host)) == "cluster" and answers(ctx, service)
        return there and _holds_its_database(ctx, service)


def _holds_its_database(ctx: Context, service: Postgres) -> bool:
    """Tell if the server of the data directory has the service's database. Raises CouldNotVerify."""
    try:
        with connected(ctx, service, database="postgres") as session:
            ownership.must_answer(session, Tools.of(ctx, service, ctx.host))
            return access.exists(session, service.database)
    except StepFailed as error:
        raise CouldNotVerify(error.message) from error
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(f"{service.name} cannot be asked for its database: {reason(error)}") from error


class Stop(Fault):
    """Stop the server, as when somebody stops the wrong unit; `immediate` as when it crashes."""

    SERVICE = Postgres
    UNDO = ("commands",)

    service: ServiceName
    mode: Annotated[Literal["fast", "immediate"], Field(description="As pg_ctl has it.")] = "fast"

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``mode``."""
        service = ctx.service(self.service, Postgres)
        cluster.stop(ctx, Tools.of(ctx, service, ctx.host), self.mode)
        return {"unit": service.unit, "mode": self.mode}

    def ready(self, ctx: Context) -> None:
        """The unit must be known to its manager; where the data directory decides, it must be that of the server."""
        service = ctx.service(self.service, Postgres)
        if self.mode == "immediate" or not service.unit:
            need_ownership(ctx, service)
        else:
            need_unit(ctx, service)

    def undo(self, ctx: Context) -> Undo:
        """Start it again."""
        service = ctx.service(self.service, Postgres)
        if service.unit:
            return Undo.by_commands(*manager_of(ctx.host).back(ctx.host, service.unit, ctx.deadline))
        return Undo.by_commands(cluster.start_command(Tools.of(ctx, service, ctx.host)))

    def active(self, ctx: Context) -> bool:
        """True while it refuses connections."""
        return not answers(ctx, ctx.service(self.service, Postgres))
