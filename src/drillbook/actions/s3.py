"""Objects of an S3 store."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from drillbook.action import Context, Facts, Place, Read, Undo, Write
from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.postgresql import manifest as manifests
from drillbook.services import S3
from drillbook.store import Reference, Store
from drillbook.values import Size

READERS = 4


def _reference(text: str) -> str:
    Reference.parse(text)
    return text


StoreName = Annotated[str, Field(description="The S3 service in the inventory.")]
Key = Annotated[str, Field(min_length=1, max_length=1024, description="Key of the object.")]
Uri = Annotated[str, AfterValidator(_reference)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Limit = Annotated[Size, Field(description="An object of more bytes is not read.")]


class Put(Write):
    """Write a small object from here, with its digest checked by the store."""

    PLACE = Place.CONTROLLER

    store: StoreName
    key: Key
    text: Annotated[str | None, Field(description="The content.")] = None
    file: Annotated[str | None, Field(description="Path of a file on the controller with the content.")] = None
    overwrite: Annotated[bool, Field(description="Replace an object that is there.")] = False

    @model_validator(mode="after")
    def _one_content(self) -> Put:
        if {"text", "file"} <= self.__dict__.keys() and (self.text is None) == (self.file is None):
            raise ValueError("give either `text` or `file`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``uri``, ``bytes``, ``sha256``."""
        service = ctx.service(self.store, S3)
        try:
            data = Path(self.file).expanduser().read_bytes() if self.file is not None else (self.text or "").encode()
            sha256 = hashlib.sha256(data).hexdigest()
            Store(service).put(self.key, data, sha256, overwrite=self.overwrite)
        except OSError as error:
            raise StepFailed(f"{self.file} cannot be read: {error.strerror}") from error
        except CouldNotVerify as error:
            raise StepFailed(str(error)) from error
        return {"uri": str(Reference(service.bucket, self.key, sha256)), "bytes": len(data), "sha256": sha256}

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        Store(ctx.service(self.store, S3)).check()

    def undo(self, ctx: Context) -> Undo:
        """The object is kept."""
        return Undo.nothing("the object is kept")


class Get(Read):
    """Read a small object and keep it as evidence."""

    PLACE = Place.CONTROLLER

    uri: Annotated[Uri, Field(description="The object: `s3://bucket/key`, with `#sha256=HEX` when its content is known.")]
    limit: Limit = Size(16 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``uri``, ``bytes``, ``sha256``, ``evidence``."""
        wanted = Reference.parse(self.uri)
        data = Store(ctx.bucket(self.uri)).get(wanted.key, limit=int(self.limit))
        if data is None:
            raise StepFailed(f"there is no {wanted}", findings=[_missing(wanted)])
        sha256 = hashlib.sha256(data).hexdigest()
        facts: Facts = {"uri": str(Reference(wanted.bucket, wanted.key, sha256)), "bytes": len(data), "sha256": sha256,
                        "evidence": ctx.evidence(wanted.key.rpartition("/")[2], data)}
        if wanted.sha256 not in (None, sha256):
            raise StepFailed(f"{wanted.key} has another content", findings=[_other(wanted, f"sha256 {sha256}")], facts=facts)
        return facts

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        if self.known("uri"):
            Store(ctx.bucket(self.uri)).check()


class Matches(Read):
    """Compare objects in a store with their digests, given here or by the manifest of a backup."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0

    store: Annotated[str | None, Field(description="The S3 service that holds `objects`.")] = None
    objects: Annotated[dict[str, Digest] | None, Field(description="Wanted SHA-256 by key.")] = None
    manifest: Annotated[Uri | None, Field(description="The `manifest` of a dump: all its files are compared.")] = None

    @model_validator(mode="after")
    def _one_way(self) -> Matches:
        given = self.__dict__
        if {"objects", "manifest", "store"} <= given.keys() and (
                (self.objects is None) == (self.manifest is None) or (self.objects is None) != (self.store is None)):
            raise ValueError("give either `manifest`, or `objects` and their `store`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``objects``, ``bytes``, ``seconds``."""
        store, wanted = self._wanted(ctx)
        begun = ctx.deadline.remaining()
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(lambda one: self._compare(ctx, store, one), wanted))
        wrong = [one for _, one in found if one is not None]
        facts: Facts = {"objects": len(wanted), "bytes": sum(size for size, _ in found),
                        "seconds": round(begun - ctx.deadline.remaining(), 3)}
        if wrong:
            said = f"{len(wrong)} of {len(wanted)} objects are wrong: {manifests.summary(wrong)}"
            raise StepFailed(said, findings=wrong, facts=facts)
        return facts

    def _wanted(self, ctx: Context) -> tuple[Store, list[Reference]]:
        if self.manifest is None:
            service = ctx.service(self.store or "", S3)
            return Store(service), [Reference(service.bucket, key, sha) for key, sha in sorted((self.objects or {}).items())]
        store, folder = Store(ctx.bucket(self.manifest)), manifests.split(self.manifest)
        backup = manifests.read(store, folder, folder.sha256)
        return store, [folder.below(name, one.sha256) for name, one in sorted(backup.files.items())]

    def _compare(self, ctx: Context, store: Store, wanted: Reference) -> tuple[int, Finding | None]:
        ctx.deadline.check()
        found = store.digest(wanted.key, ctx.deadline)
        if found is None:
            return 0, _missing(wanted)
        size, sha256 = found
        return size, None if sha256 == wanted.sha256 else _other(wanted, f"sha256 {sha256}")

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        if self.known("manifest") and self.manifest is not None:
            Store(ctx.bucket(self.manifest)).check()
        elif self.known("store") and self.store is not None:
            Store(ctx.service(self.store, S3)).check()


def _missing(wanted: Reference) -> Finding:
    return finding("object-missing", title=wanted.key, wanted=str(wanted), measured="no such object")


def _other(wanted: Reference, measured: str) -> Finding:
    return finding("object-content", title=wanted.key, wanted=f"sha256 {wanted.sha256}", measured=measured)
