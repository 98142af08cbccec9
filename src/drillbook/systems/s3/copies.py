"""Copies of objects: their manifest, reading of objects in the store, and comparison with the manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, Literal

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import host_programs, stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.store import Store, Version
from drillbook.sdk.stored_backup import BackupManifest, Part, StoredFile

FORMAT: Literal["drillbook/objects-backup/1"] = "drillbook/objects-backup/1"
BODIES = "objects"
"""Name of the folder with the copies, below the backup's folder."""
WORKERS = 6


class Entry(StoredFile):
    """Manifest entry of one object at the time of its copy; ``version`` is empty when the bucket kept no versions."""

    etag: str
    version: str


class Kept(Part):
    """Version or delete marker of an object in the bucket at the time of a copy; its content is not copied."""

    id: str
    etag: str = ""
    size: int = 0
    marker: bool = False


class Manifest(BackupManifest):
    """Manifest of a copy of objects: the bucket, the prefix, and an entry for each object."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"history"})
    format: Literal["drillbook/objects-backup/1"] = FORMAT
    bucket: str
    prefix: str
    versioned: bool
    objects: dict[str, Entry]
    history: dict[str, list[Kept]] | None = None
    """Versions and delete markers of each key; None in a bucket without versions, and in manifests of older versions."""

    @property
    def bytes(self) -> int:
        """Size of all objects, in bytes."""
        return sum(one.size for one in self.objects.values())

    def stored(self) -> Mapping[str, int] | None:
        """Return the size in bytes of each copy, by its name below the backup's folder."""
        return {f"{BODIES}/{key}": one.size for key, one in self.objects.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Object to read, or one version of it; in a bucket without versions ``etag`` identifies the content."""

    key: str
    version: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Size in bytes and SHA-256 of an object that was read."""

    size: int
    sha256: str


def read(ctx: Context, text: str) -> Manifest:
    """Read the manifest of the copy that ``text`` refers to. Raises StepFailed, CouldNotVerify."""
    return Manifest.read(Store(ctx.bucket(text)), stored_backup.split(text))


def is_copy(data: bytes) -> bool:
    """Return True when ``data`` is the manifest of a copy of objects."""
    try:
        found = json.loads(data)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def below(manifest: Manifest, prefix: str) -> dict[str, Entry]:
    """Return the objects whose keys begin with ``prefix``, by key. Raises StepFailed when no key does."""
    found = {key: one for key, one in sorted(manifest.objects.items()) if key.startswith(prefix)}
    if not found:
        raise StepFailed(
            f"none of the {len(manifest.objects)} objects of the copy has a key that begins with {prefix!r}; the first "
            f"key is {min(manifest.objects, default='nothing')!r}"
        )
    return found


def contents(ctx: Context, store: Store, wanted: Sequence[Wanted]) -> list[Content | None]:
    """Return size and digest of every object; None for an object that does not exist or has changed.

    The step's host reads the objects if it has python3, so that no data passes the controller; otherwise the controller
    does. Raises CouldNotVerify, HostError.
    """
    if not wanted:
        return []
    if not host_programs.has_python(ctx):
        return _read_here(ctx, store, wanted)
    seconds = ctx.deadline.remaining()
    asked = [
        {"url": store.sign_get(one.key, seconds, one.version), "etag": f'"{one.etag}"' if one.etag else ""} for one in wanted
    ]
    answers = host_programs.call(ctx, "drillbook.systems.s3.reader", json.dumps(asked))
    failed = [
        f"{one.key}: {answer['problem']}"
        for one, answer in zip(wanted, answers, strict=True)
        if answer.get("problem", "missing") != "missing"
    ]
    if failed:
        raise CouldNotVerify(
            f"{ctx.host.name} could not read {len(failed)} of {len(wanted)} objects of "
            f"{store.service.name}: " + "; ".join(failed[:3]),
            hint="check that the host can reach `endpoint` of the service",
        )
    return [Content(answer["size"], answer["sha256"]) if "sha256" in answer else None for answer in answers]


def _read_here(ctx: Context, store: Store, wanted: Sequence[Wanted]) -> list[Content | None]:
    def one(item: Wanted) -> Content | None:
        ctx.deadline.check()
        found = store.digest(item.key, ctx.deadline, version=item.version, etag=item.etag)
        return None if found is None else Content(*found)

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(one, wanted))


def differences(wanted: Mapping[str, Entry], found: Mapping[str, Content | None], bucket: str) -> list[Finding]:
    """Return a finding for each object that is missing or has other content."""
    wrong = []
    for key, entry in sorted(wanted.items()):
        content = found.get(key)
        if content is None:
            wrong.append(finding("object-missing", title=key, wanted=f"s3://{bucket}/{key}", measured="no such object"))
        elif content.sha256 != entry.sha256:
            wrong.append(
                finding(
                    "object-content",
                    title=key,
                    wanted=f"sha256 {entry.sha256}",
                    measured=f"sha256 {content.sha256}, {content.size} bytes",
                )
            )
    return wrong


def kept(history: Mapping[str, Sequence[Version]]) -> dict[str, list[Kept]]:
    """Return the entries of a manifest for all versions and delete markers in ``history``."""
    return {
        key: [Kept(id=one.id, etag=one.etag, size=one.size, marker=one.marker) for one in versions]
        for key, versions in sorted(history.items())
    }


def versioning(manifest: Manifest, store: Store) -> list[Finding]:
    """Return a finding if the bucket was versioned at the time of the copy, but no longer is."""
    if not manifest.versioned or store.versioned():
        return []
    return [finding("versioning-off", title=manifest.bucket, wanted="versioning Enabled", measured="it is not enabled")]


def forgotten(manifest: Manifest, history: Mapping[str, Sequence[Version]], prefix: str) -> list[Finding]:
    """Return a finding for each version and delete marker in the manifest that is missing or changed in the bucket.

    ``history`` covers the keys that begin with ``prefix``. Newer versions and markers are not reported.
    """
    wrong = []
    for key, wanted in sorted((manifest.history or {}).items()):
        now = {one.id: Kept(id=one.id, etag=one.etag, size=one.size, marker=one.marker) for one in history.get(key, ())}
        for one in wanted if key.startswith(prefix) else ():
            if now.get(one.id) != one:
                what = "delete marker" if one.marker else f"version of {one.size} bytes"
                code = "object-undeleted" if one.marker else "object-no-version"
                measured = "not kept" if one.id not in now else f"{now[one.id].size} bytes, ETag {now[one.id].etag}"
                wrong.append(finding(code, title=key, wanted=f"{what} {one.id}", measured=measured))
    return wrong


def damages(manifest: Manifest, sizes: Mapping[str, int], found: Mapping[str, Content | None]) -> list[Finding]:
    """Return a finding for each damaged or missing object of the copy; ``found`` may lack some objects, which are then not
    checked.
    """
    wrong = []
    for key, entry in sorted(manifest.objects.items()):
        content = found.get(key)
        if key not in sizes or (key in found and content is None):
            wrong.append(finding("backup-missing", title=key, wanted=f"{entry.size} bytes", measured="no such object"))
        elif sizes[key] != entry.size:
            wrong.append(finding("backup-size", title=key, wanted=f"{entry.size} bytes", measured=f"{sizes[key]} bytes"))
        elif content is not None and content.sha256 != entry.sha256:
            wrong.append(
                finding("backup-digest", title=key, wanted=f"sha256 {entry.sha256}", measured=f"sha256 {content.sha256}")
            )
    return wrong


def good_version(versions: Sequence[Version], entry: Entry) -> list[Version]:
    """Return the versions that may have the content of ``entry``, the most likely first."""
    fitting = [one for one in versions if not one.marker and one.size == entry.size]
    return sorted(fitting, key=lambda one: (one.id != entry.version, one.etag != entry.etag))
