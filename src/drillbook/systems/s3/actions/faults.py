"""Faults of objects: hiding objects by delete markers, deleting objects permanently, or overwriting an object with other
bytes.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo, Write
from drillbook.sdk.identity import Identity
from drillbook.sdk.service import S3, bucket_name
from drillbook.sdk.store import Store, Version
from drillbook.sdk.store_rights import need_deletable, need_writable
from drillbook.systems.s3.actions.fields import Key, Location, Prefix, ServiceName, need_versions
from drillbook.systems.s3.manifest import read_manifest

OBJECT_LIMIT = 64 << 20
"""Maximum size, in bytes, of an object that the fault may overwrite."""
MARK = "drillbook-run"
"""Metadata field of an overwritten object. The field holds the id of the run that overwrote the object."""
FLIPPED = 1024

Count = Annotated[
    int,
    Field(
        ge=1,
        le=5000,
        description="Maximum number of objects to delete. The first objects in the order of their keys are chosen.",
    ),
]
Chosen = dict[str, list[str]]
"""Objects to delete. Each key is the key of an object. Its value is a list of ids: first the id of the current version, then
the ids of the delete markers that the object already has.
"""


class DeleteObjects(Fault):
    """Delete objects of a versioned bucket, as a wrong lifecycle rule or a wrong script would.

    The objects are then hidden by delete markers.
    """

    SERVICE = S3
    UNDO = ("action",)
    UNDO_ACTIONS = ("s3.undelete",)

    service: ServiceName
    prefix: Prefix = ""
    keys: Annotated[list[str] | None, Field(min_length=1, max_length=5000, description="Keys of the objects to delete.")] = (
        None
    )
    count: Count = 50

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``deleted`` (number of objects), ``skipped`` (number of objects that changed after they were chosen),
        ``keys`` (keys of the first 10 deleted objects).
        """
        store = need_versions(ctx, self.service, "use `s3.lose_objects` for a bucket without versioning")
        chosen = self._recorded(ctx) or self._choose(ctx, store)
        live = _latest(store, self.prefix)
        unchanged = [key for key, (version, *_) in chosen.items() if key in live and live[key].id == version]
        if not unchanged:
            raise StepFailed(f"all {len(chosen)} objects have changed since they were chosen, so none was deleted")
        store.delete(unchanged)
        return {"deleted": len(unchanged), "skipped": len(chosen) - len(unchanged), "keys": unchanged[:10]}

    def _choose(self, ctx: Context, store: Store) -> Chosen:
        """Choose the objects to delete. Store the list of these objects in the run's folder, where the method ``active`` and
        a recovery read it.
        """
        history = store.history(self.prefix)
        live = {
            key: version
            for key, versions in history.items()
            for version in versions
            if version.latest and not version.marker
        }
        missing = [key for key in self.keys or () if key not in live]
        if missing:
            raise StepFailed(f"the object to delete, {missing[0]}, does not exist in {store.service.bucket}")
        keys = sorted(self.keys or live)[: len(self.keys) if self.keys else self.count]
        if not keys:
            raise StepFailed(f"there is no object to delete below s3://{store.service.bucket}/{self.prefix}")
        chosen = {key: [live[key].id, *(version.id for version in history[key] if version.marker)] for key in keys}
        ctx.evidence(self._record(ctx), json.dumps(chosen))
        return chosen

    def _record(self, ctx: Context) -> str:
        """Return the name of the evidence file that lists the chosen objects. The name depends on all fields of the step."""
        way = f"{ctx.service(self.service, S3).bucket} {self.model_dump_json()}"
        return f"chosen-{hashlib.sha256(way.encode()).hexdigest()[:12]}.json"

    def _recorded(self, ctx: Context) -> Chosen | None:
        """Return the objects that an earlier call of this step chose, or None when no choice is recorded."""
        try:
            chosen: Chosen = json.loads((ctx.folder / "evidence" / ctx.evidence_file(self._record(ctx))).read_bytes())
        except (OSError, ValueError):
            return None
        return chosen

    def ready(self, ctx: Context) -> None:
        """Check that the bucket keeps versions, and that the undo may delete the delete markers."""
        why = "enable versioning, or use `s3.lose_objects`, whose effect only a restore can undo"
        need_deletable(need_versions(ctx, self.service, why), self.prefix if self.known("prefix") else "")

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the delete markers that this fault added."""
        store = need_versions(ctx, self.service, "use `s3.lose_objects` for a bucket without versioning")
        chosen = self._recorded(ctx) or self._choose(ctx, store)
        return Undo.by_action("s3.undelete", service=self.service, objects=chosen)

    def active(self, ctx: Context) -> bool | None:
        """Return True while a delete marker of this fault hides a chosen object. Return None when no choice is recorded."""
        chosen = self._recorded(ctx)
        return None if chosen is None else bool(_hidden(Store(ctx.service(self.service, S3)), chosen))


def _latest(store: Store, prefix: str) -> dict[str, Version]:
    return {key: version for key, versions in store.history(prefix).items() for version in versions if version.latest}


def _hidden(store: Store, chosen: Chosen) -> dict[str, list[str]]:
    """Return those chosen objects that a new delete marker hides, each with the ids of its new delete markers. A delete
    marker is new if it was added after the objects were chosen.
    """
    hidden = {}
    history = store.history(os.path.commonprefix(list(chosen)))  # noqa: RUF071  keys are not paths
    for key, known in chosen.items():
        new = [version for version in history.get(key, ()) if version.marker and version.id not in known[1:]]
        if any(version.latest for version in new):
            hidden[key] = [version.id for version in new]
    return hidden


class Undelete(Write):
    """Remove exactly the delete markers that a drill added to objects. This is the undo of `s3.delete_objects`."""

    SERVICE = S3
    UNDO = ("nothing",)

    service: ServiceName
    objects: Annotated[
        dict[str, list[str]],
        Field(
            description="For each key, a list of ids: the version that was current before the deletion, then "
            "the delete markers that existed before the deletion."
        ),
    ]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed`` (number of removed delete markers).

        The step fails when another client has also deleted some of the objects. These objects stay hidden.
        """
        store = Store(ctx.service(self.service, S3))
        hidden = _hidden(store, self.objects)
        single = [(key, markers[0]) for key, markers in hidden.items() if len(markers) == 1]
        store.delete_versions(single)
        several = sorted(key for key, markers in hidden.items() if len(markers) > 1)
        if several:
            raise StepFailed(
                f"{len(several)} objects, such as {several[0]}, were also deleted by another client; decide by hand "
                "which of their delete markers to remove"
            )
        return {"removed": len(single)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: this action is itself an undo."""
        return Undo.nothing("this step is itself an undo")


class LoseObjects(Fault):
    """Delete objects permanently from a bucket without versions.

    Only objects that equal the copy made by this run are deleted.
    """

    SERVICE = S3
    RESTORE_ONLY = True
    PROVEN_BY = ("s3.backup_intact",)
    RESTORED_BY = {"s3.backup_intact": "s3.restore"}
    UNDO = ("restore",)

    service: ServiceName
    from_: Location
    prefix: Prefix = ""
    count: Count = 50

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``deleted`` (number of objects), ``skipped`` (number of chosen objects that are missing or differ from the
        copy), ``keys`` (keys of the first 10 deleted objects).
        """
        store = self._unversioned(ctx)
        chosen = self._chosen(ctx)
        live = store.live(self.prefix)
        same = [key for key, etag in chosen.items() if key in live and live[key].etag == etag]
        if not same:
            raise StepFailed("all objects differ from the copy; nothing was deleted")
        store.delete(same)
        return {"deleted": len(same), "skipped": len(chosen) - len(same), "keys": same[:10]}

    def _unversioned(self, ctx: Context) -> Store:
        store = Store(ctx.service(self.service, S3))
        try:
            kept = store.versioned()
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if kept:
            raise NotReady(
                f"the bucket {store.service.bucket} keeps versions; a copy contains only the current versions, "
                f"so the older versions could not be restored",
                hint="use `s3.delete_objects`, whose delete markers can be removed",
            )
        return store

    def _chosen(self, ctx: Context) -> dict[str, str]:
        """Return the keys and ETags of the objects to delete. These are the objects in the copy whose keys begin with the
        prefix, but at most `count` of them, in the order of their keys.
        """
        manifest = read_manifest(ctx, self.from_)
        if manifest.bucket != ctx.service(self.service, S3).bucket:
            raise StepFailed(f"{self.from_} is a copy of another bucket: {manifest.bucket}")
        keys = [key for key in sorted(manifest.objects) if key.startswith(self.prefix)][: self.count]
        return {key: manifest.objects[key].etag for key in keys}

    def ready(self, ctx: Context) -> None:
        """Check that the bucket keeps no versions, and that objects may be deleted. In a bucket with versions nothing would be
        deleted permanently."""
        need_deletable(self._unversioned(ctx), version="")

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the bucket whose objects are deleted."""
        service = ctx.service(self.service, S3)
        return Identity(kind="s3", of={"at": bucket_name(service.endpoint, service.bucket)})

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: only a restore can recover the objects."""
        return Undo.by_restore("the objects are lost; only `s3.restore` can recover them")

    def active(self, ctx: Context) -> bool:
        """Return True while at least one of the chosen objects is missing."""
        return bool(self._chosen(ctx).keys() - Store(ctx.service(self.service, S3)).live(self.prefix).keys())

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when none of the chosen objects is missing."""
        return not self.active(ctx)


class CorruptObject(Fault):
    """Overwrite an object of a versioned bucket with other bytes of the same size, as a faulty program would."""

    SERVICE = S3
    UNDO = ("action",)
    UNDO_ACTIONS = ("s3.unwrite",)

    service: ServiceName
    key: Key

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``key``, ``bytes`` (size), ``changed`` (number of bytes that differ).

        An object that another client changes at the same time is not overwritten.
        """
        store = need_versions(ctx, self.service, "enable versioning: without it the object could not be restored")
        current = self._current(store)
        data = store.get(self.key, limit=OBJECT_LIMIT)
        if current is None or not data:
            raise StepFailed(f"the object to damage, {self.key}, does not exist in {store.service.bucket}")
        if store.mark(self.key, MARK) == ctx.run_id:
            return {"key": self.key, "bytes": len(data), "changed": 0}
        begin = max(0, (len(data) - FLIPPED) // 2)
        flipped = bytes(byte ^ 1 for byte in data[begin : begin + FLIPPED])
        if not store.overwrite(current, data[:begin] + flipped + data[begin + FLIPPED :], {MARK: ctx.run_id}):
            raise StepFailed(f"another client changed {self.key} at the same time, so the object was not overwritten")
        return {"key": self.key, "bytes": len(data), "changed": len(flipped)}

    def _current(self, store: Store) -> Version | None:
        return next(
            (version for version in store.history(self.key).get(self.key, ()) if version.latest and not version.marker), None
        )

    def ready(self, ctx: Context) -> None:
        """Check that the bucket keeps versions and has the object, and that versions may be written and deleted."""
        store = need_versions(ctx, self.service, "enable versioning: without it the object could not be restored")
        if self.known("key") and store.size(self.key) is None:
            raise NotReady(
                f"the object {self.key} does not exist in {store.service.bucket}", hint="set `key` to an existing object"
            )
        need_writable(ctx, store)
        need_deletable(store)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the version that this run wrote."""
        return Undo.by_action("s3.unwrite", service=self.service, key=self.key, of_run=ctx.run_id)

    def active(self, ctx: Context) -> bool:
        """Return True while readers see the bytes that this run wrote."""
        return Store(ctx.service(self.service, S3)).mark(self.key, MARK) == ctx.run_id


class Unwrite(Write):
    """Remove exactly those versions of an object that a run wrote. This is the undo of `s3.corrupt_object`."""

    SERVICE = S3
    UNDO = ("nothing",)

    service: ServiceName
    key: Key
    of_run: Annotated[str, Field(min_length=1, description="Id of the run that wrote the versions.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed`` (number of removed versions)."""
        store = Store(ctx.service(self.service, S3))
        versions = [version for version in store.history(self.key).get(self.key, ()) if not version.marker]
        ours = [(self.key, version.id) for version in versions if store.mark(self.key, MARK, version.id) == self.of_run]
        if ours:
            store.delete_versions(ours)
        return {"removed": len(ours)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: this action is itself an undo."""
        return Undo.nothing("this step is itself an undo")
