"""What can happen to objects: deleted behind a marker, deleted for good, overwritten with other bytes."""

from __future__ import annotations

import hashlib
import json
import os.path
import re
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo, Write
from drillbook.sdk.identity import Identity
from drillbook.sdk.service import S3, bucket_name
from drillbook.sdk.store import Store, Version
from drillbook.systems.s3 import copies as objects
from drillbook.systems.s3.actions.fields import Key, Location, Prefix, ServiceName, need_versions

OBJECT_LIMIT = 64 << 20
"""The most bytes of an object that is overwritten with others."""
MARK = "drillbook-run"
"""Metadata of what a drill writes over an object: the run."""
FLIPPED = 1024

Count = Annotated[int, Field(ge=1, le=5000, description="At most so many objects, the first by key.")]
Chosen = dict[str, list[str]]
"""By key: the version that a reader sees, then the delete markers that are there already."""


class DeleteObjects(Fault):
    """Delete objects of a bucket that keeps versions, as a wrong lifecycle rule or script does: delete markers hide them."""

    SERVICE = S3
    UNDO = ("action",)

    service: ServiceName
    prefix: Prefix = ""
    keys: Annotated[list[str] | None, Field(min_length=1, max_length=5000, description="Exactly these keys.")] = None
    count: Count = 50

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``deleted``, ``skipped`` (changed since they were chosen), ``keys`` (the first)."""
        store = need_versions(ctx, self.service, "`s3.lose_objects` deletes where no versions are kept")
        chosen = self._recorded(ctx) or self._choose(ctx, store)
        live = _latest(store, self.prefix)
        unchanged = [key for key, (version, *_) in chosen.items() if key in live and live[key].id == version]
        if not unchanged:
            raise StepFailed(f"none of the {len(chosen)} objects is as it was when they were chosen")
        store.delete(unchanged)
        return {"deleted": len(unchanged), "skipped": len(chosen) - len(unchanged), "keys": unchanged[:10]}

    def _choose(self, ctx: Context, store: Store) -> Chosen:
        """Choose the objects, and keep the choice in the run's folder: the proof needs it, in a recovery too."""
        history = store.history(self.prefix)
        live = {key: one for key, versions in history.items() for one in versions if one.latest and not one.marker}
        missing = [key for key in self.keys or () if key not in live]
        if missing:
            raise StepFailed(f"there is no {missing[0]} in {store.service.bucket} to delete")
        keys = sorted(self.keys or live)[: len(self.keys) if self.keys else self.count]
        if not keys:
            raise StepFailed(f"there is no object below s3://{store.service.bucket}/{self.prefix} to delete")
        chosen = {key: [live[key].id, *(one.id for one in history[key] if one.marker)] for key in keys}
        ctx.evidence(self._record(ctx), json.dumps(chosen))
        return chosen

    def _record(self, ctx: Context) -> str:
        """Name of the evidence that holds the choice: one for each way to choose."""
        way = f"{ctx.service(self.service, S3).bucket} {self.model_dump_json()}"
        return f"chosen-{hashlib.sha256(way.encode()).hexdigest()[:12]}.json"

    def _recorded(self, ctx: Context) -> Chosen | None:
        """What an earlier call of this step chose, or None."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{ctx.step}.{ctx.host.name}.{self._record(ctx)}")
        try:
            found: Chosen = json.loads((ctx.folder / "evidence" / name).read_bytes())
        except (OSError, ValueError):
            return None
        return found

    def ready(self, ctx: Context) -> None:
        """The bucket must keep versions."""
        need_versions(ctx, self.service, "turn on versioning, or use `s3.lose_objects`, which only a restore mends")

    def undo(self, ctx: Context) -> Undo:
        """Remove the delete markers that were not there before."""
        store = need_versions(ctx, self.service, "`s3.lose_objects` deletes where no versions are kept")
        chosen = self._recorded(ctx) or self._choose(ctx, store)
        return Undo.by_action("s3.undelete", service=self.service, objects=chosen)

    def active(self, ctx: Context) -> bool | None:
        """True while a delete marker that was not there before hides one of the objects."""
        chosen = self._recorded(ctx)
        return None if chosen is None else bool(_hidden(Store(ctx.service(self.service, S3)), chosen))


def _latest(store: Store, prefix: str) -> dict[str, Version]:
    return {key: one for key, versions in store.history(prefix).items() for one in versions if one.latest}


def _hidden(store: Store, chosen: Chosen) -> dict[str, list[str]]:
    """The new delete markers of every chosen key whose newest entry is one."""
    hidden = {}
    history = store.history(os.path.commonprefix(list(chosen)))  # noqa: RUF071  keys are no paths
    for key, known in chosen.items():
        new = [one for one in history.get(key, ()) if one.marker and one.id not in known[1:]]
        if any(one.latest for one in new):
            hidden[key] = [one.id for one in new]
    return hidden


class Undelete(Write):
    """Remove the delete markers that a drill put on objects, and no other: the undo of `s3.delete_objects`."""

    SERVICE = S3
    UNDO = ("nothing",)

    service: ServiceName
    objects: Annotated[
        dict[str, list[str]], Field(description="By key: the version before, then the markers that were there before.")
    ]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed``. An object that was deleted by somebody else too is left and named."""
        store = Store(ctx.service(self.service, S3))
        hidden = _hidden(store, self.objects)
        single = [(key, markers[0]) for key, markers in hidden.items() if len(markers) == 1]
        store.delete_versions(single)
        several = sorted(key for key, markers in hidden.items() if len(markers) > 1)
        if several:
            raise StepFailed(
                f"{len(several)} objects were deleted more than once since, by somebody else too, such as "
                f"{several[0]}; decide by hand which of their delete markers go"
            )
        return {"removed": len(single)}

    def undo(self, ctx: Context) -> Undo:
        """It is an undo itself."""
        return Undo.nothing("it puts back")


class LoseObjects(Fault):
    """Delete objects for good in a bucket that keeps no versions: only those that a copy of this run holds as they are."""

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
        """Facts: ``deleted``, ``skipped`` (not as the copy holds them), ``keys`` (the first)."""
        store = self._unversioned(ctx)
        chosen = self._chosen(ctx)
        live = store.live(self.prefix)
        same = [key for key, etag in chosen.items() if key in live and live[key].etag == etag]
        if not same:
            raise StepFailed("none of the objects is as the copy holds it; nothing was deleted")
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
                f"the bucket {store.service.bucket} keeps versions, and a copy does not hold the older ones",
                hint="use `s3.delete_objects`, whose delete markers can be removed",
            )
        return store

    def _chosen(self, ctx: Context) -> dict[str, str]:
        """Keys and ETags of the copy's first objects below the prefix: the same at every call."""
        _, manifest = objects.read(Store(ctx.bucket(self.from_)), self.from_)
        if manifest.bucket != ctx.service(self.service, S3).bucket:
            raise StepFailed(f"{self.from_} is a copy of the bucket {manifest.bucket}")
        keys = [key for key in sorted(manifest.objects) if key.startswith(self.prefix)][: self.count]
        return {key: manifest.objects[key].etag for key in keys}

    def ready(self, ctx: Context) -> None:
        """The bucket must keep no versions."""
        self._unversioned(ctx)

    def subject(self, ctx: Context) -> Identity | None:
        """The bucket whose objects are deleted."""
        service = ctx.service(self.service, S3)
        return Identity(kind="s3", of={"at": bucket_name(service.endpoint, service.bucket)})

    def undo(self, ctx: Context) -> Undo:
        """Only a restore brings them back."""
        return Undo.by_restore("the objects are gone; only `s3.restore` brings them back")

    def active(self, ctx: Context) -> bool:
        """True while one of the objects is not there."""
        return bool(self._chosen(ctx).keys() - Store(ctx.service(self.service, S3)).live(self.prefix).keys())

    def untouched(self, ctx: Context) -> bool | None:
        """None of the objects is missing."""
        return not self.active(ctx)


class CorruptObject(Fault):
    """Write other bytes of the same size over an object of a bucket that keeps versions, as a buggy writer does."""

    SERVICE = S3
    UNDO = ("action",)

    service: ServiceName
    key: Key

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``key``, ``bytes``, ``changed`` (bytes that differ). Never writes over an object that changes meanwhile."""
        store = need_versions(ctx, self.service, "turn on versioning: without it nothing puts the object back")
        current = self._current(store)
        data = store.get(self.key, limit=OBJECT_LIMIT)
        if current is None or not data:
            raise StepFailed(f"there is no {self.key} in {store.service.bucket} that could be damaged")
        if store.mark(self.key, MARK) == ctx.run_id:
            return {"key": self.key, "bytes": len(data), "changed": 0}
        begin = max(0, (len(data) - FLIPPED) // 2)
        flipped = bytes(one ^ 1 for one in data[begin : begin + FLIPPED])
        if not store.overwrite(current, data[:begin] + flipped + data[begin + FLIPPED :], {MARK: ctx.run_id}):
            raise StepFailed(f"{self.key} was changed by somebody else at that moment; it was left alone")
        return {"key": self.key, "bytes": len(data), "changed": len(flipped)}

    def _current(self, store: Store) -> Version | None:
        return next((one for one in store.history(self.key).get(self.key, ()) if one.latest and not one.marker), None)

    def ready(self, ctx: Context) -> None:
        """The bucket must keep versions, and the object be there."""
        store = need_versions(ctx, self.service, "turn on versioning: without it nothing puts the object back")
        if self.known("key") and store.size(self.key) is None:
            raise NotReady(f"there is no {self.key} in {store.service.bucket}", hint="name an object that is there")

    def undo(self, ctx: Context) -> Undo:
        """Remove the version that this run wrote."""
        return Undo.by_action("s3.unwrite", service=self.service, key=self.key, of_run=ctx.run_id)

    def active(self, ctx: Context) -> bool:
        """True while a reader gets the bytes that this run wrote."""
        return Store(ctx.service(self.service, S3)).mark(self.key, MARK) == ctx.run_id


class Unwrite(Write):
    """Remove the versions of an object that a run wrote, and no other: the undo of `s3.corrupt_object`."""

    SERVICE = S3
    UNDO = ("nothing",)

    service: ServiceName
    key: Key
    of_run: Annotated[str, Field(min_length=1, description="Name of the run.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed``."""
        store = Store(ctx.service(self.service, S3))
        versions = [one for one in store.history(self.key).get(self.key, ()) if not one.marker]
        ours = [(self.key, one.id) for one in versions if store.mark(self.key, MARK, one.id) == self.of_run]
        if ours:
            store.delete_versions(ours)
        return {"removed": len(ours)}

    def undo(self, ctx: Context) -> Undo:
        """It is an undo itself."""
        return Undo.nothing("it puts back")
