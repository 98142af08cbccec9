"""Action `s3.versions_restore`, which restores objects from older versions in the same bucket."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Undo, Write
from drillbook.sdk.object_reference import Uri
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store, Version
from drillbook.systems.s3 import copies
from drillbook.systems.s3.actions.fields import Prefix, ServiceName, need_versions
from drillbook.systems.s3.copies import WORKERS, Wanted
from drillbook.systems.s3.manifest import Entry, below, read_manifest


@dataclass(frozen=True, slots=True)
class Choice:
    """Result of choosing versions: the versions to restore (``back``), the number of objects that are left as they are
    (``unchanged``), and findings about objects without a good version (``lost``).
    """

    back: list[Version]
    unchanged: int
    lost: list[Finding]


class VersionsRestore(Write):
    """Restore the newest good version of objects by writing its content again.

    Nothing is deleted, and all versions are kept. A version is good in two cases: its content equals the digest in a copy's
    manifest, or it was current at a given time. An object stays unchanged if it is correct, if the manifest does not list it,
    or if it did not exist at the given time.
    """

    SERVICE = S3
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    prefix: Prefix = ""
    manifest: Annotated[Uri | None, Field(description="Fact `manifest` of the step `s3.copy`.")] = None
    at: Annotated[
        str | None,
        Field(
            description="UTC time in whole seconds, such as `2026-01-01T12:00:00Z`. The versions that were "
            "current at this time are restored."
        ),
    ] = None

    @field_validator("at")
    @classmethod
    def _time(cls, text: str | None) -> str | None:
        if text is not None and datetime.fromisoformat(text).tzinfo is None:
            raise ValueError(f"{text!r} has no time zone; end it with Z")
        return text

    @model_validator(mode="after")
    def _one_way(self) -> VersionsRestore:
        if (self.manifest is None) == (self.at is None):
            raise ValueError("set either `manifest` or `at`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``restored`` (number of restored objects), ``unchanged`` (number of objects left as they are), ``bytes``
        (size of the restored objects), ``keys`` (keys of the first 10 restored objects), ``seconds`` (duration).
        """
        begun = ctx.deadline.remaining()
        store = Store(ctx.service(self.service, S3))
        history = store.history(self.prefix)
        choice = self._by_manifest(ctx, store, history) if self.manifest else self._by_time(history)
        self._bring(ctx, store, choice.back)
        facts: Facts = {
            "restored": len(choice.back),
            "unchanged": choice.unchanged,
            "bytes": sum(version.size for version in choice.back),
            "keys": [version.key for version in choice.back][:10],
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }
        if choice.lost:
            said = f"{len(choice.lost)} objects have no good version: {stored_backup.summary(choice.lost)}"
            raise StepFailed(said, findings=choice.lost, facts=facts)
        return facts

    def _by_manifest(self, ctx: Context, store: Store, history: Mapping[str, list[Version]]) -> Choice:
        manifest = read_manifest(ctx, str(self.manifest))
        if manifest.bucket != store.service.bucket:
            raise StepFailed(f"the manifest is of the bucket {manifest.bucket}, not of {store.service.bucket}")
        wanted = below(manifest, self.prefix)
        latest = {key: next((version for version in history.get(key, ()) if version.latest), None) for key in wanted}
        odd = [key for key, newest in latest.items() if newest is None or newest.marker or newest.id != wanted[key].version]
        live = {key: [version] for key in odd if (version := latest[key]) is not None and not version.marker}
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
                measured=f"{sum(not version.marker for version in history.get(key, ()))} versions, but none of them has this content",
            )
            for key, entry in todo.items()
            if key not in good
        ]
        return Choice(list(good.values()), len(wanted) - len(todo), lost)

    def _matching(
        self, ctx: Context, store: Store, wanted: Mapping[str, Entry], candidates: Mapping[str, list[Version]]
    ) -> dict[str, Version]:
        """Return for each key the first version among ``candidates`` that has the content ``wanted``. Keys without such a
        version are left out. The SHA-256 of the whole content is compared.
        """
        version_by_key: dict[str, Version] = {}
        for place in range(max(map(len, candidates.values()), default=0)):
            asked = [
                versions[place]
                for key, versions in candidates.items()
                if key not in version_by_key and place < len(versions)
            ]
            contents = copies.contents(ctx, store, [Wanted(version.key, version.id) for version in asked])
            version_by_key |= {
                version.key: version
                for version, content in zip(asked, contents, strict=True)
                if content is not None and content.sha256 == wanted[version.key].sha256
            }
        return version_by_key

    def _by_time(self, history: Mapping[str, list[Version]]) -> Choice:
        if not history:
            raise StepFailed(f"the bucket has never had an object whose key begins with {self.prefix!r}")
        at = datetime.fromisoformat(str(self.at))
        back, unchanged = [], 0
        for _, versions in sorted(history.items()):
            then = [version for version in versions if version.at <= at]
            newest = max(then, key=lambda version: (version.at, not version.marker), default=None)
            good = None if newest is None or newest.marker else next(version for version in then if not version.marker)
            if good is None or good.latest:
                unchanged += 1
            else:
                back.append(good)
        return Choice(back, unchanged, [])

    def _bring(self, ctx: Context, store: Store, back: list[Version]) -> None:
        def copy(version: Version) -> bool:
            ctx.deadline.check()
            return store.copy(version, store.service.bucket, version.key)

        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                gone = [version.key for version, ok in zip(back, pool.map(copy, back), strict=True) if not ok]
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        if gone:
            raise StepFailed(f"{len(gone)} versions disappeared during the restore, such as the version of {gone[0]}")

    def ready(self, ctx: Context) -> None:
        """Check that the bucket keeps versions."""
        need_versions(ctx, self.service, "enable versioning, or restore objects with `s3.restore`")

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the restored objects stay, and every other version still exists."""
        return Undo.nothing("the restored objects and all other versions stay in the bucket")
