"""Manifest of a backup of a volume: the image, the content of the volume, and every stored file with its digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from drillbook.sdk.stored_backup import FilesManifest, Part, Sha256, StoredFile

FORMAT: Literal["drillbook/volume-backup/1"] = "drillbook/volume-backup/1"
ARCHIVE = "volume.tar"


class Root(Part):
    """Mode (octal), owner id and group id of the top folder of a volume."""

    mode: Annotated[str, Field(pattern=r"^[0-7]{1,4}$")]
    uid: Annotated[int, Field(ge=0)]
    gid: Annotated[int, Field(ge=0)]


class Manifest(FilesManifest):
    """Manifest that describes one backup of a Docker volume."""

    format: Literal["drillbook/volume-backup/1"] = FORMAT
    volume: str
    image: str
    entries: Annotated[int, Field(ge=0)]
    content: Sha256
    root: Root | None = None
    """Mode and owner of the top folder of the volume. The value is None in backups of older versions."""
    files: Mapping[Annotated[str, Field(pattern=r"^volume\.tar$")], StoredFile]
