"""Copies of objects. This module reads objects in the store, and compares them with the manifest of a copy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify
from drillbook.findings import Finding, finding
from drillbook.sdk import host_programs
from drillbook.sdk.action import Context
from drillbook.sdk.store import Store, Version
from drillbook.systems.s3.manifest import Entry, Kept, Manifest

WORKERS = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """Object to read, or one version of an object. In a bucket without versions, ``etag`` identifies the content."""

    key: str
    version: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Size in bytes and SHA-256 of an object that was read."""

    size: int
    sha256: str


def contents(ctx: Context, store: Store, wanted: Sequence[Wanted]) -> list[Content | None]:
    """Return the size and the digest of every object, or None for an object that does not exist or has changed. If the
    step's host has python3, it reads the objects, so that no data passes through the controller. Otherwise the
    controller reads them. Raises CouldNotVerify when an object cannot be read, and HostError when the host cannot be
    used."""
    if not wanted:
        return []
    if not host_programs.has_python(ctx):
        return _read_here(ctx, store, wanted)
    seconds = ctx.deadline.remaining()
    asked = [
        {"url": store.sign_get(target.key, seconds, target.version), "etag": f'"{target.etag}"' if target.etag else ""}
        for target in wanted
    ]
    answers = host_programs.call(ctx, "drillbook.systems.s3.reader", private=json.dumps(asked))
    failed = [
        f"{target.key}: {answer['problem']}"
        for target, answer in zip(wanted, answers, strict=True)
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
    def measure(target: Wanted) -> Content | None:
        ctx.deadline.check()
        measured = store.digest(target.key, ctx.deadline, version=target.version, etag=target.etag)
        return None if measured is None else Content(*measured)

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(measure, wanted))


def differences(wanted: Mapping[str, Entry], content_by_key: Mapping[str, Content | None], bucket: str) -> list[Finding]:
    """Return a finding for each object that is missing or has other content."""
    wrong = []
    for key, entry in sorted(wanted.items()):
        content = content_by_key.get(key)
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
        key: [Kept(id=version.id, etag=version.etag, size=version.size, marker=version.marker) for version in versions]
        for key, versions in sorted(history.items())
    }


def versioning(manifest: Manifest, store: Store) -> list[Finding]:
    """Return a finding if the bucket kept versions at the time of the copy, but does not keep them now."""
    if not manifest.versioned or store.versioned():
        return []
    return [
        finding("versioning-off", title=manifest.bucket, wanted="versioning Enabled", measured="versioning is not enabled")
    ]


def forgotten(manifest: Manifest, history: Mapping[str, Sequence[Version]], prefix: str) -> list[Finding]:
    """Return a finding for each version and delete marker in the manifest that is missing or changed in the bucket.

    ``history`` holds the present versions and markers of the keys that begin with ``prefix``. Versions and markers that are
    newer than the manifest are not reported.
    """
    wrong = []
    for key, wanted in sorted((manifest.history or {}).items()):
        now = {
            version.id: Kept(id=version.id, etag=version.etag, size=version.size, marker=version.marker)
            for version in history.get(key, ())
        }
        for expected in wanted if key.startswith(prefix) else ():
            if now.get(expected.id) != expected:
                what = "delete marker" if expected.marker else f"version of {expected.size} bytes"
                code = "object-undeleted" if expected.marker else "object-no-version"
                measured = (
                    "not kept" if expected.id not in now else f"{now[expected.id].size} bytes, ETag {now[expected.id].etag}"
                )
                wrong.append(finding(code, title=key, wanted=f"{what} {expected.id}", measured=measured))
    return wrong


def damages(manifest: Manifest, sizes: Mapping[str, int], content_by_key: Mapping[str, Content | None]) -> list[Finding]:
    """Return a finding for each damaged or missing object of the copy. ``sizes``: size of each object in the store.
    ``content_by_key``: size and digest of each object that was read. If an object was not read, only its size is checked.
    """
    wrong = []
    for key, entry in sorted(manifest.objects.items()):
        content = content_by_key.get(key)
        if key not in sizes or (key in content_by_key and content is None):
            wrong.append(finding("backup-missing", title=key, wanted=f"{entry.size} bytes", measured="no such object"))
        elif sizes[key] != entry.size:
            wrong.append(finding("backup-size", title=key, wanted=f"{entry.size} bytes", measured=f"{sizes[key]} bytes"))
        elif content is not None and content.sha256 != entry.sha256:
            wrong.append(
                finding("backup-digest", title=key, wanted=f"sha256 {entry.sha256}", measured=f"sha256 {content.sha256}")
            )
    return wrong


def good_version(versions: Sequence[Version], entry: Entry) -> list[Version]:
    """Return the versions that may have the content of ``entry``. The most likely version comes first."""
    fitting = [version for version in versions if not version.marker and version.size == entry.size]
    return sorted(fitting, key=lambda version: (version.id != entry.version, version.etag != entry.etag))
