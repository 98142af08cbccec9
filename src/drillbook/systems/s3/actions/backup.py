"""Copies of objects: take one inside the store, prove it, bring it back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, DrillbookError, StepFailed
from drillbook.sdk import vouchers
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.identity import Identity
from drillbook.sdk.service import S3, bucket_name
from drillbook.sdk.store import Reference, Store, Uri, Version
from drillbook.systems.s3 import copies as objects
from drillbook.systems.s3.actions.fields import Location, Prefix, ServiceName, need_same_store
from drillbook.systems.s3.copies import BODIES, FILE, WORKERS, Content, Entry, Manifest, Wanted

ROUNDS = 4
"""How often an object that changes while it is copied is copied again."""


class Copy(Write):
    """Copy objects inside the store into a backup location, with a manifest of every object's SHA-256 written last."""

    SERVICE = S3
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    prefix: Prefix = ""
    to: Annotated[Uri, Field(description="Folder in the same store: `s3://bucket/prefix`. It must hold nothing yet.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` and ``manifest`` for the restore and the comparison, ``objects``, ``bytes``, ``seconds``."""
        service, folder = ctx.service(self.service, S3), Reference.parse(self.to)
        source, target = Store(service), Store(ctx.bucket(self.to))
        need_same_store(service, target.service)
        begun = ctx.deadline.remaining()
        if target.sizes(folder.key + "/"):
            raise StepFailed(f"there is something in {folder} already; a backup is never overwritten")
        taken = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            versioned = source.versioned()
            found = self._take(ctx, source, target, folder)
            manifest = Manifest(
                run=ctx.run_id,
                service=service.name,
                bucket=service.bucket,
                prefix=self.prefix,
                taken_at=taken,
                versioned=versioned,
                objects=found,
            )
            self._look(target, folder, manifest)
            data = manifest.encoded()
            digest = hashlib.sha256(data).hexdigest()
            target.put(folder.below(FILE).key, data, digest)
            signed = vouchers.signed(ctx, target, folder, data)
        except BaseException as error:
            with suppress(DrillbookError):
                target.delete([f"{folder.key}/{name}" for name in target.in_time().sizes(folder.key + "/")])
            if isinstance(error, CouldNotVerify):
                raise StepFailed(f"the copy failed: {error.message}") from error
            raise
        return {
            "location": str(Reference(folder.bucket, folder.key, digest)),
            "manifest": str(folder.below(FILE, digest)),
            "objects": len(found),
            "bytes": manifest.bytes,
            "versioned": versioned,
            "taken_at": taken,
            "seconds": round(begun - ctx.deadline.remaining(), 3),
            "evidence": ctx.evidence(FILE, data),
            **signed,
        }

    def _take(self, ctx: Context, source: Store, target: Store, folder: Reference) -> dict[str, Entry]:
        """Copy and digest until every object that is there was copied as it is; what changes meanwhile comes again."""
        done: dict[str, Entry] = {}
        todo = source.live(self.prefix)
        if not todo:
            raise StepFailed(f"there is no object below s3://{source.service.bucket}/{self.prefix}")
        for _ in range(ROUNDS):
            done |= self._round(ctx, source, target, folder, todo)
            missed = todo.keys() - done.keys()
            if not missed:
                return done
            now = source.live(self.prefix)
            todo = {key: now[key] for key in missed if key in now}
        raise StepFailed(f"{len(todo)} objects change faster than they are copied, such as {min(todo)}")

    def _round(
        self, ctx: Context, source: Store, target: Store, folder: Reference, todo: Mapping[str, Version]
    ) -> dict[str, Entry]:
        def copy(one: Version) -> bool:
            ctx.deadline.check()
            return target.copy(one, source.service.bucket, body_key(folder, one.key))

        with ThreadPoolExecutor(WORKERS) as pool:
            arrived = [one for one, ok in zip(todo.values(), pool.map(copy, todo.values()), strict=True) if ok]
        wanted = [Wanted(one.key, one.id, "" if one.id else one.etag) for one in arrived]
        contents = objects.contents(ctx, source, wanted)
        return {
            one.key: Entry(size=content.size, sha256=content.sha256, etag=one.etag, version=one.id)
            for one, content in zip(arrived, contents, strict=True)
            if content is not None
        }

    def _look(self, target: Store, folder: Reference, manifest: Manifest) -> None:
        wrong = objects.damages(manifest, target.sizes(f"{folder.key}/{BODIES}/"), {})
        if wrong:
            raise StepFailed(f"the store does not show what was copied: {objects.summary(wrong)}")

    def ready(self, ctx: Context) -> None:
        """Both buckets must answer and lie in one store."""
        service = ctx.service(self.service, S3)
        Store(service).check()
        if self.known("to"):
            need_same_store(service, ctx.bucket(self.to))
            Store(ctx.bucket(self.to)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The bucket whose objects are copied."""
        return bucket(ctx.service(self.service, S3))

    def undo(self, ctx: Context) -> Undo:
        """A backup is kept."""
        return Undo.nothing("a backup is kept")


def bucket(service: S3, name: str = "") -> Identity:
    """The bucket of ``service``, or the bucket ``name`` of the same store: no other bears its name there."""
    return Identity(kind="s3", of={"at": bucket_name(service.endpoint, name or service.bucket)})


def body_key(folder: Reference, key: str) -> str:
    """Key of the copy of the object ``key``."""
    return f"{folder.key}/{BODIES}/{key}"


def proven(ctx: Context, store: Store, folder: Reference, manifest: Manifest, keys: list[str]) -> None:
    """Read the copies of ``keys``, and look at the sizes of all. Raises StepFailed with a finding for each that is wrong."""
    sizes = store.sizes(f"{folder.key}/{BODIES}/")
    there = [key for key in keys if key in sizes]
    contents = objects.contents(ctx, store, [Wanted(body_key(folder, key)) for key in there])
    found: dict[str, Content | None] = dict(zip(there, contents, strict=True))
    wrong = objects.damages(manifest, sizes, found)
    if wrong:
        raise StepFailed(f"the copy in {folder} is not whole: {objects.summary(wrong)}", findings=wrong)


class BackupIntact(Read):
    """Read every object of a copy where it lies and compare it with the manifest's digest."""

    SERVICE = S3
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("s3.restore",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``objects``, ``bytes``, ``identity`` of what it is a copy of, ``seconds``."""
        begun = ctx.deadline.remaining()
        store = Store(ctx.bucket(self.from_))
        folder, manifest = objects.read(store, self.from_)
        if not ctx.same_service(manifest.service, self.service):
            raise StepFailed(f"{folder} is a copy of {manifest.service}, not of {self.service}")
        proven(ctx, store, folder, manifest, sorted(manifest.objects))
        found = bucket(store.service, manifest.bucket)  # a copy lies in the store that it was made in
        found = found.saved(folder.sha256 or hashlib.sha256(manifest.encoded()).hexdigest())
        return {
            "objects": len(manifest.objects),
            "bytes": manifest.bytes,
            "identity": found.model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def subject(self, ctx: Context) -> Identity | None:
        """The service's bucket."""
        return bucket(ctx.service(self.service, S3))

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()


class Restore(Write):
    """Bring objects back from a copy, inside the store, once the copies are proven. What is right already stays."""

    SERVICE = S3
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    from_: Location
    prefix: Prefix = ""
    replace: Annotated[bool, Field(description="Also write over objects that are there with another content.")] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``restored``, ``unchanged``, ``left`` (other content, not replaced), ``bytes``, ``seconds``."""
        begun = ctx.deadline.remaining()
        source, target = Store(ctx.bucket(self.from_)), Store(ctx.service(self.service, S3))
        need_same_store(source.service, target.service)
        folder, manifest = objects.read(source, self.from_)
        wanted = objects.below(manifest, self.prefix)
        there = sorted(target.live(self.prefix).keys() & wanted.keys())
        contents = objects.contents(ctx, target, [Wanted(key) for key in there])
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
        copies = source.live(f"{folder.key}/{BODIES}/")

        def copy(key: str) -> bool:
            ctx.deadline.check()
            return target.copy(copies[body_key(folder, key)], source.service.bucket, key)

        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                failed = [key for key, ok in zip(todo, pool.map(copy, todo), strict=True) if not ok]
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        if failed:
            raise StepFailed(f"{len(failed)} copies changed while they were restored, such as {failed[0]}")

    def ready(self, ctx: Context) -> None:
        """Both buckets must answer and lie in one store."""
        service = ctx.service(self.service, S3)
        Store(service).check()
        if self.known("from_"):
            need_same_store(service, ctx.bucket(self.from_))

    def subject(self, ctx: Context) -> Identity | None:
        """The bucket that the objects were brought back to."""
        return bucket(ctx.service(self.service, S3))

    def undo(self, ctx: Context) -> Undo:
        """What was brought back is kept."""
        return Undo.nothing("what was brought back is kept")
