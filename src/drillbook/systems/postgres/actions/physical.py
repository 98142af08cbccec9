"""Physical backups of a whole cluster and its log: recovery to the last moment, which no dump can give."""

from __future__ import annotations

import time
from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import drop_uploads
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.sdk.transfer import Carrier
from drillbook.systems.linux.target import need
from drillbook.systems.postgres import basebackup, cluster, identity, wal
from drillbook.systems.postgres.actions.backup import PartSize
from drillbook.systems.postgres.actions.fields import ServiceName, need_ownership
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.recovering import Recovery
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools
from drillbook.values import Duration, Size


class BaseBackup(Write):
    """Copy the files of the whole cluster into a store, as pg_basebackup does, for a recovery with the log since then."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    to: Annotated[Uri, Field(description="Folder in a store: `s3://bucket/prefix`. It must hold no backup yet.")]
    part_size: PartSize = Size(32 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location manifest bytes cluster_bytes start_lsn end_lsn timeline taken_at seconds evidence``."""
        service = ctx.service(self.service, Postgres)
        folder = Reference.parse(self.to)
        return basebackup.Base(ctx, service, Store(ctx.bucket(self.to)), folder, int(self.part_size)).take()

    def ready(self, ctx: Context) -> None:
        """The right to replicate, no tablespace elsewhere, tools of the server's version, room, and the store."""
        service = ctx.service(self.service, Postgres)
        version, size = _may_replicate(ctx, service)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("pg_basebackup",), version)
        tools.need_space(ctx.scratch, size)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("to"):
            Store(ctx.bucket(self.to)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The cluster that is copied."""
        return identity.measured(ctx, self.service, whole=True)

    def interrupted(self, ctx: Context) -> None:
        """Drop what was being uploaded."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """A backup is kept."""
        return Undo.nothing("a backup is kept")


def _may_replicate(ctx: Context, service: Postgres) -> tuple[int, int]:
    """Major version of the server and the size of its databases. Raises NotReady."""
    try:
        with connected(ctx, service) as session:
            elsewhere = basebackup.other_tablespaces(session)
            allowed, level, senders, version, size = one(session, _REPLICATION)
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{service.name} cannot be reached as {service.admin.user}: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error
    if elsewhere:
        raise NotReady(
            f"{service.name} has tablespaces outside its data directory: {', '.join(elsewhere)}",
            hint="use postgres.dump: a base backup here covers the data directory alone",
        )
    if not allowed or level == "minimal" or senders < 3:
        raise NotReady(
            f"{service.name} cannot be copied: {service.admin.user} "
            f"{'may' if allowed else 'may not'} replicate, wal_level is {level}, max_wal_senders {senders}",
            hint="give the role REPLICATION, set wal_level to replica and max_wal_senders to 3 or more",
        )
    return int(version) // 10000, int(size)


_REPLICATION = """
SELECT r.rolreplication OR r.rolsuper, pg_catalog.current_setting('wal_level'),
       pg_catalog.current_setting('max_wal_senders')::int, pg_catalog.current_setting('server_version_num')::int,
       (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def _same(ctx: Context, manifest: basebackup.BaseManifest, service: str) -> None:
    """Raise StepFailed when the backup is another service's."""
    if not ctx.same_service(manifest.service, service):
        raise StepFailed(
            f"the backup is of {manifest.service!r}, not of {service!r}",
            findings=[finding("expectation", title="service", wanted=service, measured=manifest.service)],
        )


def _room(tools: Tools, manifest: basebackup.BaseManifest) -> None:
    """Raise StepFailed where the files and the cluster that is made of them would not fit."""
    try:
        tools.need_space(tools.scratch, manifest.cluster_bytes + sum(one.size for one in manifest.files.values()))
    except NotReady as error:
        raise StepFailed(f"{error.message}: {error.hint}") from error


class BaseIntact(Read):
    """Fetch a physical backup, unpack it, and let pg_verifybackup read every file of it and its log."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("postgres.recover",)

    service: ServiceName
    from_: Annotated[Uri, Field(alias="from", description="The `location` that a base backup gave.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files bytes start_lsn end_lsn taken_at seconds said``, ``identity`` of what it is a backup of."""
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        begun = ctx.deadline.remaining()
        with failing("the base backup could not be read"):
            backup = basebackup.Extracted(ctx, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_))
            manifest = basebackup.read(backup.store, backup.origin)
            _same(ctx, manifest, self.service)
            _room(tools, manifest)
            mine = Tools(tools.service.model_copy(update={"run_as": ""}), tools.host, tools.deadline, tools.scratch)
            with ctx.temporary("intact") as scratch:
                folder = backup.fetch(manifest, scratch)
                backup.extract(mine, folder, f"{scratch}/data")
                said = backup.verify(mine, folder, f"{scratch}/data")
        return {
            "files": len(manifest.files),
            "bytes": sum(one.size for one in manifest.files.values()),
            "start_lsn": manifest.start_lsn,
            "end_lsn": manifest.end_lsn,
            "taken_at": manifest.taken_at,
            "identity": self._identity(ctx, manifest).model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
            "said": said,
        }

    def _identity(self, ctx: Context, manifest: basebackup.BaseManifest) -> Identity:
        found = identity.of(ctx, manifest.service, manifest.system_identifier)
        return found.saved(stored_backup.split(self.from_).sha256 or stored_backup.sha256(manifest.encoded()))

    def subject(self, ctx: Context) -> Identity | None:
        """The service's cluster."""
        return identity.measured(ctx, self.service, whole=True)

    def ready(self, ctx: Context) -> None:
        """Tools on the host, and a way to carry the files."""
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        tools.need(("pg_verifybackup", "pg_waldump"), 0)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()


class StreamWal(Write):
    """Receive the log of the server as it is written, into a folder outside its data directory, until the run ends.

    It ends by itself after `for`, also when nobody is left to end it. It stands for the log archive of a
    real installation. Start it before the base backup, so that nothing is between.
    """

    SERVICE = Postgres
    UNDO = ("action",)

    service: ServiceName
    for_: Annotated[
        Duration,
        Field(
            alias="for",
            ge=1,
            le=43200,
            description=(
                "It ends by itself after this time, whatever happens; at most 12h. Let it be longer than the drill."
            ),
        ),
    ] = Duration(3600)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``folder`` for the recovery, ``pid`` of pg_receivewal."""
        receiver = wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
        receiver.stop()
        try:
            return {"pid": receiver.start(self.for_, wal.name_of(ctx.run_id)), "folder": receiver.folder}
        except BaseException:
            wal.stop_quietly(receiver)
            raise

    def ready(self, ctx: Context) -> None:
        """The right to replicate, and pg_receivewal of the server's version."""
        need(ctx, "setsid", "timeout")
        service = ctx.service(self.service, Postgres)
        version, _ = _may_replicate(ctx, service)
        Tools.of(ctx, service, ctx.host).need(("pg_receivewal",), version)

    def active(self, ctx: Context) -> bool:
        """True while it receives."""
        return wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)).alive()

    def undo(self, ctx: Context) -> Undo:
        """End it; what it received stays until the run has ended, because a restore may need it."""
        return Undo.by_action("postgres.stop_wal", service=self.service)


class StopWal(Write):
    """End what `postgres.stream_wal` of this very run started; what was received stays until the run has ended."""

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``stopped``, false when it had ended by itself, as it does when the server is gone."""
        receiver = wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
        alive = receiver.alive()
        receiver.stop()
        return {"stopped": alive}

    def undo(self, ctx: Context) -> Undo:
        """It was only for this run."""
        return Undo.nothing("the log was received only for this run")


class WalReceived(Write):
    """Wait until all that is committed now is on the disk of the receiver that `postgres.stream_wal` of this run started.

    It is received a moment after it is written: without this step nobody knows which of the last commits a recovery must
    bring back. A commit of its own, a message in the log that changes no data, makes sure that the server has flushed those
    before it. A standby takes no such commit: name the primary.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    within: Annotated[Duration, Field(gt=0, description="The longest that it may take.")] = Duration(30)

    def ready(self, ctx: Context) -> None:
        """The server must take commits. Raises NotReady."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                standby = one(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]
        except (psycopg.Error, HostError) as error:
            raise NotReady(
                f"{service.name} cannot be reached as {service.admin.user}: {reason(error)}",
                hint="check address, port and `admin` of the service in the inventory",
            ) from error
        if standby:
            raise NotReady(f"{service.name} is a standby, which takes no commit", hint="name the primary as the `service`")

    def undo(self, ctx: Context) -> Undo:
        """A message in the log changes no data."""
        return Undo.nothing("a message in the log changes no data")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lsn`` up to which the log is received, for `reach` of the recovery, and ``seconds`` that it took."""
        begun, name = time.monotonic(), wal.name_of(ctx.run_id)
        service = ctx.service(self.service, Postgres)
        with failing("the receiver's place could not be read"), connected(ctx, service) as session:
            session.execute("SET synchronous_commit TO local")
            lsn = one(session, "SELECT pg_catalog.pg_logical_emit_message(true, 'drillbook', 'received')::text")[0]
            while not (row := session.execute(_RECEIVED, (lsn, name)).fetchone()) or not row[1]:
                if row is None:
                    raise StepFailed(
                        f"nobody receives the log of {self.service}: `postgres.stream_wal` has ended, or did not begin"
                    )
                if time.monotonic() - begun > self.within or ctx.deadline.remaining() < 0.5:
                    raise StepFailed(
                        f"the log of {self.service} was not received up to {lsn} in time",
                        findings=[
                            finding(
                                "wal-behind",
                                title=self.service,
                                wanted=f"received up to {lsn} within {self.within:g} s",
                                measured=f"received up to {row[0] or 'nowhere'}",
                            )
                        ],
                    )
                ctx.deadline.wait(0.05)
        return {"lsn": lsn, "seconds": round(time.monotonic() - begun, 3)}


# The furthest of them: a receiver that was ended hard may still be there for a while.
_RECEIVED = """
SELECT pg_catalog.max(flush_lsn)::text, coalesce(pg_catalog.max(flush_lsn) >= %s::pg_lsn, false)
FROM pg_catalog.pg_stat_replication WHERE application_name = %s HAVING pg_catalog.count(*) > 0
"""


class Recover(Write):
    """Recover a whole cluster from a base backup and the log since, to the log's end; the data directory must be empty.

    It fails where the log lacks a segment on any timeline on the way, and where the recovery ended before the log's last
    record. That the last segments themselves are lost shows only against `reach`: nothing else tells that they were there.
    """

    SERVICE = Postgres
    TIMEOUT = 3600.0
    TAKES = {"wal": ("postgres.stream_wal", "folder"), "reach": ("postgres.wal_received", "lsn")}
    UNDO = ("commands",)

    service: ServiceName
    from_: Annotated[Uri, Field(alias="from", description="The `location` that a base backup gave.")]
    wal: Annotated[
        str,
        Field(
            pattern=r"^(/[^\x00\n]+)?$",
            description=(
                "Folder on the host with the log since: the `folder` of `postgres.stream_wal`. Empty: to the backup's end."
            ),
        ),
    ] = ""
    reach: Annotated[
        str,
        Field(
            pattern=r"^([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})?$",
            description=("The recovery fails when it ends before this LSN: the `lsn` of `postgres.wal_received`."),
        ),
    ] = ""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``replayed_to last_commit_at timeline segments cluster_bytes bytes_per_second seconds``."""
        service = ctx.service(self.service, Postgres)
        return Recovery(
            ctx, service, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_), self.wal, self.reach
        ).run()

    def ready(self, ctx: Context) -> None:
        """Tools on the host, the owner of the data directory, its unit and server, a way to carry, and the store."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("initdb", *(("pg_waldump",) if not self.known("wal") or self.wal else ())), 0)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        try:
            cluster.state(tools)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        need_ownership(ctx, service)
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The cluster that was recovered."""
        return identity.measured(ctx, self.service, whole=True)

    def active(self, ctx: Context) -> bool:
        """True while half a cluster lies beside the data directory."""
        return cluster.left_aside(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host), ctx.run_id)

    def undo(self, ctx: Context) -> Undo:
        """What was recovered stays; half a cluster beside the data directory is removed."""
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        return Undo.by_commands(cluster.clear_own(tools, ctx.run_id))
