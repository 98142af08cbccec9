"""The manifest of a backup of a collection: how it is made, what it holds, every file with its digest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.sdk import stored_backup
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, StoredFile
from drillbook.systems.qdrant.points import ALGORITHM
from drillbook.values import canonical

SNAPSHOT = "collection.snapshot"
"""Name of the server's own snapshot in a backup."""

FORMAT: Literal["drillbook/qdrant-backup/1"] = "drillbook/qdrant-backup/1"
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PointsFile(StoredFile):
    """One file of the backup; ``points`` is how many points it holds."""

    points: Annotated[int, Field(ge=0)]


class ServerSnapshot(_Part):
    """The server's own snapshot in the same folder. A read of all points before it and one after it gave the same."""

    size: Annotated[int, Field(ge=1)]
    sha256: Hex


class Manifest(_Part):
    """Everything about a backup. It is written last: a backup without it is none.

    ``digest`` is over all points, see ``algorithm``. ``config`` is what makes a collection that takes them.
    """

    format: Literal["drillbook/qdrant-backup/1"] = FORMAT
    run: str
    service: str
    collection: str
    server_version: str
    taken_at: str
    method: Literal["scroll"] = "scroll"
    config: dict[str, Any]
    algorithm: str = ALGORITHM
    points: Annotated[int, Field(ge=0)]
    digest: Hex
    snapshot: ServerSnapshot | None = None
    files: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")], PointsFile]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(one.size for one in self.files.values()) + (self.snapshot.size if self.snapshot else 0)


def read(store: Store, origin: Reference) -> Manifest:
    """The manifest of the backup in the folder ``origin``, which carries its digest unless nobody knows it.

    Raises StepFailed with ``backup-missing`` or ``backup-manifest``, CouldNotVerify.
    """
    return stored_backup.read(store, origin.below(FILE), origin.sha256, Manifest, FORMAT)
