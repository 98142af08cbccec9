"""Actions for physical backups of a cluster and its WAL (write-ahead log). A recovery from such a backup and the later WAL
can restore even the last commit.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk import store_rights, stored_backup
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.backup_writer import PART_SIZE, BackupFolder, PartSize, drop_uploads
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.postgres import basebackup, cluster, identity, replication_rights
from drillbook.systems.postgres.actions.fields import BaseLocation, ServiceName, need_place
from drillbook.systems.postgres.cluster_recovery import Recovery
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.manifest import BaseManifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres


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
        version, size = replication_rights.need_rights(ctx, service)
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
