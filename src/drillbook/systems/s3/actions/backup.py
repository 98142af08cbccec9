"""Actions on copies of objects inside a store: taking a copy, verifying it, and restoring objects from it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, DrillbookError, StepFailed
from drillbook.sdk import manifest_signatures, stored_backup
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.backup_writer import need_clear
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference, Uri
from drillbook.sdk.service import S3, bucket_name
from drillbook.sdk.store import Store, Version
from drillbook.sdk.store_rights import need_target, need_writable
from drillbook.sdk.stored_backup import FILE
from drillbook.systems.s3 import copies
from drillbook.systems.s3.actions.fields import Location, Prefix, ServiceName, need_same_store
from drillbook.systems.s3.copies import WORKERS, Content, Wanted
from drillbook.systems.s3.manifest import BODIES, Entry, Manifest, below

ROUNDS = 4
"""Maximum number of attempts to copy an object that changes during the copy."""


class Copy(Write):
    """Copy objects inside the store to a backup location. At the end, write a manifest with the SHA-256 of every object.

    For a versioned bucket, the manifest lists all versions and delete markers. Only the current versions are copied.
    """

    SERVICE = S3
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    prefix: Prefix = ""
    to: Annotated[Uri, Field(description="Folder in the same store, `s3://bucket/prefix`. The folder must be empty.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` (folder of the backup), ``manifest`` (address of the backup's manifest), ``objects`` (number
        of objects), ``bytes`` (total size), ``taken_at``, ``versioned`` (true if the bucket keeps versions), ``seconds``
        (duration).

        If the bucket keeps versions, there is also the fact ``versions`` (number of versions and delete markers).
        ``evidence`` is a copy of the manifest, ``signed`` is true if the manifest is signed, and ``unsigned`` is the
        reason if it is not."""
        service, folder = ctx.service(self.service, S3), Reference.parse(self.to)
        source, target = Store(service), Store(ctx.bucket(self.to))
        need_same_store(service, target.service)
        need_clear(target.service)
        begun = ctx.deadline.remaining()
        if target.sizes(folder.key + "/"):
            raise StepFailed(f"{folder} is not empty; a backup is never overwritten")
        try:
            manifest = self._manifest(ctx, source, target, folder)
            self._look(target, folder, manifest)
            data = manifest.encoded()
            digest = stored_backup.sha256(data)
            target.put(folder.below(FILE).key, data, digest)
            signed = manifest_signatures.signed(ctx, target, folder, data)
        except BaseException as error:
            with suppress(DrillbookError):
                target.delete([f"{folder.key}/{name}" for name in target.in_time().sizes(folder.key + "/")])
            if isinstance(error, CouldNotVerify):
                raise StepFailed(f"the copy failed: {error.message}") from error
            raise
        return {
            "location": str(Reference(folder.bucket, folder.key, digest)),
            "manifest": str(folder.below(FILE, digest)),
            "objects": len(manifest.objects),
            "bytes": manifest.bytes,
            "versioned": manifest.versioned,
            **({"versions": sum(map(len, manifest.history.values()))} if manifest.history is not None else {}),
            "taken_at": manifest.taken_at,
            "seconds": round(begun - ctx.deadline.remaining(), 3),
            "evidence": ctx.evidence(FILE, data),
            **signed,
        }

    def _manifest(self, ctx: Context, source: Store, target: Store, folder: Reference) -> Manifest:
        """Copy the objects and compute their digests. Return the manifest that lists the copies."""
        taken = stored_backup.now()
        versioned = source.versioned()
        return Manifest(
            run=ctx.run_id,
            service=source.service.name,
            bucket=source.service.bucket,
            prefix=self.prefix,
            taken_at=taken,
            versioned=versioned,
            objects=self._take(ctx, source, target, folder),
            history=copies.kept(source.history(self.prefix)) if versioned else None,
        )

    def _take(self, ctx: Context, source: Store, target: Store, folder: Reference) -> dict[str, Entry]:
        """Copy objects and compute their digests, until every copy equals the present version of its object.

        Objects that change during the copy are copied again.
        """
        done: dict[str, Entry] = {}
        todo = source.live(self.prefix)
        if not todo:
            raise StepFailed(f"there is no object below s3://{source.service.bucket}/{self.prefix}")
        for _ in range(ROUNDS):
            done |= self._round(ctx, source, target, folder, todo)
            missed = todo.keys() - done.keys()
            now = source.live(self.prefix) if missed else {}
            todo = {key: now[key] for key in missed if key in now}  # the others were deleted during the copy
            if not todo:
                break
        if todo:
            raise StepFailed(f"{len(todo)} objects change faster than they can be copied, such as {min(todo)}")
        if not done:
            raise StepFailed(f"all objects below s3://{source.service.bucket}/{self.prefix} were deleted during the copy")
        return done

    def _round(
        self, ctx: Context, source: Store, target: Store, folder: Reference, todo: Mapping[str, Version]
    ) -> dict[str, Entry]:
        def copy(version: Version) -> bool:
            ctx.deadline.check()
            return target.copy(version, source.service.bucket, body_key(folder, version.key))

        with ThreadPoolExecutor(WORKERS) as pool:
            arrived = [version for version, ok in zip(todo.values(), pool.map(copy, todo.values()), strict=True) if ok]
        wanted = [Wanted(version.key, version.id, "" if version.id else version.etag) for version in arrived]
        contents = copies.contents(ctx, source, wanted)
        return {
            version.key: Entry(size=content.size, sha256=content.sha256, etag=version.etag, version=version.id)
            for version, content in zip(arrived, contents, strict=True)
            if content is not None
        }

    def _look(self, target: Store, folder: Reference, manifest: Manifest) -> None:
        wrong = copies.damages(manifest, target.sizes(f"{folder.key}/{BODIES}/"), {})
        if wrong:
            raise StepFailed(
                f"some copies are missing in the store, or differ in size from their objects: {stored_backup.summary(wrong)}"
            )

    def ready(self, ctx: Context) -> None:
        """Check that both buckets answer and belong to the same store."""
        service = ctx.service(self.service, S3)
        Store(service).check()
        if self.known("to"):
            need_same_store(service, ctx.bucket(self.to))
            need_clear(ctx.bucket(self.to))
            need_target(ctx, Store(ctx.bucket(self.to)), self.to)

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the bucket whose objects are copied."""
        return bucket(ctx.service(self.service, S3))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the backup stays in the store."""
        return Undo.nothing("a backup is kept")


def bucket(service: S3, name: str = "") -> Identity:
    """Return the identity of the bucket of ``service``, or of the bucket ``name`` in the same store."""
    return Identity(kind="s3", of={"at": bucket_name(service.endpoint, name or service.bucket)})


def body_key(folder: Reference, key: str) -> str:
    """Return the key of a copy in the backup's ``folder``. ``key``: key of the original object."""
    return f"{folder.key}/{BODIES}/{key}"


def proven(ctx: Context, store: Store, folder: Reference, manifest: Manifest, keys: list[str]) -> None:
    """Read and verify the copies of ``keys``. Of all other copies, check only the size. Raises StepFailed with findings when
    a copy is missing or damaged.
    """
    sizes = store.sizes(f"{folder.key}/{BODIES}/")
    there = [key for key in keys if key in sizes]
    contents = copies.contents(ctx, store, [Wanted(body_key(folder, key)) for key in there])
    content_by_key: dict[str, Content | None] = dict(zip(there, contents, strict=True))
    wrong = copies.damages(manifest, sizes, content_by_key)
    if wrong:
        raise StepFailed(f"the copy in {folder} is incomplete or damaged: {stored_backup.summary(wrong)}", findings=wrong)


class BackupIntact(Read):
    """Read every object of a copy in the store, and compare the object with its digest in the manifest."""

    SERVICE = S3
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("s3.restore",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``objects`` (number of objects), ``bytes`` (total size), ``identity`` (identity of the copied bucket),
        ``seconds`` (duration).
        """
        begun = ctx.deadline.remaining()
        store = Store(ctx.bucket(self.from_))
        folder = stored_backup.split(self.from_)
        manifest = Manifest.read(store, folder)
        if not ctx.same_service(manifest.service, self.service):
            raise StepFailed(f"{folder} contains a copy of the service {manifest.service}, not of {self.service}")
        proven(ctx, store, folder, manifest, sorted(manifest.objects))
        identity = bucket(store.service, manifest.bucket)  # a copy is in the same store as the original
        identity = identity.saved(manifest.digest_at(folder))
        return {
            "objects": len(manifest.objects),
            "bytes": manifest.bytes,
            "identity": identity.model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the service's bucket."""
        return bucket(ctx.service(self.service, S3))

    def ready(self, ctx: Context) -> None:
        """Check that the store answers."""
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()


class Restore(Write):
    """Restore objects inside the store from verified copies. Objects that are correct are not written again."""

    SERVICE = S3
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    from_: Location
    prefix: Prefix = ""
    replace: Annotated[bool, Field(description="`true`: also overwrite existing objects that have other content.")] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``restored`` (number of restored objects), ``unchanged`` (number of objects that were correct already),
        ``left`` (number of objects that have other content and were not overwritten), ``bytes`` (size of the restored
        objects), ``seconds`` (duration).
        """
        begun = ctx.deadline.remaining()
        source, target = Store(ctx.bucket(self.from_)), Store(ctx.service(self.service, S3))
        need_same_store(source.service, target.service)
        folder = stored_backup.split(self.from_)
        manifest = Manifest.read(source, folder)
        wanted = below(manifest, self.prefix)
        there = sorted(target.live(self.prefix).keys() & wanted.keys())
        contents = copies.contents(ctx, target, [Wanted(key) for key in there])
        right = {
            key for key, content in zip(there, contents, strict=True) if content and content.sha256 == wanted[key].sha256
        }
        todo = sorted(key for key in wanted if key not in right and (self.replace or key not in there))
        proven(ctx, source, folder, manifest, todo)
        self._bring(ctx, source, target, folder, todo)
        return {
            "restored": len(todo),
            "unchanged": len(right),
            "left": len(wanted) - len(right) - len(todo),
            "bytes": sum(wanted[key].size for key in todo),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def _bring(self, ctx: Context, source: Store, target: Store, folder: Reference, todo: list[str]) -> None:
        kept = source.live(f"{folder.key}/{BODIES}/")

        def copy(key: str) -> bool:
            ctx.deadline.check()
            return target.copy(kept[body_key(folder, key)], source.service.bucket, key)

        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                failed = [key for key, ok in zip(todo, pool.map(copy, todo), strict=True) if not ok]
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        if failed:
            raise StepFailed(f"{len(failed)} copies changed during the restore, such as {failed[0]}")

    def ready(self, ctx: Context) -> None:
        """Check that objects may be written to the bucket, and that both buckets belong to the same store."""
        service = ctx.service(self.service, S3)
        need_writable(ctx, Store(service))
        if self.known("from_"):
            need_same_store(service, ctx.bucket(self.from_))

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the bucket to which the objects were restored."""
        return bucket(ctx.service(self.service, S3))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the restored objects stay in the bucket."""
        return Undo.nothing("the restored objects stay in the bucket")
