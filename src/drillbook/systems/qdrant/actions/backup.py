"""A collection's backup in a store: take it, prove it, bring it back."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import drop_uploads, taking
from drillbook.sdk.identity import Identity, place_of
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.systems.qdrant import compare, export, manifest, snapshot
from drillbook.systems.qdrant.actions.fields import Location, ServiceName, store_of
from drillbook.systems.qdrant.collection import Session, connected, need_collection
from drillbook.systems.qdrant.manifest import Manifest
from drillbook.systems.qdrant.points import Id, Point, Tally, ordered
from drillbook.systems.qdrant.service import Qdrant


class Snapshot(Write):
    """Save a collection to a store: every point with vector and payload, its settings, and a digest of all of it.

    It is read page by page while clients go on: it shows no single moment, and what is written meanwhile may be missing.
    Beside the points goes the server's own snapshot, when a read before it and one after it give the same points.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    to: Annotated[Uri, Field(description="Folder in a store: `s3://bucket/prefix`. It must hold no backup yet.")]
    server_snapshot: Annotated[
        bool,
        Field(
            description=(
                "Keep the server's own snapshot too, where it makes one. It takes room on the server's disk until it is stored."
            )
        ),
    ] = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location manifest points bytes files digest algorithm taken_at server seconds evidence``.

        Also ``snapshot_bytes``, or ``snapshot_left_out``, which says why.
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
        """The server must answer and have the collection, the store be reachable."""
        need_collection(ctx, ctx.service(self.service, Qdrant))
        if self.known("to"):
            store_of(ctx, self.to).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The collection that is saved."""
        return _collection(ctx, self.service)

    def interrupted(self, ctx: Context) -> None:
        """Drop what was being uploaded."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """A backup is kept."""
        return Undo.nothing("a backup is kept")


def _collection(ctx: Context, service: str) -> Identity:
    """The collection of a service: no other bears its name on that server."""
    return Identity(
        kind="qdrant",
        of={"at": place_of(ctx.services, ctx.hosts, service), "collection": ctx.service(service, Qdrant).collection},
    )


class BackupIntact(Read):
    """Read a backup where it lies: every file, every point and the snapshot must be as when they were taken."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("qdrant.restore",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points``, ``files``, ``bytes``, ``taken_at``, ``identity`` of what it holds, ``seconds``."""
        begun, store, folder = time.monotonic(), store_of(ctx, self.from_), stored_backup.split(self.from_)
        try:
            made = manifest.read(store, folder)
            if not ctx.same_service(made.service, self.service):
                raise StepFailed(f"{folder} is a backup of {made.service}, not of {self.service}")
            export.proven(ctx, store, folder, made)
            snapshot.proven(ctx, store, folder, made)
        except CouldNotVerify as error:
            raise StepFailed(f"the backup could not be read: {error.message}") from error
        known = {"at": place_of(ctx.services, ctx.hosts, made.service), "collection": made.collection}
        found = Identity(kind="qdrant", of=known).saved(folder.sha256 or stored_backup.sha256(made.encoded()))
        return {
            "points": made.points,
            "files": len(made.files),
            "bytes": made.bytes,
            "taken_at": made.taken_at,
            "identity": found.model_dump(),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def subject(self, ctx: Context) -> Identity | None:
        """The service's collection."""
        return _collection(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        if self.known("from_"):
            store_of(ctx, self.from_).check()


class Restore(Write):
    """Make a collection what a backup holds, once that is proven: write what differs, delete what it does not know.

    A collection that is lost is made anew, with its settings and the fields that are indexed. What is right already stays,
    so that a restore that was cut off is finished by another one. Or the server takes its own snapshot back. Either way all
    points are read at the end and compared with the backup.
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
                "`points` one by one; `snapshot` the server's own, over all that is there, which the server fetches from the store; "
                "`auto` the snapshot where the collection is lost and the backup has one, else, or when it is refused, the points."
            )
        ),
    ] = "auto"

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points written deleted unchanged created`` (the collection), ``by``, ``seconds``.

        Also ``snapshot_refused`` when the server did not take its snapshot.
        """
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        store, folder = store_of(ctx, self.from_), stored_backup.split(self.from_)
        made = manifest.read(store, folder)
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
        """Facts about a restore by the server's own snapshot; without ``by`` when it was none."""
        if self.by == "snapshot" and made.snapshot is None:
            raise StepFailed(f"the backup in {folder} holds no snapshot of the server's own")
        lost = not session.exists()
        if made.snapshot is None or self.by == "points" or (self.by == "auto" and not lost):
            return {}
        snapshot.proven(ctx, store, folder, made)
        if refused := snapshot.recover(ctx, session, store, folder, made.snapshot):
            if self.by == "snapshot":
                raise StepFailed(f"the server did not take its snapshot back: {refused}; `by: points` needs none")
            return {"snapshot_refused": refused}
        return {"by": "snapshot", "created": lost}

    def _by_points(self, ctx: Context, session: Session, store: Store, folder: Reference, made: Manifest) -> Facts:
        created = self._make(session, made)
        there = session.digests()
        written = sum(self._write(session, points, there) for points in export.parts(ctx, store, folder, made))
        # What is left was in no part.
        session.delete(ordered(set(there)))
        return {
            "by": "points",
            "written": written,
            "deleted": len(there),
            "unchanged": made.points - written,
            "created": created,
        }

    def _make(self, session: Session, made: Manifest) -> bool:
        """Make the collection when it is not there. Raises StepFailed when there is one for other vectors."""
        if not session.exists():
            session.create(made.config)
            return True
        if wrong := compare.config(made.config, session.config(), session.collection):
            raise StepFailed(
                f"{self.service} is made for other vectors than those of the backup; nothing was written", findings=wrong
            )
        return False

    def _write(self, session: Session, points: list[Point], there: dict[Id, bytes]) -> int:
        """Write those of ``points`` that are not there as they are, and take all of them out of ``there``."""
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
                f"{self.service} is not what was restored: {tally.points} points where {made.points} are "
                "wanted; does a client write meanwhile? `qdrant.matches` names the points"
            )

    def ready(self, ctx: Context) -> None:
        """The server and the store must answer."""
        try:
            with connected(ctx, ctx.service(self.service, Qdrant)) as session:
                session.exists()
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if self.known("from_"):
            store_of(ctx, self.from_).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The collection that was restored."""
        return _collection(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """What was restored is kept."""
        return Undo.nothing("what was restored is kept")
