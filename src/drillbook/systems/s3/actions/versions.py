"""Bringing objects back from the versions that their own bucket keeps."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts, Undo, Write
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store, Uri, Version
from drillbook.systems.s3 import copies
from drillbook.systems.s3.actions.fields import Prefix, ServiceName, need_versions
from drillbook.systems.s3.copies import WORKERS, Entry, Wanted


@dataclass(frozen=True, slots=True)
class Choice:
    """What to bring back, what is right as it is, and what has no good version."""

    back: list[Version]
    unchanged: int
    lost: list[Finding]


class VersionsRestore(Write):
    """Bring back the newest good version of objects, as a new version on top: nothing is deleted, history stays.

    Good is what a copy's manifest says, byte for byte, or what was there at a time. Objects that are right are not
    touched, nor are those that the manifest does not know.
    """

    SERVICE = S3
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    prefix: Prefix = ""
    manifest: Annotated[Uri | None, Field(description="The `manifest` that `s3.copy` gave.")] = None
    at: Annotated[str | None, Field(description="UTC time such as `2026-01-01T12:00:00Z`, to whole seconds.")] = None

    @field_validator("at")
    @classmethod
    def _time(cls, text: str | None) -> str | None:
        if text is not None and datetime.fromisoformat(text).tzinfo is None:
            raise ValueError(f"{text!r} names no time zone; end it with Z")
        return text

    @model_validator(mode="after")
    def _one_way(self) -> VersionsRestore:
        if {"manifest", "at"} <= self.__dict__.keys() and (self.manifest is None) == (self.at is None):
            raise ValueError("give either `manifest` or `at`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``restored``, ``unchanged``, ``bytes``, ``keys`` (the first of those restored), ``seconds``."""
        begun = ctx.deadline.remaining()
        store = Store(ctx.service(self.service, S3))
        history = store.history(self.prefix)
        choice = self._by_manifest(ctx, store, history) if self.manifest else self._by_time(history)
        self._bring(ctx, store, choice.back)
        facts: Facts = {
            "restored": len(choice.back),
            "unchanged": choice.unchanged,
            "bytes": sum(one.size for one in choice.back),
            "keys": [one.key for one in choice.back][:10],
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }
        if choice.lost:
            said = f"{len(choice.lost)} objects have no good version: {copies.summary(choice.lost)}"
            raise StepFailed(said, findings=choice.lost, facts=facts)
        return facts

    def _by_manifest(self, ctx: Context, store: Store, history: Mapping[str, list[Version]]) -> Choice:
        _, manifest = copies.read(Store(ctx.bucket(str(self.manifest))), str(self.manifest))
        if manifest.bucket != store.service.bucket:
            raise StepFailed(f"the manifest is of the bucket {manifest.bucket}, not of {store.service.bucket}")
        wanted = copies.below(manifest, self.prefix)
        latest = {key: next((one for one in history.get(key, ()) if one.latest), None) for key in wanted}
        odd = [key for key, one in latest.items() if one is None or one.marker or one.id != wanted[key].version]
        live = {key: [one] for key in odd if (one := latest[key]) is not None and not one.marker}
        right = self._matching(ctx, store, {key: wanted[key] for key in live}, live)
        todo = {key: wanted[key] for key in odd if key not in right}
        good = self._matching(
            ctx, store, todo, {key: copies.good_version(history.get(key, ()), entry) for key, entry in todo.items()}
        )
        lost = [
            finding(
                "object-no-version",
                title=key,
                wanted=f"sha256 {entry.sha256}",
                measured=f"{sum(not one.marker for one in history.get(key, ()))} versions, none with it",
            )
            for key, entry in todo.items()
            if key not in good
        ]
        return Choice(list(good.values()), len(wanted) - len(todo), lost)

    def _matching(
        self, ctx: Context, store: Store, wanted: Mapping[str, Entry], candidates: Mapping[str, list[Version]]
    ) -> dict[str, Version]:
        """For each key the first of its candidates whose content is the wanted one, read byte by byte."""
        found: dict[str, Version] = {}
        for place in range(max(map(len, candidates.values()), default=0)):
            asked = [versions[place] for key, versions in candidates.items() if key not in found and place < len(versions)]
            contents = copies.contents(ctx, store, [Wanted(one.key, one.id) for one in asked])
            found |= {
                one.key: one
                for one, content in zip(asked, contents, strict=True)
                if content is not None and content.sha256 == wanted[one.key].sha256
            }
        return found

    def _by_time(self, history: Mapping[str, list[Version]]) -> Choice:
        if not history:
            raise StepFailed(f"the bucket never held an object whose key begins with {self.prefix!r}")
        at = datetime.fromisoformat(str(self.at))
        back, unchanged = [], 0
        for _, versions in sorted(history.items()):
            then = [one for one in versions if one.at <= at]
            newest = max(then, key=lambda one: (one.at, not one.marker), default=None)
            good = None if newest is None or newest.marker else next(one for one in then if not one.marker)
            if good is None or good.latest:
                unchanged += 1
            else:
                back.append(good)
        return Choice(back, unchanged, [])

    def _bring(self, ctx: Context, store: Store, back: list[Version]) -> None:
        def copy(one: Version) -> bool:
            ctx.deadline.check()
            return store.copy(one, store.service.bucket, one.key)

        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                gone = [one.key for one, ok in zip(back, pool.map(copy, back), strict=True) if not ok]
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        if gone:
            raise StepFailed(f"{len(gone)} versions vanished while they were brought back, such as that of {gone[0]}")

    def ready(self, ctx: Context) -> None:
        """The bucket must keep versions."""
        need_versions(ctx, self.service, "turn on versioning, or bring objects back with `s3.restore`")

    def undo(self, ctx: Context) -> Undo:
        """What was brought back is kept; every other version is still there."""
        return Undo.nothing("what was brought back is kept, and the other versions too")
