"""Manifest of a copy of objects: every object with its size and digest, and the versions that the bucket kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, Literal

from drillbook.errors import StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import BackupManifest, Part, StoredFile

FORMAT: Literal["drillbook/objects-backup/1"] = "drillbook/objects-backup/1"
BODIES = "objects"
"""Name of the folder that holds the copies. It is below the backup's folder."""


class Entry(StoredFile):
    """Manifest entry of one object, as it was at the time of its copy. ``version`` is empty when the bucket kept no
    versions.
    """

    etag: str
    version: str


class Kept(Part):
    """Manifest entry of one version or delete marker that the bucket had at the time of a copy. Contents of older
    versions are not copied."""

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
    """Versions and delete markers of each key. The value is None for a bucket without versions, and in manifests that older
    versions of Drillbook wrote.
    """

    @property
    def bytes(self) -> int:
        """Size of all objects, in bytes."""
        return sum(entry.size for entry in self.objects.values())

    def stored(self) -> Mapping[str, int] | None:
        """Return the size in bytes of each copy. The key of each entry is the name of the copy below the backup's folder."""
        return {f"{BODIES}/{key}": entry.size for key, entry in self.objects.items()}


def read_manifest(ctx: Context, text: str) -> Manifest:
    """Read the manifest of the copy that ``text`` refers to. Raises StepFailed when the manifest is missing or was changed,
    and CouldNotVerify when the store cannot be read.
    """
    return Manifest.read(Store(ctx.bucket(text)), stored_backup.split(text))


def is_copy(data: bytes) -> bool:
    """Return True when ``data`` is the manifest of a copy of objects."""
    try:
        manifest = json.loads(data)
    except ValueError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def below(manifest: Manifest, prefix: str) -> dict[str, Entry]:
    """Return the manifest entries of the objects whose keys begin with ``prefix``. The key of each entry is the key of
    its object. Raises StepFailed when there is no such object.
    """
    entries = {key: entry for key, entry in sorted(manifest.objects.items()) if key.startswith(prefix)}
    if not entries:
        raise StepFailed(
            f"none of the {len(manifest.objects)} objects of the copy has a key that begins with {prefix!r}; the first "
            f"key is {min(manifest.objects, default='nothing')!r}"
        )
    return entries
