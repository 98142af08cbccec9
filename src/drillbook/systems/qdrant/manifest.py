"""Manifest of the backup of a collection. It describes the source and the content of the backup, and lists every file with
its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from drillbook.sdk.stored_backup import FilesManifest, Part, Sha256, StoredFile
from drillbook.systems.qdrant.points import ALGORITHM

SNAPSHOT = "collection.snapshot"
"""Name of a file in a backup: the snapshot that the Qdrant server itself made, beside the points that Drillbook exported."""

FORMAT: Literal["drillbook/qdrant-backup/1"] = "drillbook/qdrant-backup/1"


class PointsFile(StoredFile):
    """Manifest entry of one file, with the number of points in the file."""

    points: Annotated[int, Field(ge=0)]


class ServerSnapshot(Part):
    """Manifest entry of the server's own snapshot. The snapshot is stored only if no point changed between the export and
    the end of the snapshot.
    """

    size: Annotated[int, Field(ge=1)]
    sha256: Sha256


class Manifest(FilesManifest):
    """Manifest that describes one backup of a collection of Qdrant.

    ``digest`` covers all points; ``algorithm`` describes how it is computed. ``config`` holds the settings with which a
    restore creates the collection.
    """

    format: Literal["drillbook/qdrant-backup/1"] = FORMAT
    collection: str
    server_version: str
    method: Literal["scroll"] = "scroll"
    config: dict[str, Any]
    algorithm: str = ALGORITHM
    points: Annotated[int, Field(ge=0)]
    digest: Sha256
    snapshot: ServerSnapshot | None = None
    files: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")], PointsFile]

    @property
    def bytes(self) -> int:
        """Size of all files and of the server's own snapshot, in bytes."""
        return super().bytes + (self.snapshot.size if self.snapshot else 0)

    def stored(self) -> Mapping[str, int]:
        """Return the sizes in bytes of all files and of the server's own snapshot. The keys are the names of the files."""
        snapshot = {SNAPSHOT: self.snapshot.size} if self.snapshot else {}
        return {**{name: file.size for name, file in self.files.items()}, **snapshot}
