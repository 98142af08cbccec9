"""Actions on backups of a Qdrant collection in a store: taking, verifying and restoring a backup."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import BackupFolder, drop_uploads, need_clear, taking
from drillbook.sdk.identity import Identity, place_of
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.store_rights import need_target
from drillbook.systems.qdrant import compare, export, snapshot
from drillbook.systems.qdrant.actions.fields import Location, ServiceName, store_of
from drillbook.systems.qdrant.client import Session, connected, need_collection
from drillbook.systems.qdrant.manifest import Manifest
from drillbook.systems.qdrant.points import Id, Point, Tally, ordered
from drillbook.systems.qdrant.service import Qdrant


class Snapshot(Write):
    """Save a collection to a store: every point, the settings of the collection, and a digest of all points.

    A point is saved with its vector and payload.

    The points are read page by page, and clients may write at the same time. So the backup is not a consistent snapshot, and
    may lack writes that happened during the export. The server's own snapshot is also stored, if no point changed while the
    server took it. To find this out, the points are read again after the snapshot.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    to: BackupFolder
    server_snapshot: Annotated[
        bool,
        Field(
            description=(
                "`true`: also store the server's own snapshot, if the server supports snapshots. Until the "
                "snapshot is stored, it needs space on the server's disk."
            )
        ),
    ] = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` (folder of the backup), ``manifest``, ``evidence`` (a copy of the manifest), ``points``
        and ``files`` (how many were stored), ``bytes``, ``digest``, ``algorithm`` (how the digest is computed),
        ``taken_at``, ``server`` (version of the server), ``seconds`` (duration).

        ``signed`` is true if the manifest is signed, and ``unsigned`` is the reason if it is not. The last fact is
        ``snapshot_bytes`` (size of the server's own snapshot), or ``snapshot_left_out`` (reason why the backup has no
        such snapshot).
        """
        service, begun, folder = ctx.service(self.service, Qdrant), time.monotonic(), Reference.parse(self.to)
        try:
            with connected(ctx, service, answer_s=self.TIMEOUT) as session, taking(store_of(ctx, self.to), folder) as backup:
                taken = export.Export(backup)
                made = taken.take(ctx, session, service, with_snapshot=self.server_snapshot)
                facts = backup.facts(ctx)
        except CouldNotVerify as error:
            raise StepFailed(f"the backup failed: {error.message}") from error
        return {
            **facts,
            "points": made.points,
            "bytes": made.bytes,
            "files": len(made.files),
            "digest": made.digest,
            "algorithm": made.algorithm,
            "taken_at": made.taken_at,
            "server": made.server_version,
            **({"snapshot_bytes": made.snapshot.size} if made.snapshot else {"snapshot_left_out": taken.left_out}),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def ready(self, ctx: Context) -> None:
        """Check that the server answers and has the collection, that the API key may write, and that the store is
        reachable."""
        need_collection(ctx, ctx.service(self.service, Qdrant), writable=True)
        if self.known("to"):
            need_clear(ctx.bucket(self.to))
            need_target(ctx, store_of(ctx, self.to), self.to)

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the collection that is saved."""
        return _collection(ctx, self.service)

    def interrupted(self, ctx: Context) -> None:
        """Abort the unfinished uploads to the store folder in the parameter `to`."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the backup stays in the store."""
        return Undo.nothing("the backup stays in the store")


def _collection(ctx: Context, service: str) -> Identity:
    """Return the identity of a service's collection: the address of the server, and the name of the collection."""
    return Identity(
        kind="qdrant",
        of={"at": place_of(ctx.services, ctx.hosts, service), "collection": ctx.service(service, Qdrant).collection},
    )


class BackupIntact(Read):
    """Read a backup in the store.

    Compare every file, every point of the collection and the server's own snapshot with the backup's manifest.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("qdrant.restore",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points`` and ``files`` (how many the backup has), ``bytes``, ``taken_at``, ``identity`` (address of the
        server and name of the collection), ``seconds`` (duration).
        """
        begun, store, folder = time.monotonic(), store_of(ctx, self.from_), stored_backup.split(self.from_)
        try:
            made = Manifest.read(store, folder)
            if not ctx.same_service(made.service, self.service):
                raise StepFailed(f"{folder} contains a backup of the service {made.service}, not of {self.service}")
            export.proven(ctx, store, folder, made)
            snapshot.proven(ctx, store, folder, made)
        except CouldNotVerify as error:
            raise StepFailed(f"the backup could not be verified: {error.message}") from error
        known = {"at": place_of(ctx.services, ctx.hosts, made.service), "collection": made.collection}
        identity = Identity(kind="qdrant", of=known).saved(made.digest_at(folder))
        return {
            "points": made.points,
            "files": len(made.files),
            "bytes": made.bytes,
            "taken_at": made.taken_at,
            "identity": identity.model_dump(),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the service's collection."""
        return _collection(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Check that the store answers."""
        if self.known("from_"):
            store_of(ctx, self.from_).check()


class Restore(Write):
    """Restore a collection from a verified backup.

    Points that are missing or different are written, and points that the backup lacks are deleted.

    A missing collection is created with the settings and the indexed fields in the backup. Correct points are not
    written again, so a second restore can finish an interrupted one. The field `by` decides whether the points are written
    one by one, or if the server restores its own snapshot. Either way, all points are read at the end and compared with
    the backup.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    from_: Location
    by: Annotated[
        Literal["auto", "points", "snapshot"],
        Field(
            description=(
                "Method of the restore. `points`: write the points one by one. `snapshot`: let the server fetch "
                "its own snapshot from the store and replace the whole collection. `auto`: use the snapshot if "
                "the collection is missing and the backup has a snapshot; write the points in all other cases, "
                "and also when the server refuses the snapshot."
            )
        ),
    ] = "auto"

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points`` (number of points in the backup), ``written``, ``deleted`` and ``unchanged`` (numbers of points
        in the collection), ``created`` (true when the collection was missing), ``by`` (method of the restore: points or
        snapshot), ``seconds`` (duration).

        When the server refused its snapshot, the fact ``snapshot_refused`` is the reason.
        """
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        store, folder = store_of(ctx, self.from_), stored_backup.split(self.from_)
        made = Manifest.read(store, folder)
        export.proven(ctx, store, folder, made)
        try:
            with connected(ctx, service, answer_s=self.TIMEOUT) as session:
                facts = self._by_snapshot(ctx, session, store, folder, made)
                if facts.get("by") != "snapshot":
                    facts |= self._by_points(ctx, session, store, folder, made)
                self._prove(session, made)
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        return {"points": made.points, **facts, "seconds": round(time.monotonic() - begun, 3)}

    def _by_snapshot(self, ctx: Context, session: Session, store: Store, folder: Reference, made: Manifest) -> Facts:
        """Restore from the server's own snapshot, and return facts. The facts contain ``by`` only when a snapshot was
        restored.
        """
        if self.by == "snapshot" and made.snapshot is None:
            raise StepFailed(f"the backup in {folder} contains no snapshot of the server")
        lost = not session.exists()
        if made.snapshot is None or self.by == "points" or (self.by == "auto" and not lost):
            return {}
        snapshot.proven(ctx, store, folder, made)
        if refused := snapshot.recover(ctx, session, store, folder, made.snapshot):
            if self.by == "snapshot":
                raise StepFailed(
                    f"the server refused the snapshot: {refused}; set `by: points`, which restores without a snapshot"
                )
            return {"snapshot_refused": refused}
        return {"by": "snapshot", "created": lost}

    def _by_points(self, ctx: Context, session: Session, store: Store, folder: Reference, made: Manifest) -> Facts:
        created = self._make(session, made)
        there = session.digests()
        written = sum(self._write(session, points, there) for points in export.parts(ctx, store, folder, made))
        # The remaining ids are not in the backup.
        session.delete(ordered(set(there)))
        return {
            "by": "points",
            "written": written,
            "deleted": len(there),
            "unchanged": made.points - written,
            "created": created,
        }

    def _make(self, session: Session, made: Manifest) -> bool:
        """Create the collection if it is missing. Return True when it was created.

        Raises StepFailed when the existing collection has other vector settings.
        """
        if not session.exists():
            session.create(made.config)
            return True
        if wrong := compare.config(made.config, session.config(), session.collection):
            raise StepFailed(
                f"{self.service} has other vector settings than the backup; nothing was written", findings=wrong
            )
        return False

    def _write(self, session: Session, points: list[Point], there: dict[Id, bytes]) -> int:
        """Write those of ``points`` that are missing or different in the collection. Return the number of written points.

        ``there`` maps the ids of existing points to their digests. The function removes the ids of ``points`` from this
        mapping.
        """
        wrong = [point for point in points if there.get(point.id) != point.digest()]
        session.put(wrong)
        for point in points:
            there.pop(point.id, None)
        return len(wrong)

    def _prove(self, session: Session, made: Manifest) -> None:
        tally = Tally()
        for points in session.points():
            for point in points:
                tally.add(point.digest())
        if (tally.points, tally.digest) != (made.points, made.digest):
            raise StepFailed(
                f"{self.service} differs from the backup after the restore: it has {tally.points} points, and "
                f"the backup has {made.points}; check if a client writes during the restore; `qdrant.matches` lists the differences"
            )

    def ready(self, ctx: Context) -> None:
        """Check that the server and the store answer, and that the API key may write."""
        need_collection(ctx, ctx.service(self.service, Qdrant), writable=True, missing=True)
        if self.known("from_"):
            store_of(ctx, self.from_).check()

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the collection that was restored."""
        return _collection(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the restored points stay."""
        return Undo.nothing("the restored points stay in the collection")
