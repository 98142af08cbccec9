"""A copy of objects: its manifest, reading objects where they lie, and comparing them with it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import host_programs
from drillbook.sdk.action import Context
from drillbook.sdk.store import Reference, Store, Version
from drillbook.values import canonical

FORMAT: Literal["drillbook/objects-backup/1"] = "drillbook/objects-backup/1"
FILE = "manifest.json"
BODIES = "objects"
"""Folder of the copies in the backup's folder."""
WORKERS = 6


class Entry(BaseModel):
    """One object as it was: ``version`` is empty where the bucket kept none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    etag: str
    version: str


class Manifest(BaseModel):
    """Everything about a copy. It is written last: a copy without it is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["drillbook/objects-backup/1"] = FORMAT
    run: str
    service: str
    bucket: str
    prefix: str
    taken_at: str
    versioned: bool
    objects: dict[str, Entry]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    @property
    def bytes(self) -> int:
        """Size of all objects."""
        return sum(one.size for one in self.objects.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read: an object, or one version of it; ``etag`` pins it where there are no versions."""

    key: str
    version: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What was read."""

    size: int
    sha256: str


def manifest_bytes(store: Store, folder: Reference) -> bytes:
    """The manifest in ``folder``, of the digest that ``folder`` pins. Raises StepFailed, CouldNotVerify."""
    where = folder.below(FILE)
    data = store.get(where.key)
    if data is None:
        raise StepFailed(
            f"there is no {where}",
            findings=[finding("backup-missing", title=FILE, wanted=str(where), measured="no such object")],
        )
    found = hashlib.sha256(data).hexdigest()
    if folder.sha256 not in (None, found):
        raise StepFailed(
            f"{where} is not the one that was written",
            findings=[
                finding("backup-manifest", title=str(where), wanted=f"sha256 {folder.sha256}", measured=f"sha256 {found}")
            ],
        )
    return data


def folder_of(text: str) -> Reference:
    """The folder of a backup, from a reference to it or to its manifest. Raises ValueError."""
    found = Reference.parse(text)
    return Reference(found.bucket, found.key.removesuffix("/" + FILE), found.sha256)


def is_objects(data: bytes) -> bool:
    """Is this the manifest of a copy of objects?"""
    try:
        found = json.loads(data)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def parsed(data: bytes, where: Reference) -> Manifest:
    """The manifest. Raises StepFailed with ``backup-manifest`` when it is none."""
    try:
        return Manifest.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise StepFailed(
            f"{where} is no manifest of objects",
            findings=[finding("backup-manifest", title=str(where), wanted=f"a manifest of format {FORMAT}", measured=said)],
        ) from error


def read(store: Store, text: str) -> tuple[Reference, Manifest]:
    """Folder and manifest of the copy at ``text``. Raises StepFailed, CouldNotVerify."""
    folder = folder_of(text)
    return folder, parsed(manifest_bytes(store, folder), folder)


def below(manifest: Manifest, prefix: str) -> dict[str, Entry]:
    """Its objects whose keys begin with ``prefix``, by key. Raises StepFailed when there is none: nothing would be shown."""
    found = {key: one for key, one in sorted(manifest.objects.items()) if key.startswith(prefix)}
    if not found:
        raise StepFailed(
            f"none of the {len(manifest.objects)} objects of the copy begins with {prefix!r}; the first is "
            f"{min(manifest.objects, default='nothing')!r}"
        )
    return found


def contents(ctx: Context, store: Store, wanted: Sequence[Wanted]) -> list[Content | None]:
    """Read every object and give its content's size and digest, or None for one that is not there (any more).

    The step's host reads them when it has python3, so that no byte passes the controller; else the controller does.
    Raises CouldNotVerify, HostError.
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
            hint="is `endpoint` reachable from the host?",
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
    """A finding for each object that is missing or has another content."""
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


def damages(manifest: Manifest, sizes: Mapping[str, int], found: Mapping[str, Content | None]) -> list[Finding]:
    """A finding for each object of the copy that is not there as the manifest says; ``found`` may hold fewer."""
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
    """Versions that may hold the content of ``entry``, the likeliest first."""
    fitting = [one for one in versions if not one.marker and one.size == entry.size]
    return sorted(fitting, key=lambda one: (one.id != entry.version, one.etag != entry.etag))


def summary(findings: Sequence[Finding]) -> str:
    """One line for several findings."""
    return "; ".join(one.title for one in findings[:3]) + (f" and {len(findings) - 3} more" if len(findings) > 3 else "")
