"""Actions on single objects: writing and reading an object, and comparing objects with digests or with a manifest."""

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
from drillbook.sdk.object_reference import Reference, Uri
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.systems.postgres import manifest
from drillbook.systems.s3 import copies
from drillbook.systems.s3.actions.backup import body_key
from drillbook.systems.s3.actions.fields import Key
from drillbook.systems.s3.copies import Wanted
from drillbook.systems.s3.manifest import Entry, Manifest, below, is_copy
from drillbook.values import Size

READERS = 4


StoreName = Annotated[str, Field(description="Name of the S3 service in the inventory.")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Limit = Annotated[Size, Field(description="Maximum size of the object. A larger object is not read.")]


class Put(Write):
    """Write a small object from the controller. The store verifies the digest of the object."""

    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    store: StoreName
    key: Key
    text: Annotated[str | None, Field(description="Content of the object.")] = None
    file: Annotated[str | None, Field(description="Path of a file on the controller that holds the content.")] = None
    overwrite: Annotated[bool, Field(description="`true`: replace the object if it already exists.")] = False

    @model_validator(mode="after")
    def _one_content(self) -> Put:
        if (self.text is None) == (self.file is None):
            raise ValueError("set either `text` or `file`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``uri`` (address of the object, with its digest), ``bytes`` (size), ``sha256``."""
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
        """Check that the store answers."""
        Store(ctx.service(self.store, S3)).check()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the object stays in the store."""
        return Undo.nothing("the object stays in the store")


class Get(Read):
    """Read a small object and store it as evidence."""

    PLACE = Place.CONTROLLER

    uri: Annotated[
        Uri, Field(description="URI of the object: `s3://bucket/key`, followed by `#sha256=HEX` when its content is known.")
    ]
    limit: Limit = Size(16 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``uri`` (address of the object, with its digest), ``bytes`` (size), ``sha256``, ``evidence`` (the stored
        file).
        """
        wanted = Reference.parse(self.uri)
        data = Store(ctx.bucket(self.uri)).get(wanted.key, limit=int(self.limit))
        if data is None:
            raise StepFailed(f"{wanted} does not exist", findings=[_missing(wanted)])
        sha256 = hashlib.sha256(data).hexdigest()
        facts: Facts = {
            "uri": str(Reference(wanted.bucket, wanted.key, sha256)),
            "bytes": len(data),
            "sha256": sha256,
            "evidence": ctx.evidence(wanted.key.rpartition("/")[2], data),
        }
        if wanted.sha256 not in (None, sha256):
            raise StepFailed(
                f"{wanted.key} has other content than expected", findings=[_other(wanted, f"sha256 {sha256}")], facts=facts
            )
        return facts

    def ready(self, ctx: Context) -> None:
        """Check that the store answers."""
        if self.known("uri"):
            Store(ctx.bucket(self.uri)).check()


class Matches(Read):
    """Compare the content of objects with their expected digests.

    With the parameter `objects`, the objects in `store` are compared with the digests in this parameter. With the parameter
    `manifest`, the files of a backup are compared with the digests in the backup's manifest. With `manifest` and `service`,
    the objects in the bucket of the service are compared with the manifest of `s3.copy`.
    """

    PLACE = Place.CONTROLLER
    SERVICE = S3
    TIMEOUT = 1800.0
    COMPARES = True

    store: Annotated[str | None, Field(description="S3 service that contains `objects`.")] = None
    objects: Annotated[
        dict[str, Digest] | None,
        Field(min_length=1, description="Objects to compare: for each key, the expected SHA-256 of the object."),
    ] = None
    manifest: Annotated[
        Uri | None,
        Field(
            description="Fact `manifest` of a dump or of a copy. All files of the dump, or all objects of the copy, are compared."
        ),
    ] = None
    service: Annotated[
        str | None, Field(description="S3 service whose present objects are compared with the manifest of a copy.")
    ] = None
    prefix: Annotated[
        str,
        Field(max_length=1024, description="When `service` is set: compare only objects whose keys begin with this prefix."),
    ] = ""
    unexpected: Annotated[
        Literal["allow", "fail"],
        Field(
            description="When `service` is set: how to treat an object that is not in the manifest. Clients may "
            "have written such an object after the copy.",
        ),
    ] = "allow"
    versions: Annotated[
        bool | None,
        Field(
            description="When `service` is set: the versions that must still exist in the bucket. `null`: all versions "
            "and delete markers that the manifest lists, if it lists any. `true`: all that the manifest lists; if it lists none, "
            "as in an older Drillbook, the copied version of every object. `false`: none, for example because a lifecycle rule "
            "removes old versions."
        ),
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> Matches:
        if (self.objects is None) == (self.manifest is None) or (self.objects is None) != (self.store is None):
            raise ValueError("set either `manifest`, or `objects` and their `store`")
        if self.service is not None and self.manifest is None:
            raise ValueError("`service` needs the `manifest` of a copy")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``objects`` (number of compared objects), ``bytes`` (their total size), ``seconds`` (duration).

        When `service` is set, there are two more facts: ``unexpected`` (number of objects in the bucket that are not in the
        manifest) and ``unexpected_keys`` (the first keys of such objects).
        """
        begun = ctx.deadline.remaining()
        facts, wrong = self._compared(ctx)
        facts["seconds"] = round(begun - ctx.deadline.remaining(), 3)
        if wrong:
            said = (
                f"{len(wrong)} of {facts['objects']} objects differ from the expected content: "
                f"{stored_backup.summary(wrong)}"
            )
            raise StepFailed(said, findings=wrong, facts=facts)
        return facts

    def _compared(self, ctx: Context) -> tuple[Facts, list[Finding]]:
        if self.manifest is not None:
            store, folder = Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest)
            data = stored_backup.content(store, folder)
            if self.service is not None:
                return self._live(ctx, Manifest.parsed(data, folder.below(stored_backup.FILE)))
            if is_copy(data):
                kept = below(Manifest.parsed(data, folder.below(stored_backup.FILE)), "")
                return self._entries(ctx, store, {body_key(folder, key): entry for key, entry in kept.items()})
        store, references = self._wanted(ctx)
        with ThreadPoolExecutor(READERS) as pool:
            compared = list(pool.map(lambda reference: self._compare(ctx, store, reference), references))
        return (
            {"objects": len(references), "bytes": sum(size for size, _ in compared)},
            [problem for _, problem in compared if problem is not None],
        )

    def _entries(self, ctx: Context, store: Store, wanted: dict[str, Entry]) -> tuple[Facts, list[Finding]]:
        content_by_key = dict(zip(wanted, copies.contents(ctx, store, [Wanted(key) for key in wanted]), strict=True))
        return (
            {
                "objects": len(wanted),
                "bytes": sum(content.size for content in content_by_key.values() if content is not None),
            },
            copies.differences(wanted, content_by_key, store.service.bucket),
        )

    def _live(self, ctx: Context, manifest: Manifest) -> tuple[Facts, list[Finding]]:
        """Compare the objects in the service's bucket with the manifest of their copy."""
        store = Store(ctx.service(self.service or "", S3))
        if manifest.bucket != store.service.bucket:
            raise StepFailed(f"the manifest is of the bucket {manifest.bucket}, not of {store.service.bucket}")
        wanted = below(manifest, self.prefix)
        facts, wrong = self._entries(ctx, store, wanted)
        extra = sorted(
            key
            for key in store.live(self.prefix or manifest.prefix).keys() - wanted.keys()
            if key.startswith(manifest.prefix)
        )
        facts |= {"unexpected": len(extra), "unexpected_keys": extra[:10]}
        wrong += self._forgotten(store, manifest, wanted)
        if wrong or self.unexpected == "fail":
            wrong += [
                finding("object-unexpected", title=key, wanted="no such object", measured=f"s3://{manifest.bucket}/{key}")
                for key in extra[:100]
            ]
        return facts, wrong

    def _forgotten(self, store: Store, manifest: Manifest, wanted: dict[str, Entry]) -> list[Finding]:
        """Return findings about versions and delete markers that the bucket no longer has."""
        if self.versions is False or (self.versions is None and manifest.history is None):
            return []
        history = store.history(self.prefix or manifest.prefix)
        if manifest.history is not None:
            return [*copies.versioning(manifest, store), *copies.forgotten(manifest, history, self.prefix)]
        return [
            finding(
                "object-no-version",
                title=key,
                wanted=f"the version {entry.version}" if entry.version else "a version id in the manifest",
                measured="no such version" if entry.version else "none",
            )
            for key, entry in wanted.items()
            if not entry.version or entry.version not in {version.id for version in history.get(key, ())}
        ]

    def _wanted(self, ctx: Context) -> tuple[Store, list[Reference]]:
        if self.manifest is None:
            service = ctx.service(self.store or "", S3)
            return Store(service), [Reference(service.bucket, key, sha) for key, sha in sorted((self.objects or {}).items())]
        store, folder = Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest)
        backup = manifest.Manifest.read(store, folder)
        return store, [folder.below(file.name, file.sha256) for file in backup.listed()]

    def _compare(self, ctx: Context, store: Store, wanted: Reference) -> tuple[int, Finding | None]:
        ctx.deadline.check()
        measured = store.digest(wanted.key, ctx.deadline)
        if measured is None:
            return 0, _missing(wanted)
        size, sha256 = measured
        return size, None if sha256 == wanted.sha256 else _other(wanted, f"sha256 {sha256}")

    def ready(self, ctx: Context) -> None:
        """Check that the store answers."""
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
