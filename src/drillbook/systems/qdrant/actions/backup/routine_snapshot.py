"""Actions on snapshots of the server that a team's own job stored in a bucket: finding the newest one, and restoring it into
a temporary collection.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.language.durations import seconds
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_source import AHEAD_S, stamp
from drillbook.sdk.object_reference import Reference, Uri
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.systems.qdrant import snapshot
from drillbook.systems.qdrant.actions.fields import FILE_NAME, ServiceName, store_of
from drillbook.systems.qdrant.client import Session, connected, need_collection
from drillbook.systems.qdrant.service import Qdrant
from drillbook.values import Duration

CHECKSUM = ".checksum"
"""Suffix of the file with the SHA-256 of a snapshot. Qdrant stores this file next to its snapshots on disk."""
RECORD = "temporary-collection.txt"
"""Name of the evidence file that a run writes just before it makes its temporary collection."""


class NewestSnapshot(Read):
    """Find the newest snapshot that a team's own job stored in a bucket, measure its age, and read every byte.

    The job lets the server make a snapshot of a collection, and stores the file of the snapshot. The job may store the SHA-256
    of the file in a second object, with the same name and the suffix `.checksum`. The content is then compared with this
    SHA-256. The action cannot read the points, because only the server itself can read a snapshot. `qdrant.recover` proves that
    the snapshot can be restored.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0

    service: ServiceName
    store: Annotated[str, Field(description="Name of the S3 service in the inventory.")]
    prefix: Annotated[str, Field(description="Beginning of the keys, such as `nightly/`; empty: the whole bucket.")] = ""
    pattern: Annotated[str, Field(min_length=1, description="Shell pattern for the part of a key after the prefix.")] = (
        "*.snapshot"
    )
    max_age: Annotated[
        Duration | None, Field(gt=0, description="Maximum age of the newest snapshot; an older one fails the step.")
    ] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` (address of the snapshot, with its digest), ``taken_at`` (time of the object's last write),
        ``age_s``, ``bytes``, ``count`` (number of snapshots), ``checksum`` (true when the digest of the snapshot was compared
        with the digest that the backup job stored), ``seconds`` (duration).
        """
        begun, store = time.monotonic(), Store(ctx.service(self.store, S3))
        objects = store.modified(self.prefix)
        snapshots = {name: at for name, at in objects.items() if fnmatchcase(name, self.pattern)}
        if not snapshots:
            raise self._wrong(
                "backup-missing", f"{self.prefix}{self.pattern}", "a snapshot", f"{len(objects)} other objects"
            )
        name = max(snapshots, key=lambda each: (snapshots[each][1], each))
        key, taken = self.prefix + name, snapshots[name][1]
        age = (datetime.now(UTC) - taken).total_seconds()
        if age < -AHEAD_S:
            raise CouldNotVerify(
                f"the newest snapshot {key} is dated {stamp(taken)}, {seconds(-age, 0)} in the future",
                hint="compare the clocks of the store and of this machine",
            )
        if self.max_age is not None and age > self.max_age:
            raise self._wrong(
                "backup-too-old", key, f"at most {self.max_age} old", f"{seconds(age, 0)} old, stored {stamp(taken)}"
            )
        measured = store.digest(key, ctx.deadline)
        if measured is None:
            raise self._wrong("backup-missing", key, "the object that the store listed", "no such object")
        return {
            "location": str(Reference(store.service.bucket, key, measured[1])),
            "taken_at": stamp(taken),
            "age_s": round(age, 3),
            "bytes": measured[0],
            "count": len(snapshots),
            "checksum": self._compared(store, key, measured[1]),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def _compared(self, store: Store, key: str, digest: str) -> bool:
        """Compare the digest of the object ``key`` with the digest that the job stored. Return False when the job stored no
        digest.

        Raises StepFailed when the digests differ.
        """
        stored = store.get(key + CHECKSUM)
        if stored is None:
            return False
        wanted = stored.decode("utf-8", "replace").split()[:1]
        if wanted != [digest]:
            raise self._wrong(
                "backup-digest", key, f"sha256 {' '.join(wanted) or 'in the object ' + CHECKSUM}", f"sha256 {digest}"
            )
        return True

    def _wrong(self, code: str, title: str, wanted: str, measured: str) -> StepFailed:
        problem = finding(code, title=title, wanted=wanted, measured=measured)
        return StepFailed(f"{self.store}: {problem.title}: wanted {wanted}; found {measured}", findings=[problem])

    def ready(self, ctx: Context) -> None:
        """Check that the bucket exists and the credentials permit reading."""
        Store(ctx.service(self.store, S3)).check()


class Recover(Write):
    """Let the server restore its own snapshot into a temporary collection, which is removed at the end of the run.

    The server fetches the snapshot from the bucket and compares its digest. Qdrant has no sandbox, so the copy is a further
    collection on the server. If the production server lacks disk space, or must not get more load, choose a service on another
    server. A collection that already exists is never touched.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    UNDO = ("action",)
    UNDO_ACTIONS = ("qdrant.remove_copy",)

    service: Annotated[
        str, Field(description="Name of a Qdrant service with `temporary: true`, whose collection does not exist.")
    ]
    from_: Annotated[Uri, Field(alias="from", description="Fact `location` of the step `qdrant.newest_snapshot`.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points`` (number of points in the copy), ``server`` (version), ``seconds`` (duration).

        When the server refuses the snapshot, the step fails with the server's reason.
        """
        service, begun, source = ctx.service(self.service, Qdrant), time.monotonic(), Reference.parse(self.from_)
        store = store_of(ctx, self.from_)
        if source.sha256 is None:
            raise StepFailed(f"{source} has no digest; use the fact `location` of the step `qdrant.newest_snapshot`")
        try:
            with connected(ctx, service, answer_s=self.TIMEOUT) as session:
                self._claim(ctx, session)
                url = store.sign_get(source.key, ctx.deadline.remaining())
                if refused := snapshot.without_signature(session.recover(url, source.sha256)):
                    raise StepFailed(
                        f"{self.service}: the server refused the snapshot {source.key}: {refused}",
                        findings=[self._finding("restore-errors", source.key, "a snapshot that the server loads", refused)],
                    )
                points, version = session.count(), session.version()
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        if not points:
            problem = self._finding("backup-empty", source.key, "at least one point", "0 points")
            raise StepFailed(f"the snapshot {source.key} has no points", findings=[problem])
        return {"points": points, "server": version, "seconds": round(time.monotonic() - begun, 3)}

    def _claim(self, ctx: Context, session: Session) -> None:
        """Record the collection in an evidence file, before this run makes the collection. Raises StepFailed when another run
        or program has already made a collection with this name.
        """
        if not session.exists():
            ctx.evidence(RECORD, f"{session.collection}\n", sync=True)
        elif not _made(ctx, session.collection):
            raise StepFailed(
                f"{self.service}: the collection {session.collection!r} exists already; nothing was changed",
                findings=[
                    self._finding("restore-target", self.service, "a collection that does not exist", session.collection)
                ],
            )

    def _finding(self, code: str, title: str, wanted: str, measured: str) -> Finding:
        return finding(code, title=title, wanted=wanted, measured=measured)

    def ready(self, ctx: Context) -> None:
        """Check that the server and the store answer, that the service is a temporary collection, and that no collection
        has its name yet."""
        service = ctx.service(self.service, Qdrant)
        if not service.temporary:
            raise NotReady(
                f"{self.service} is not a temporary collection",
                hint=f"add a service with the name of a new `collection` and `temporary: true`, and name it instead of {self.service}",
            )
        need_collection(ctx, service)
        with connected(ctx, service) as session:
            if session.exists():
                raise NotReady(
                    f"{self.service}: the collection {service.collection!r} exists already, but a temporary one will be made",
                    hint=f"give {self.service} the name of a new `collection`, or remove the collection if nobody needs it",
                )
        if self.known("from_"):
            store_of(ctx, self.from_).check()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the temporary collection, if this run made it."""
        return Undo.by_action("qdrant.remove_copy", service=self.service, record=ctx.evidence_file(RECORD))

    def active(self, ctx: Context) -> bool:
        """Return True while the collection that this step made exists."""
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            return _made(ctx, session.collection) and session.exists()


def _made(ctx: Context, collection: str) -> bool:
    """Return True when an attempt of this step recorded ``collection``. An attempt records the collection before it makes it."""
    return any(path.read_text(encoding="utf-8").strip() == collection for path in ctx.kept_evidence(RECORD))


class RemoveCopy(Write):
    """Remove the temporary collection of a run, and no other collection. This is the undo of `qdrant.recover`."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 600.0
    UNDO = ("nothing",)

    service: ServiceName
    record: Annotated[
        str,
        Field(
            pattern=FILE_NAME,
            description="Name of the evidence file in which the run recorded the collection, before it made the collection.",
        ),
    ]
    of_run: Annotated[
        str | None,
        Field(
            pattern=FILE_NAME,
            description="Id of the run that made the collection. Default: this run.",
        ),
    ] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed``: true when the collection was removed, and false when there was nothing to remove."""
        folder = ctx.folder.parent / self.of_run if self.of_run else ctx.folder
        try:
            made = (folder / "evidence" / self.record).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return {"removed": False}
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            if session.collection != made:
                raise StepFailed(f"the run made the collection {made!r}, not {session.collection!r}; nothing was removed")
            there = session.exists()
            if there:
                session.drop()
        return {"removed": there}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: this action is itself an undo."""
        return Undo.nothing("this step is itself an undo")
