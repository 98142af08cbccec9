"""Actions for physical backups of a cluster and its WAL (write-ahead log). A recovery from such a backup and the later WAL
can restore even the last commit.
"""

from __future__ import annotations

import time
from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk import store_rights, stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import PART_SIZE, BackupFolder, PartSize, drop_uploads
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.linux.process_lookup import need
from drillbook.systems.postgres import basebackup, cluster, identity, wal
from drillbook.systems.postgres.actions.fields import BaseLocation, ServiceName, need_place
from drillbook.systems.postgres.cluster_recovery import Recovery
from drillbook.systems.postgres.connection import connected, first_row, reason
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.manifest import BaseManifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Duration


class BaseBackup(Write):
    """Copy the files of a cluster to a store with pg_basebackup. A recovery to the last commit also needs the later WAL."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    to: BackupFolder
    part_size: PartSize = PART_SIZE

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location``: address of the backup; ``manifest``: address of the backup's manifest.

        ``bytes``: size of the backup; ``cluster_bytes``: size of all databases; ``start_lsn``, ``end_lsn`` and
        ``timeline``: WAL positions and timeline of the backup; ``taken_at``: time of the backup; ``seconds``: duration
        of each stage; ``evidence``: copy of the manifest; ``signed``: true if the manifest is signed; ``unsigned``: the
        reason if it is not.
        """
        service = ctx.service(self.service, Postgres)
        folder = Reference.parse(self.to)
        return basebackup.Base(ctx, service, Store(ctx.bucket(self.to)), folder, int(self.part_size)).take()

    def ready(self, ctx: Context) -> None:
        """Check that the superuser has the right to replicate, and that all data is in the data directory. Check also the
        tools, the free space and the store.
        """
        service = ctx.service(self.service, Postgres)
        version, size = _may_replicate(ctx, service)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("pg_basebackup",), version)
        tools.need_space(ctx.scratch, size)
        need_transfer(ctx, self.to if self.known("to") else "")
        if self.known("to"):
            store_rights.need_target(ctx, Store(ctx.bucket(self.to)), self.to)

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the cluster that is copied."""
        return identity.measured(ctx, self.service, whole=True)

    def interrupted(self, ctx: Context) -> None:
        """Abort the unfinished uploads to the store folder in the parameter `to`."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the backup is kept."""
        return Undo.nothing("a backup is kept")


def _may_replicate(ctx: Context, service: Postgres) -> tuple[int, int]:
    """Return the server's major version and the size of all its databases in bytes.

    Raises NotReady in four cases: the server cannot be reached, some data is outside the data directory, the superuser has no
    right to replicate, or wal_level or max_wal_senders does not permit a base backup.
    """
    try:
        with connected(ctx, service) as session:
            elsewhere = basebackup.other_tablespaces(session)
            allowed, level, senders, version, size = first_row(session, _REPLICATION)
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{service.name} cannot be reached as {service.admin.user}: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error
    if elsewhere:
        raise NotReady(
            f"{service.name} has tablespaces outside its data directory: {', '.join(elsewhere)}",
            hint="use postgres.dump, because Drillbook's base backup covers only the data directory",
        )
    if not allowed or level == "minimal" or senders < 3:
        raise NotReady(
            f"{service.name} cannot be backed up physically: {service.admin.user} "
            f"{'has the' if allowed else 'has no'} right to replicate, wal_level is {level}, max_wal_senders is {senders}",
            hint="give the role the attribute REPLICATION, set wal_level to replica or logical, and max_wal_senders to 3 or more",
        )
    return int(version) // 10000, int(size)


_REPLICATION = """
SELECT r.rolreplication OR r.rolsuper, pg_catalog.current_setting('wal_level'),
       pg_catalog.current_setting('max_wal_senders')::int, pg_catalog.current_setting('server_version_num')::int,
       (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def _same(ctx: Context, manifest: BaseManifest, service: str) -> None:
    """Raise StepFailed when the backup described by ``manifest`` is not a backup of ``service``."""
    if not ctx.same_service(manifest.service, service):
        raise StepFailed(
            f"the backup is a backup of the service {manifest.service!r}, not of {service!r}",
            findings=[finding("expectation", title="service", wanted=service, measured=manifest.service)],
        )


class BaseIntact(Read):
    """Fetch a physical backup, unpack it, and check all its files and its WAL with pg_verifybackup."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("postgres.recover",)

    service: ServiceName
    from_: BaseLocation

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files``: number of files in the backup; ``bytes``: size of the backup.

        ``identity``: identity of the cluster; ``start_lsn`` and ``end_lsn``: WAL positions of the backup; ``taken_at``:
        time of the backup; ``seconds``: duration of the step; ``said``: output of pg_verifybackup.
        """
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        begun = ctx.deadline.remaining()
        with failing("the base backup could not be verified"):
            backup = basebackup.Extracted(ctx, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_))
            manifest = BaseManifest.read_whole(backup.store, backup.origin)
            _same(ctx, manifest, self.service)
            basebackup.need_room(tools, manifest)
            mine = Tools(tools.service.model_copy(update={"run_as": ""}), tools.host, tools.deadline, tools.scratch)
            with ctx.temporary("intact") as scratch:
                folder = backup.fetch(manifest, scratch)
                backup.extract(mine, folder, f"{scratch}/data")
                said = backup.verify(mine, folder, f"{scratch}/data")
        return {
            "files": len(manifest.files),
            "bytes": manifest.bytes,
            "start_lsn": manifest.start_lsn,
            "end_lsn": manifest.end_lsn,
            "taken_at": manifest.taken_at,
            "identity": self._identity(ctx, manifest).model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
            "said": said,
        }

    def _identity(self, ctx: Context, manifest: BaseManifest) -> Identity:
        unsaved = identity.of(ctx, manifest.service, manifest.system_identifier)
        return unsaved.saved(manifest.digest_at(stored_backup.split(self.from_)))

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the service's cluster."""
        return identity.measured(ctx, self.service, whole=True)

    def ready(self, ctx: Context) -> None:
        """Check that pg_verifybackup, pg_waldump and a transfer program exist on the host."""
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        tools.need(("pg_verifybackup", "pg_waldump"), 0)
        need_transfer(ctx, self.from_ if self.known("from_") else "")


class StreamWal(Write):
    """Receive the server's WAL (write-ahead log) continuously into a folder outside the server's data directory.

    The WAL receiver exits at the end of the run. If the controller has died, the receiver exits when the time `for` has
    passed. A recovery in the drill reads the WAL from this folder, as from a WAL archive. Run this step before the base
    backup, so that no WAL is missing after the backup.
    """

    SERVICE = Postgres
    UNDO = ("action",)
    UNDO_ACTIONS = ("postgres.stop_wal",)

    service: ServiceName
    for_: Annotated[
        Duration,
        Field(
            alias="for",
            ge=1,
            le=43200,
            description=(
                "Time after which the WAL receiver exits, even if the controller has died; at most 12h. Choose a time longer "
                "than the drill."
            ),
        ),
    ] = Duration(3600)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``folder``: folder of the received WAL; ``pid``: process ID of the WAL receiver."""
        receiver = wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
        receiver.stop()
        try:
            return {"pid": receiver.start(self.for_, wal.name_of(ctx.run_id)), "folder": receiver.folder}
        except BaseException:
            wal.stop_quietly(receiver)
            raise

    def ready(self, ctx: Context) -> None:
        """Check that the superuser has the right to replicate, and that the host has pg_receivewal of the server's version."""
        need(ctx, "setsid", "timeout")
        service = ctx.service(self.service, Postgres)
        version, _ = _may_replicate(ctx, service)
        Tools.of(ctx, service, ctx.host).need(("pg_receivewal",), version)

    def active(self, ctx: Context) -> bool:
        """Return True while the WAL receiver runs."""
        return wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)).alive()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that stops the WAL receiver, but keeps the received WAL until the run ends, for a recovery."""
        return Undo.by_action("postgres.stop_wal", service=self.service)


class StopWal(Write):
    """Stop the WAL receiver that `postgres.stream_wal` started in this run. Received WAL is kept until the run ends."""

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``stopped``: true when this step stopped the WAL receiver, false when the receiver had exited before."""
        receiver = wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
        alive = receiver.alive()
        receiver.stop()
        return {"stopped": alive}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the WAL receiver stays stopped, because only this run needed the WAL."""
        return Undo.nothing("the WAL was received only for this run")


class WalReceived(Write):
    """Wait until the WAL receiver of `postgres.stream_wal` has flushed all commits made before this step to disk.

    The receiver gets WAL a moment after the server wrote it. Without this step, it is unknown which of the last commits a
    recovery must restore. The action commits a message to the WAL, so that the server flushes all earlier commits. The
    message changes no data. A standby server accepts no commits, so `service` must be the primary server.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    within: Annotated[Duration, Field(gt=0, description="Maximum time to wait.")] = Duration(30)

    def ready(self, ctx: Context) -> None:
        """Raise NotReady when the server cannot be reached, or is a standby that accepts no commits."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                standby = first_row(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]
        except (psycopg.Error, HostError) as error:
            raise NotReady(
                f"{service.name} cannot be reached as {service.admin.user}: {reason(error)}",
                hint="check address, port and `admin` of the service in the inventory",
            ) from error
        if standby:
            raise NotReady(f"{service.name} is a standby, which accepts no commit", hint="set `service` to the primary")

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the step's message in the WAL changes no data."""
        return Undo.nothing("the message in the WAL changes no data")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lsn``: LSN up to which WAL was received; ``seconds``: waiting time."""
        begun, name = time.monotonic(), wal.name_of(ctx.run_id)
        service = ctx.service(self.service, Postgres)
        with failing("the position of the WAL receiver could not be read"), connected(ctx, service) as session:
            session.execute("SET synchronous_commit TO local")
            lsn = first_row(session, "SELECT pg_catalog.pg_logical_emit_message(true, 'drillbook', 'received')::text")[0]
            while not (row := session.execute(_RECEIVED, (lsn, name)).fetchone()) or not row[1]:
                if row is None:
                    raise StepFailed(
                        f"nothing receives the WAL of {self.service}: the receiver of `postgres.stream_wal` has "
                        "exited or was not started"
                    )
                if time.monotonic() - begun > self.within or ctx.deadline.remaining() < 0.5:
                    raise StepFailed(
                        f"the WAL of {self.service} was not received up to {lsn} in time",
                        findings=[
                            finding(
                                "wal-behind",
                                title=self.service,
                                wanted=f"WAL received up to {lsn} within {self.within:g} s",
                                measured=f"WAL received up to {row[0] or 'no position'}",
                            )
                        ],
                    )
                ctx.deadline.wait(0.05)
        return {"lsn": lsn, "seconds": round(time.monotonic() - begun, 3)}


# Use the WAL receiver that has received the most: the server may list a killed WAL receiver for a while.
_RECEIVED = """
SELECT pg_catalog.max(flush_lsn)::text, coalesce(pg_catalog.max(flush_lsn) >= %s::pg_lsn, false)
FROM pg_catalog.pg_stat_replication WHERE application_name = %s HAVING pg_catalog.count(*) > 0
"""


class Recover(Write):
    """Recover a whole cluster from a base backup and all WAL that was written after this backup.

    The data directory must be empty. The step fails when the recovery stops before the last WAL record. It also fails when
    a WAL segment is missing between the backup and the end of the WAL, on any timeline. If the last segments are lost, this
    is noticed only with the parameter `reach`, because nothing else records that these segments existed.
    """

    SERVICE = Postgres
    TIMEOUT = 3600.0
    TAKES = {"wal": ("postgres.stream_wal", "folder"), "reach": ("postgres.wal_received", "lsn")}
    UNDO = ("commands", "action")
    UNDO_ACTIONS = ("postgres.remove_cluster",)

    service: ServiceName
    from_: BaseLocation
    wal: Annotated[
        str,
        Field(
            pattern=r"^(/[^\x00\n]+)?$",
            description=(
                "Folder on the host with the WAL written since the backup. `postgres.stream_wal` returns it as the fact "
                "`folder`. If this parameter is empty, the recovery ends at the end of the backup."
            ),
        ),
    ] = ""
    reach: Annotated[
        str,
        Field(
            pattern=r"^([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})?$",
            description="LSN that the recovery must reach, otherwise the step fails. `postgres.wal_received` returns it as "
            "the fact `lsn`.",
        ),
    ] = ""
    temporary: Annotated[
        bool, Field(description="Restore into a new cluster for this run only. The run removes this cluster at its end.")
    ] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``replayed_to``: LSN that the recovery reached; ``last_commit_at``: time of the last recovered commit;
        ``timeline`` and ``timeline_before``: timelines of the recovered cluster and of the backup; ``segments``: number of WAL
        segments; ``database``: the service's database; ``cluster_bytes`` and ``database_bytes``: size of the cluster, in
        both facts; ``backup_taken_at``: time of the base backup; ``bytes_per_second``: size of the cluster divided by the
        duration of the recovery; ``seconds``: duration of each stage.
        """
        service = ctx.service(self.service, Postgres)
        store, origin = Store(ctx.bucket(self.from_)), stored_backup.split(self.from_)
        return Recovery(ctx, service, store, origin, self.wal, self.reach, self.temporary).run()

    def ready(self, ctx: Context) -> None:
        """Check tools, transfer program and store. Check that data directory, unit and server belong to the service."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("initdb", *(("pg_waldump",) if not self.known("wal") or self.wal else ())), 0)
        need_transfer(ctx, self.from_ if self.known("from_") else "")
        need_place(ctx, tools, temporary=self.temporary)
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the recovered cluster."""
        return identity.measured(ctx, self.service, whole=True)

    def active(self, ctx: Context) -> bool:
        """Return True while the temporary cluster or an unfinished cluster of this run exists."""
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        made = self.temporary and cluster.state(tools) not in ("absent", "empty")
        return made or cluster.left_aside(tools, ctx.run_id)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes a temporary cluster or an unfinished cluster, and keeps any other cluster."""
        if self.temporary:
            return Undo.by_action("postgres.remove_cluster", service=self.service)
        tools = Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)
        return Undo.by_commands(cluster.clear_own(tools, ctx.run_id))
