"""Backups of a PostgreSQL database: take one, prove it, bring it back, compare."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

import psycopg
from pydantic import Field, field_validator, model_validator

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import drop_uploads
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.sdk.transfer import PART_LEAST, Carrier
from drillbook.systems.postgres import access, cluster, compare, content, identity, masking, schema
from drillbook.systems.postgres import manifest as manifests
from drillbook.systems.postgres.actions.fields import ServiceName, need_ownership
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.dump import SCHEMA, Backup, failing
from drillbook.systems.postgres.manifest import Manifest, Table
from drillbook.systems.postgres.proof import Proof
from drillbook.systems.postgres.restore import Restore as Restoring
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import chosen
from drillbook.systems.postgres.tools import Tools
from drillbook.values import Size

Named = TypeVar("Named", Table, content.Relation)


Jobs = Annotated[int, Field(ge=1, le=64, description="Tables that are worked on at once.")]
PartSize = Annotated[Size, Field(ge=PART_LEAST, description="Larger files are sent in parts of this size.")]


class Dump(Write):
    """Back up a database as of one moment, with a digest of every table taken in that same moment."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    to: Annotated[Uri, Field(description="Folder in a store: `s3://bucket/prefix`. It must hold no backup yet.")]
    jobs: Jobs = 2
    part_size: PartSize = Size(32 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: see ``Backup``; ``location`` and ``manifest`` are for the restore and the verification."""
        folder = Reference.parse(self.to)
        service = ctx.service(self.service, Postgres)
        return Backup(ctx, service, Store(ctx.bucket(self.to)), folder, self.jobs, int(self.part_size)).take()

    def ready(self, ctx: Context) -> None:
        """Login, tools of the server's version, room for the dump, a way to carry it, and the store."""
        service = ctx.service(self.service, Postgres)
        version, size = _ask_server(ctx, service)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("pg_dump", "pg_dumpall"), version)
        tools.need_space(ctx.scratch, size)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("to"):
            Store(ctx.bucket(self.to)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The database that is dumped."""
        return identity.measured(ctx, self.service)

    def interrupted(self, ctx: Context) -> None:
        """Drop what was being uploaded."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """A backup is kept."""
        return Undo.nothing("a backup is kept")


def _ask_server(ctx: Context, service: Postgres) -> tuple[int, int]:
    """Major version of the server and size of the database. Raises NotReady."""
    try:
        with connected(ctx, service) as session:
            if one(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
                raise NotReady(f"{service.name} is a standby in recovery", hint="name the primary in the inventory")
            superuser = one(session, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")[0]
            size = one(session, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")[0]
            version = session.info.server_version // 10000
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{service.name} cannot be reached as {service.admin.user}: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error
    if not superuser:
        raise NotReady(f"{service.name}: {service.admin.user} is no superuser", hint="a whole backup needs one")
    return version, int(size)


class BackupIntact(Read):
    """Read a backup where it lies and compare every file with the digests of its manifest."""

    SERVICE = Postgres
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("postgres.restore", "postgres.restore_table", "postgres.restore_rows")

    service: ServiceName
    from_: Annotated[Uri, Field(alias="from", description="The `location` that a dump gave.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files``, ``bytes``, ``tables``, ``snapshot_at``, ``identity`` of what it is a backup of, ``seconds``."""
        service = ctx.service(self.service, Postgres)
        begun = ctx.deadline.remaining()
        with failing("the backup could not be read"):
            proof = Proof(ctx, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_))
            backup = proof.manifest()
            with ctx.temporary("intact") as scratch:
                proof.fetch(backup, Tools.of(ctx, service, ctx.host), f"{scratch}/files")
        return {
            "files": len(backup.files),
            "bytes": backup.bytes,
            "tables": len(backup.tables),
            "snapshot_at": backup.server_time,
            "identity": self._identity(ctx, backup).model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def _identity(self, ctx: Context, backup: Manifest) -> Identity:
        found = identity.of(ctx, backup.service, backup.system_identifier, backup.database.name)
        return found.saved(stored_backup.split(self.from_).sha256 or stored_backup.sha256(backup.encoded()))

    def subject(self, ctx: Context) -> Identity | None:
        """The service's database."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Tools on the host, and a way to carry the files."""
        Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host).need(("pg_restore",), 0)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()


class Restore(Write):
    """Restore a backup into a new cluster, or into a running one that lacks the database. Nothing is overwritten."""

    SERVICE = Postgres
    OPENED_BY = "postgres.admit"
    TIMEOUT = 3600.0
    UNDO = ("action",)

    service: ServiceName
    from_: Annotated[Uri, Field(alias="from", description="The `location` that a dump gave.")]
    closed: Annotated[bool, Field(description="Keep clients out until `postgres.admit`.")] = False
    jobs: Jobs = 2
    temporary: Annotated[bool, Field(description="A new cluster for this run only: it is removed at the end.")] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: see ``Restoring``; ``seconds`` tells how long each stage took."""
        service = ctx.service(self.service, Postgres)
        origin = stored_backup.split(self.from_)
        store = Store(ctx.bucket(self.from_))
        return Restoring(ctx, service, store, origin, self.closed, self.jobs, self.temporary).run()

    def ready(self, ctx: Context) -> None:
        """Tools on the host, the owner of the data directory, its unit and server, a way to carry, the store, and room."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        tools.need(("pg_restore", "psql", "initdb", "vacuumdb"), 0)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        try:
            found = cluster.state(tools)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if self.temporary and found not in ("absent", "empty"):
            raise NotReady(
                f"{ctx.host.name}: {service.data_directory} is not empty, as a temporary cluster needs it",
                hint="look whose it is; a spare is empty between drills",
            )
        need_ownership(ctx, service)
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()
        self._need_room(ctx, service, tools)

    def _need_room(self, ctx: Context, service: Postgres, tools: Tools) -> None:
        """Room for the backup's database where the data directory is, or for what lies there now. Raises NotReady.

        A backup that this run is still to take is of the size of what it replaces, so that there is room for it.
        """
        free = tools.free_space() if self.known("from_") else None
        if free is None:
            return
        origin = stored_backup.split(self.from_)
        try:
            size = manifests.read(Store(ctx.bucket(self.from_)), origin, origin.sha256).database.bytes
        except (StepFailed, CouldNotVerify):
            return  # the restore itself tells what is wrong with it
        room = free + _present(ctx, service)
        if room < size:
            raise NotReady(
                f"{ctx.host.name}: {service.data_directory} has room for {room >> 20} MiB, and the database of "
                f"the backup takes {-(-size >> 20)} MiB",
                hint="make room in that file system",
            )

    def active(self, ctx: Context) -> bool | None:
        """True while something of this restore is half made or closed, or a temporary cluster is there."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        if cluster.left_aside(tools, ctx.run_id):
            return True
        found = cluster.state(tools)
        if found in ("absent", "empty") or self.temporary:
            return found not in ("absent", "empty")
        try:
            with connected(ctx, service, database="postgres") as session:
                return access.closed(session, service.database) or bool(
                    access.provisional(session, service.database, ctx.run_id)
                )
        except (psycopg.Error, HostError):
            return None

    def subject(self, ctx: Context) -> Identity | None:
        """The database that was restored."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Keep and open what is whole, unless it is temporary; discard what is half made, and let nobody in."""
        name = "postgres.remove_cluster" if self.temporary else "postgres.clear_restore"
        return Undo.by_action(name, service=self.service)


def _present(ctx: Context, service: Postgres) -> int:
    """Bytes that the database takes now, 0 when nobody tells: they become free when it is lost."""
    try:
        with connected(ctx, service) as session:
            return int(one(session, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")[0])
    except (psycopg.Error, HostError):
        return 0


class Matches(Read):
    """Compare a database with a backup: every row of every table, the sequences, and the whole schema."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="The `manifest` that a dump gave.")]
    tables: Annotated[tuple[str, ...], Field(description="Compare the rows of these tables only; empty: of all.")] = ()
    ignore: Annotated[dict[str, str], Field(description="Tables whose rows are not compared, with the reason.")] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _either(self) -> Matches:
        if {"tables", "ignore"} <= self.__dict__.keys() and (both := sorted(set(self.tables) & self.ignore.keys())):
            raise ValueError(f"{both[0]} cannot be in `tables` and in `ignore`")
        return self

    @field_validator("ignore")
    @classmethod
    def _reasons(cls, value: dict[str, str]) -> dict[str, str]:
        if empty := [name for name, why in value.items() if not why.strip()]:
            raise ValueError(f"{empty[0]} needs a reason: it stands in the report")
        return value

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables``, ``rows``, ``sequences``, ``algorithm``, ``seconds``, ``not_compared`` with reasons."""
        service = ctx.service(self.service, Postgres)
        store, folder = Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest)
        backup = manifests.read(store, folder, folder.sha256)
        begun = ctx.deadline.remaining()
        try:
            with ThreadPoolExecutor(1) as pool, content.snapshot(ctx, service) as snap:
                text = pool.submit(schema.text, Tools.of(ctx, service))
                tables = content.tables(snap, self._scope(content.relations(snap), backup))
                sequences = content.sequences(snap)
                found = text.result()
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"{self.service} could not be compared: {reason(error)}") from error
        wanted: list[Table] = self._scope(backup.tables, backup)
        if not any(table.digest is not None and (table.rows or table.name != content.LARGE_OBJECTS) for table in wanted):
            raise CouldNotVerify(
                "no table's rows would be compared",
                hint="the backup holds none, or `tables` and `ignore` leave none of them",
            )
        named = {table.name for table in wanted}
        tables = tables if not self.tables else [table for table in tables if table.name in named]
        wrong = [
            *compare.tables(wanted, tables),
            *compare.sequences(backup.sequences, sequences),
            *self._schema(ctx, store, folder, backup, found),
        ]
        facts: Facts = {
            "tables": len(tables),
            "rows": sum(table.rows for table in tables),
            "sequences": len(sequences),
            "algorithm": backup.algorithm,
            "seconds": round(begun - ctx.deadline.remaining(), 3),
            "not_compared": {table.name: table.note for table in wanted if table.digest is None} | self.ignore,
        }
        if self.tables:
            facts["only"] = sorted(named)
        if wrong:
            said = f"{self.service} differs from the backup: {stored_backup.summary(wrong)}"
            raise StepFailed(said, findings=wrong, facts=facts)
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """The database that is compared."""
        return identity.measured(ctx, self.service)

    def _scope(self, found: Sequence[Named], backup: Manifest) -> list[Named]:
        """Those of ``found`` whose rows are compared. Raises StepFailed for a table that the backup does not know."""
        only, without = self._known(backup, self.tables), self._known(backup, tuple(self.ignore))
        return [one for one in found if one.name not in without and (not self.tables or one.name in only)]

    @staticmethod
    def _known(backup: Manifest, names: tuple[str, ...]) -> set[str]:
        known, unknown = chosen(backup.tables, names)
        if unknown:
            raise StepFailed(
                f"the backup holds no table {', '.join(unknown)}",
                findings=[
                    finding("backup-missing", title=f"table {name}", wanted=name, measured="not in its manifest")
                    for name in unknown
                ],
            )
        return {table.name for table in known}

    def _schema(self, ctx: Context, store: Store, folder: Reference, backup: Manifest, found: str) -> list[Finding]:
        wanted, measured = backup.schema_sha256, stored_backup.sha256(found.encode())
        if measured == wanted:
            return []
        kept = store.get(folder.below(SCHEMA).key)
        if kept is None or stored_backup.sha256(kept) != wanted:
            evidence = ctx.evidence("schema.sql", masking.shown(found))
        elif (before := masking.masked(kept.decode())) == found:  # the backup was taken before passwords were masked
            return []
        else:
            evidence = ctx.evidence("schema.diff", schema.difference(before, found))
        return [
            finding(
                "schema-differs",
                title=backup.database.name,
                wanted=f"sha256 {wanted}",
                measured=f"sha256 {measured}",
                evidence=(str(evidence["file"]),),
            )
        ]

    def ready(self, ctx: Context) -> None:
        """The service must be in the inventory, the store reachable."""
        service = ctx.service(self.service, Postgres)
        Tools.of(ctx, service).need(("pg_dump",), 0)
        if self.known("manifest"):
            Store(ctx.bucket(self.manifest)).check()
