"""Manifest of an archive of files: every file, folder and link with its properties, and the stored archive with its digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import BackupManifest, Part, StoredFile
from drillbook.sdk.transfer import File
from drillbook.values import canonical

FORMAT: Literal["drillbook/files-archive/1"] = "drillbook/files-archive/1"
ARCHIVE, ZSTD_ARCHIVE = "archive.tar.gz", "archive.tar.zst"
ZSTD: Literal["zstd"] = "zstd"


class Entry(Part):
    """One file, folder, link, pipe or device in an archive.

    If a file has several hard links, ``same_as`` of each further link is the name of the first link.
    """

    type: Literal["file", "folder", "link", "pipe", "device"]
    mode: str
    uid: int
    gid: int
    mtime: int
    xattrs: dict[str, str]
    target: str | None = None
    size: int | None = None
    sha256: str | None = None
    same_as: str | None = None


class Manifest(BackupManifest):
    """Manifest of an archive of files."""

    ADDED = BackupManifest.ADDED | {"compression"}

    format: Literal["drillbook/files-archive/1"] = FORMAT
    compression: Literal["zstd"] | None = None
    """Name of the program that compressed the archive. None means gzip, the only program that older versions used."""
    host: str
    path: str
    machine: str = ""
    """Id of the machine on which the archive was made. The id is empty in archives that older versions made."""
    archive: StoredFile
    entries: dict[str, Entry]

    def encoded(self) -> bytes:
        """Return the manifest as canonical JSON. Fields that do not apply to an entry's type are left out."""
        return canonical(self.model_dump(mode="json", exclude_none=True))

    @property
    def bytes(self) -> int:
        """Size of all files, in bytes."""
        return sum(entry.size or 0 for entry in self.entries.values())

    def stored(self) -> Mapping[str, int]:
        """Return a mapping with one item. The key is the name of the archive's object in the store, and the value is
        its size in bytes.
        """
        return {self.archive.stored_as(self.name): self.archive.size}

    @property
    def name(self) -> str:
        """Name of the archive file."""
        return archive_name(self.compression)

    def listed(self) -> list[File]:
        """Return a list with one item: the compressed archive, as a ``File`` that can be transferred."""
        return [self.archive.file(self.name)]


def archive_name(compression: Literal["zstd"] | None) -> str:
    """Return the name of an archive file that the program ``compression`` compressed. None means gzip."""
    return ZSTD_ARCHIVE if compression else ARCHIVE


def read_manifest(ctx: Context, text: str) -> Manifest:
    """Read the manifest of the archive that ``text`` refers to.

    Raises StepFailed when the manifest is missing or damaged, and CouldNotVerify when the store fails.
    """
    return Manifest.read(Store(ctx.bucket(text)), stored_backup.split(text))
