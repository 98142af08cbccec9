"""Actions that take, verify and restore backups of a PostgreSQL database made by pg_dump."""

from __future__ import annotations

from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.backup_writer import PART_SIZE, BackupFolder, PartSize, drop_uploads
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.store_rights import need_target
from drillbook.systems.postgres import access, cluster, identity
from drillbook.systems.postgres.actions.fields import Location, ServiceName, need_place
from drillbook.systems.postgres.connection import connected, first_row
from drillbook.systems.postgres.dump import Backup, failing
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.reader_version import need_reader
from drillbook.systems.postgres.replication_rights import reached
from drillbook.systems.postgres.restore import Restoring
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.verification import Proof

Jobs = Annotated[int, Field(ge=1, le=64, description="Number of tables that are processed in parallel.")]


class Dump(Write):
    """Back up a database with pg_dump, and record a digest of every table. Dump and digests are from the same snapshot."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    to: BackupFolder
    jobs: Jobs = 2
    part_size: PartSize = PART_SIZE

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location``: address of the backup; ``manifest``: address of the backup's manifest.

        ``bytes``: size of the backup; ``database_bytes``: size of the database; ``snapshot_at``: time of the snapshot;
        ``files``, ``tables`` and ``rows``: numbers of files, tables and rows in the backup; ``server_version``;
        ``algorithm``: algorithm of the digests; ``tools``: versions of the tools; ``seconds``: duration of each stage.
        ``evidence``: copy of the manifest; ``signed``: true if the manifest is signed; ``unsigned``: the reason if it
        is not. When tools warned: ``warnings`` (number of warnings) and ``warnings_evidence``. For a managed database:
        ``not_recorded`` (parts that its master user cannot read).
        """
        folder = Reference.parse(self.to)
        service = ctx.service(self.service, Postgres)
        return Backup(ctx, service, Store(ctx.bucket(self.to)), folder, self.jobs, int(self.part_size)).take()

    def ready(self, ctx: Context) -> None:
        """Check that the login works, the host has the tools of the server's version, and the store can be used.

        Also check that the host has a transfer program and enough space for the dump.
        """
        service = ctx.service(self.service, Postgres)
        version, size = _ask_server(ctx, service)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("pg_dump", "pg_dumpall"), version)
        tools.need_space(ctx.scratch, size)
        need_transfer(ctx, self.to if self.known("to") else "")
        if self.known("to"):
            need_target(ctx, Store(ctx.bucket(self.to)), self.to)

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the database that is dumped."""
        return identity.measured(ctx, self.service)

    def interrupted(self, ctx: Context) -> None:
        """Abort the unfinished uploads to the store folder in the parameter `to`."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the backup is kept."""
        return Undo.nothing("a backup is kept")


def _ask_server(ctx: Context, service: Postgres) -> tuple[int, int]:
    """Query the server, and return its major version and the size of the database in bytes.

    Raises NotReady when the server cannot be reached, is a standby, or does not give the role enough rights for a backup.
    """
    with reached(ctx, service) as session:
        if first_row(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
            raise NotReady(
                f"{service.name} is a standby in recovery", hint="set `address` and `port` of the service to the primary"
            )
        superuser = first_row(session, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")[0]
        size = first_row(session, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")[0]
        version = session.info.server_version // 10000
    if not superuser and not service.managed:
        raise NotReady(
            f"{service.name}: {service.admin.user} is no superuser",
            hint="use a superuser; for a provider's database, write `managed: true` to back up what its master user can read",
        )
    return version, int(size)


class BackupIntact(Read):
    """Read a backup from the store, and compare every file of the backup with the file's digest in the manifest."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("postgres.restore", "postgres.restore_table", "postgres.restore_rows")

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files`` and ``tables``: numbers of files and tables in the backup; ``bytes``: size of the backup.

        ``snapshot_at``: time of the backup's snapshot; ``identity``: identity of the database; ``seconds``: duration of the
        step.
        """
        service = ctx.service(self.service, Postgres)
        begun = ctx.deadline.remaining()
        with failing("the backup could not be read"):
            proof = Proof(ctx, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_))
            backup = proof.manifest()
            with ctx.temporary("intact") as scratch:
                proof.fetch(backup, Tools.of(ctx, service, ctx.host), scratch)
        return {
            "files": len(backup.files),
            "bytes": backup.bytes,
            "tables": len(backup.tables),
            "snapshot_at": backup.server_time,
            "identity": self._identity(ctx, backup).model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def _identity(self, ctx: Context, backup: Manifest) -> Identity:
        unsaved = identity.of(ctx, backup.service, backup.system_identifier, backup.database.name)
        return unsaved.saved(backup.digest_at(stored_backup.split(self.from_)))

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the service's database."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Check that the host has a transfer program, and a version of pg_restore that can read the backup."""
        need_reader(ctx, ctx.service(self.service, Postgres), ("pg_restore",), self.if_known("from_"))
        need_transfer(ctx, self.from_ if self.known("from_") else "")


class Restore(Write):
    """Restore a backup into a new cluster, or into a running cluster that lacks this database. Nothing is overwritten."""

    SERVICE = Postgres
    OPENED_BY = "postgres.admit"
    TIMEOUT = 3600.0
    UNDO = ("action",)
    UNDO_ACTIONS = ("postgres.clear_restore", "postgres.remove_cluster")

    service: ServiceName
    from_: Location
    closed: Annotated[
        bool, Field(description="Let the restored database refuse clients until the action `postgres.admit` runs.")
    ] = False
    jobs: Jobs = 2
    temporary: Annotated[
        bool, Field(description="Restore into a new cluster for this run only. The run removes this cluster at its end.")
    ] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``database``: name of the database; ``fresh_cluster``: true when a new cluster was made for it.

        ``closed``: true when clients are refused; ``bytes``: size of the backup; ``database_bytes``: size of the restored
        database; ``files``, ``tables`` and ``rows``: numbers of restored files, tables and rows; ``bytes_per_second``:
        speed of the restore; ``snapshot_at``: time of the backup's snapshot; ``manifest``: address of the backup's
        manifest; ``tools``: versions of the tools; ``seconds``: duration of each stage.
        """
        service = ctx.service(self.service, Postgres)
        origin = stored_backup.split(self.from_)
        store = Store(ctx.bucket(self.from_))
        return Restoring(ctx, service, store, origin, self.closed, self.jobs, self.temporary).run()

    def ready(self, ctx: Context) -> None:
        """Check that the host has the tools and a transfer program, and that the store can be read.

        Also check that data directory, unit and server belong to the service, and that the disk has enough space.
        """
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        need_reader(ctx, service, ("pg_restore", "psql", "initdb", "vacuumdb"), self.if_known("from_"))
        need_transfer(ctx, self.from_ if self.known("from_") else "")
        need_place(ctx, tools, temporary=self.temporary)
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()
        self._need_room(ctx, service, tools)

    def _need_room(self, ctx: Context, service: Postgres, tools: Tools) -> None:
        """Raise NotReady when the disk of the data directory lacks space for the database in the backup.

        The drill removes the server's present database before the restore, so the space of this database counts as free. If
        the drill itself will take the backup, nothing is checked: the restored database will be about as large as the removed
        one, and fits.
        """
        free = tools.free_space() if self.known("from_") else None
        if free is None:
            return
        origin = stored_backup.split(self.from_)
        try:
            size = Manifest.read(Store(ctx.bucket(self.from_)), origin).database.bytes
        except (StepFailed, CouldNotVerify):
            return  # `run` reports an invalid reference or manifest
        room = free + _present(ctx, service)
        if room < size:
            raise NotReady(
                f"{ctx.host.name}: {service.data_directory} would have {room >> 20} MiB of free space without the "
                f"present database, but the database in the backup needs {-(-size >> 20)} MiB",
                hint="free some space in that file system",
            )

    def active(self, ctx: Context) -> bool | None:
        """Return True while the restore is unfinished, the restored database refuses clients, or the temporary cluster
        exists.

        Return None when the server cannot be queried.
        """
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        if cluster.left_aside(tools, ctx.run_id):
            return True
        state = cluster.state(tools)
        if state in ("absent", "empty") or self.temporary:
            return state not in ("absent", "empty")
        try:
            with connected(ctx, service, database="postgres") as session:
                return access.closed(session, service.database) or bool(
                    access.provisional(session, service.database, ctx.run_id)
                )
        except (psycopg.Error, HostError):
            return None

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the restored database."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes an unfinished restore or a temporary cluster. After a complete restore, it lets
        clients connect again."""
        name = "postgres.remove_cluster" if self.temporary else "postgres.clear_restore"
        return Undo.by_action(name, service=self.service)


def _present(ctx: Context, service: Postgres) -> int:
    """Return the size of the database on the server in bytes, or 0 when it is unknown.

    The drill removes this database before the restore, and this frees its space.
    """
    try:
        with connected(ctx, service) as session:
            return int(first_row(session, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")[0])
    except (psycopg.Error, HostError):
        return 0
