"""Actions that damage or stop a PostgreSQL server."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo
from drillbook.sdk.identity import Identity
from drillbook.sdk.manager import manager_of
from drillbook.sdk.manager.right import need_right
from drillbook.systems.postgres import access, cluster, command_line, identity, ownership, removal
from drillbook.systems.postgres.actions.fields import ServiceName, examined, need_ownership, need_start, need_unit
from drillbook.systems.postgres.connection import answers, connected, reason
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres

_WHOLE = "postgres.base_intact"
"""Name of the action that verifies a backup of the whole cluster. A dump of one database is not such a backup."""
_SOURCE = "backup.check"
"""Name of the action that verifies a backup made by the team's own backup tool, for example pgBackRest.

Right before the fault, the Drillbook module for the backup tool compares such a backup with the server.
"""
_OTHERS = """
SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate AND datname <> 'postgres' AND datname <> %s ORDER BY 1
"""


class LoseData(Fault):
    """Kill the server with SIGKILL and remove its data directory, as if its disk had been lost."""

    SERVICE = Postgres
    RESTORE_ONLY = True
    PROVEN_BY = ("postgres.backup_intact", _WHOLE, _SOURCE)
    RESTORED_BY = {
        "postgres.backup_intact": "postgres.restore",
        _WHOLE: "postgres.recover",
        _SOURCE: "backup.restore",
    }
    UNDO = ("restore",)

    service: ServiceName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid``: process ID of the killed server; ``data_directory``: path of its data directory.

        ``files``: number of removed files; ``bytes``: total size of the removed files.
        """
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        if why := self._not_covered(ctx, service):
            raise StepFailed(f"{why}; nothing was lost")
        try:
            ownership.must_own(ctx, tools)
            command_line.need_repeated(ctx, tools)
        except (CouldNotVerify, NotReady) as error:
            raise StepFailed(f"{error.message}; nothing was lost") from error
        pid, removed = removal.lose(tools)
        return {"pid": pid, "data_directory": service.data_directory, "files": removed.files, "bytes": removed.bytes}

    def ready(self, ctx: Context) -> None:
        """Check that the data directory contains a cluster, and that its server belongs to the unit and answers at the port.

        Also check that the server can be started again with its present settings.
        """
        service = ctx.service(self.service, Postgres)
        state = examined(Tools.of(ctx, service, ctx.host))
        if state != "cluster":
            raise NotReady(
                f"{ctx.host.name}: {service.data_directory} is not the data directory of a cluster (state: {state})",
                hint="check `data_directory` of the service in the inventory",
            )
        need_ownership(ctx, service)
        need_start(ctx, service)
        if why := self._not_covered(ctx, service):
            raise NotReady(
                why,
                hint=f"verify a `postgres.base_backup` with `{_WHOLE}` and restore it with `postgres.recover`, or use a "
                "cluster with only one database",
            )

    def _not_covered(self, ctx: Context, service: Postgres) -> str:
        """Return the reason why the verified backup lacks data that this fault destroys.

        Return an empty text when the backup contains all this data.
        """
        if ctx.proofs & {_WHOLE, _SOURCE}:
            return ""
        try:
            with connected(ctx, service, database="postgres") as session:
                others = [str(name) for (name,) in session.execute(_OTHERS, (service.database,)).fetchall()]
        except (psycopg.Error, HostError) as error:
            return f"{self.service} cannot be queried for its databases: {reason(error)}"
        if not others:
            return ""
        named = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
        return f"the cluster of {self.service} also contains {named}, which a dump of {service.database} cannot restore"

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the database, which is lost together with its cluster."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because only a restore can recover the data."""
        return Undo.by_restore("the data directory is lost; only a restore can recover it")

    def active(self, ctx: Context) -> bool | None:
        """Return True while the cluster is missing or lacks the database. Return False as soon as the database exists.

        The server and the data directory may contradict each other: the server answers although the directory contains no
        cluster, or it does not answer although the directory contains files. Then CouldNotVerify is raised.
        """
        service = ctx.service(self.service, Postgres)
        state, there = cluster.state(Tools.of(ctx, service, ctx.host)), answers(ctx, service)
        if state in ("absent", "empty") and not there:
            return True
        if state == "cluster" and there:
            return not _holds_its_database(ctx, service)
        raise CouldNotVerify(
            f"{ctx.host.name}: {service.data_directory} is in the state `{state}`, but {self.service} "
            f"{'answers' if there else 'does not answer'}"
        )

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when this step damaged nothing: the cluster is complete, its removal has not begun, and its server
        has the service's database.
        """
        service = ctx.service(self.service, Postgres)
        whole = removal.whole(Tools.of(ctx, service, ctx.host))
        return whole and answers(ctx, service) and _holds_its_database(ctx, service)

    def interrupted(self, ctx: Context) -> None:
        """Start the server again if this step killed the server but did not begin to remove files of the cluster."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        if not answers(ctx, service) and removal.whole(tools):
            with cluster.starting(ctx, tools):
                """Wait until the server accepts writes."""


def _holds_its_database(ctx: Context, service: Postgres) -> bool:
    """Return True when the service's database exists on the server that uses the data directory.

    Raises CouldNotVerify when the server cannot be queried or uses another data directory.
    """
    try:
        with connected(ctx, service, database="postgres") as session:
            ownership.must_answer(session, Tools.of(ctx, service, ctx.host))
            return access.exists(session, service.database)
    except StepFailed as error:
        raise CouldNotVerify(error.message) from error
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(f"{service.name} cannot be queried for its database: {reason(error)}") from error


class Stop(Fault):
    """Stop the server, as if somebody had stopped the wrong unit. With mode `immediate`, stop it as if it had crashed."""

    SERVICE = Postgres
    UNDO = ("commands",)

    service: ServiceName
    mode: Annotated[Literal["fast", "immediate"], Field(description="Shutdown mode of pg_ctl.")] = "fast"

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``unit``: unit of the stopped server; ``mode``: mode in which it was stopped."""
        service = ctx.service(self.service, Postgres)
        cluster.stop(ctx, Tools.of(ctx, service, ctx.host), self.mode)
        return {"unit": service.unit, "mode": self.mode}

    def ready(self, ctx: Context) -> None:
        """Check that the server can be stopped and started again.

        If the service manager stops the server, it must know the unit. If pg_ctl stops the server, then data directory,
        unit and server must belong together. In both cases, the server's present settings must allow a start, and the
        account of the step must have the right to start the unit.
        """
        service = ctx.service(self.service, Postgres)
        if self.mode == "immediate" or not service.unit:
            need_ownership(ctx, service)
        else:
            need_unit(ctx, service)
        need_start(ctx, service)
        if service.unit:
            need_right(ctx, service.unit)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the server again."""
        service = ctx.service(self.service, Postgres)
        if service.unit:
            return Undo.by_commands(*manager_of(ctx.host).back(ctx.host, service.unit, ctx.deadline))
        return Undo.by_commands(cluster.start_command(Tools.of(ctx, service, ctx.host)))

    def active(self, ctx: Context) -> bool:
        """Return True while the server refuses connections."""
        return not answers(ctx, ctx.service(self.service, Postgres))
