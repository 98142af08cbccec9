"""Single objects: write one, read one, compare some with their digests or with a manifest."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.service import S3
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.systems.postgres import manifest as manifests
from drillbook.systems.s3 import copies as objects
from drillbook.systems.s3.actions.backup import body_key
from drillbook.systems.s3.actions.fields import Key
from drillbook.systems.s3.copies import Entry, Manifest, Wanted
from drillbook.values import Size

READERS = 4


StoreName = Annotated[str, Field(description="The S3 service in the inventory.")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Limit = Annotated[Size, Field(description="An object of more bytes is not read.")]


class Put(Write):
    """Write a small object from here, with its digest checked by the store."""

    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

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
        facts: Facts = {
            "uri": str(Reference(wanted.bucket, wanted.key, sha256)),
            "bytes": len(data),
            "sha256": sha256,
            "evidence": ctx.evidence(wanted.key.rpartition("/")[2], data),
        }
        if wanted.sha256 not in (None, sha256):
            raise StepFailed(f"{wanted.key} has another content", findings=[_other(wanted, f"sha256 {sha256}")], facts=facts)
        return facts

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        if self.known("uri"):
            Store(ctx.bucket(self.uri)).check()


class Matches(Read):
    """Compare objects with their digests, given here or by the manifest of a backup, byte by byte.

    With `service` and the manifest of `s3.copy` the service's own objects are compared, else those of the backup.
    """

    PLACE = Place.CONTROLLER
    SERVICE = S3
    TIMEOUT = 1800.0
    COMPARES = True

    store: Annotated[str | None, Field(description="The S3 service that holds `objects`.")] = None
    objects: Annotated[dict[str, Digest] | None, Field(min_length=1, description="Wanted SHA-256 by key.")] = None
    manifest: Annotated[
        Uri | None, Field(description="The `manifest` of a dump or of a copy: all its files or objects are compared.")
    ] = None
    service: Annotated[str | None, Field(description="The S3 service whose objects must be as in the copy.")] = None
    prefix: Annotated[str, Field(max_length=1024, description="With `service`: only keys that begin with this.")] = ""
    unexpected: Annotated[
        Literal["allow", "fail"],
        Field(
            description="With `service`: what an object that the manifest does not know means. Clients may write meanwhile.",
        ),
    ] = "allow"
    versions: Annotated[bool, Field(description="With `service`: every version of the manifest must still be kept.")] = False

    @model_validator(mode="after")
    def _one_way(self) -> Matches:
        given = self.__dict__
        if {"objects", "manifest", "store"} <= given.keys() and (
            (self.objects is None) == (self.manifest is None) or (self.objects is None) != (self.store is None)
        ):
            raise ValueError("give either `manifest`, or `objects` and their `store`")
        if {"service", "manifest"} <= given.keys() and self.service is not None and self.manifest is None:
            raise ValueError("`service` needs the `manifest` of a copy")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``objects``, ``bytes``, ``seconds``; with `service` also ``unexpected`` and ``unexpected_keys``."""
        begun = ctx.deadline.remaining()
        facts, wrong = self._compared(ctx)
        facts["seconds"] = round(begun - ctx.deadline.remaining(), 3)
        if wrong:
            said = f"{len(wrong)} of {facts['objects']} objects are wrong: {stored_backup.summary(wrong)}"
            raise StepFailed(said, findings=wrong, facts=facts)
        return facts

    def _compared(self, ctx: Context) -> tuple[Facts, list[Finding]]:
        if self.manifest is not None:
            store, folder = Store(ctx.bucket(self.manifest)), objects.folder_of(self.manifest)
            data = objects.manifest_bytes(store, folder)
            if self.service is not None:
                return self._live(ctx, objects.parsed(data, folder))
            if objects.is_objects(data):
                wanted = {body_key(folder, key): one for key, one in objects.below(objects.parsed(data, folder), "").items()}
                return self._entries(ctx, store, wanted)
        store, references = self._wanted(ctx)
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(lambda one: self._compare(ctx, store, one), references))
        return (
            {"objects": len(references), "bytes": sum(size for size, _ in found)},
            [one for _, one in found if one is not None],
        )

    def _entries(self, ctx: Context, store: Store, wanted: dict[str, Entry]) -> tuple[Facts, list[Finding]]:
        found = dict(zip(wanted, objects.contents(ctx, store, [Wanted(key) for key in wanted]), strict=True))
        return (
            {"objects": len(wanted), "bytes": sum(one.size for one in found.values() if one is not None)},
            objects.differences(wanted, found, store.service.bucket),
        )

    def _live(self, ctx: Context, manifest: Manifest) -> tuple[Facts, list[Finding]]:
        """The service's own objects against the manifest of a copy of them."""
        store = Store(ctx.service(self.service or "", S3))
        if manifest.bucket != store.service.bucket:
            raise StepFailed(f"the manifest is of the bucket {manifest.bucket}, not of {store.service.bucket}")
        wanted = objects.below(manifest, self.prefix)
        facts, wrong = self._entries(ctx, store, wanted)
        extra = sorted(
            key
            for key in store.live(self.prefix or manifest.prefix).keys() - wanted.keys()
            if key.startswith(manifest.prefix)
        )
        facts |= {"unexpected": len(extra), "unexpected_keys": extra[:10]}
        if self.versions:
            wrong += self._forgotten(store, wanted)
        if wrong or self.unexpected == "fail":
            wrong += [
                finding("object-unexpected", title=key, wanted="no such object", measured=f"s3://{manifest.bucket}/{key}")
                for key in extra[:100]
            ]
        return facts, wrong

    def _forgotten(self, store: Store, wanted: dict[str, Entry]) -> list[Finding]:
        history = store.history(self.prefix)
        return [
            finding("object-no-version", title=key, wanted=f"version {entry.version or 'ids'}", measured="not kept")
            for key, entry in wanted.items()
            if not entry.version or entry.version not in {one.id for one in history.get(key, ())}
        ]

    def _wanted(self, ctx: Context) -> tuple[Store, list[Reference]]:
        if self.manifest is None:
            service = ctx.service(self.store or "", S3)
            return Store(service), [Reference(service.bucket, key, sha) for key, sha in sorted((self.objects or {}).items())]
        store, folder = Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest)
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
        if self.known("service") and self.service is not None:
            Store(ctx.service(self.service, S3)).check()


def _missing(wanted: Reference) -> Finding:
    return finding("object-missing", title=wanted.key, wanted=str(wanted), measured="no such object")


def _other(wanted: Reference, measured: str) -> Finding:
    return finding("object-content", title=wanted.key, wanted=f"sha256 {wanted.sha256}", measured=measured)
