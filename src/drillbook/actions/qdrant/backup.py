"""A collection's backup in a store: take it, prove it, bring it back."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from drillbook import stored
from drillbook.action import Context, Facts, Place, Read, Undo, Write
from drillbook.actions.qdrant.fields import Location, ServiceName, Uri, store_of
from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.services import Qdrant
from drillbook.store import Reference
from drillbook.stored import FILE, sha256
from drillbook.vectors import compare, export, manifest
from drillbook.vectors.collection import Session, connected, need_collection
from drillbook.vectors.manifest import Manifest
from drillbook.vectors.points import Id, Point, Tally, ordered


class Snapshot(Write):
    """Save a collection to a store: every point with vector and payload, its settings, and a digest of all of it.

    It is read page by page while clients go on: it shows no single moment, and what is written meanwhile may be missing.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0

    service: ServiceName
    to: Annotated[Uri, Field(description="Folder in a store: `s3://bucket/prefix`. It must hold no backup yet.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location manifest points bytes files digest algorithm taken_at server method seconds evidence``."""
        service, begun, folder = ctx.service(self.service, Qdrant), time.monotonic(), Reference.parse(self.to)
        try:
            with connected(ctx, service) as session:
                made = export.Export(store_of(ctx, self.to), folder).take(ctx, session, self.service)
        except CouldNotVerify as error:
            raise StepFailed(f"the backup failed: {error.message}") from error
        data = made.encoded()
        pinned = sha256(data)
        return {"location": str(Reference(folder.bucket, folder.key, pinned)), "manifest": str(folder.below(FILE, pinned)),
                "points": made.points, "bytes": made.bytes, "files": len(made.files), "digest": made.digest,
                "algorithm": made.algorithm, "taken_at": made.taken_at, "server": made.server_version,
                "method": made.method, "seconds": round(time.monotonic() - begun, 3), "evidence": ctx.evidence(FILE, data)}

    def ready(self, ctx: Context) -> None:
        """The server must answer and have the collection, the store be reachable."""
        need_collection(ctx, ctx.service(self.service, Qdrant))
        if self.known("to"):
            store_of(ctx, self.to).check()

    def undo(self, ctx: Context) -> Undo:
        """A backup is kept."""
        return Undo.nothing("a backup is kept")


class BackupIntact(Read):
    """Read a backup where it lies: every file and every point must be as when it was taken."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    PROVES_BACKUP = True

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points``, ``files``, ``bytes``, ``taken_at``, ``seconds``."""
        begun, store, folder = time.monotonic(), store_of(ctx, self.from_), stored.split(self.from_)
        try:
            made = manifest.read(store, folder)
            if made.service != self.service:
                raise StepFailed(f"{folder} is a backup of {made.service}, not of {self.service}")
            export.proven(ctx, store, folder, made)
        except CouldNotVerify as error:
            raise StepFailed(f"the backup could not be read: {error.message}") from error
        return {"points": made.points, "files": len(made.files), "bytes": made.bytes, "taken_at": made.taken_at,
                "seconds": round(time.monotonic() - begun, 3)}

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        if self.known("from_"):
            store_of(ctx, self.from_).check()


class Restore(Write):
    """Make a collection what a backup holds, once that is proven: write what differs, delete what it does not know.

    A collection that is lost is made anew, with its settings and the fields that are indexed. What is right already stays,
    so that a restore that was cut off is finished by another one.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points``, ``written``, ``deleted``, ``unchanged``, ``created`` (the collection), ``seconds``."""
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        store, folder = store_of(ctx, self.from_), stored.split(self.from_)
        made = manifest.read(store, folder)
        export.proven(ctx, store, folder, made)
        try:
            with connected(ctx, service) as session:
                created = self._make(session, made)
                there = {point.id: point.digest() for points in session.points() for point in points}
                written = sum(self._write(session, points, there)
                              for points in export.parts(ctx, store, folder, made))
                # What is left was in no part.
                session.delete(ordered(set(there)))
                self._prove(session, made)
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        return {"points": made.points, "written": written, "deleted": len(there), "unchanged": made.points - written,
                "created": created, "seconds": round(time.monotonic() - begun, 3)}

    def _make(self, session: Session, made: Manifest) -> bool:
        """Make the collection when it is not there. Raises StepFailed when there is one for other vectors."""
        if not session.exists():
            session.create(made.config)
            return True
        if wrong := compare.config(made.config, session.config(), session.collection):
            raise StepFailed(f"{self.service} is made for other vectors than those of the backup; nothing was written",
                             findings=wrong)
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
            raise StepFailed(f"{self.service} is not what was restored: {tally.points} points where {made.points} are "
                             "wanted; does a client write meanwhile? `qdrant.matches` names the points")

    def ready(self, ctx: Context) -> None:
        """The server and the store must answer."""
        try:
            with connected(ctx, ctx.service(self.service, Qdrant)) as session:
                session.exists()
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if self.known("from_"):
            store_of(ctx, self.from_).check()

    def undo(self, ctx: Context) -> Undo:
        """What was restored is kept."""
        return Undo.nothing("what was restored is kept")
