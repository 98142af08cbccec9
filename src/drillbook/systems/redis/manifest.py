"""The manifest of a saved keyspace: every key with its type, digest and expiry; every file with its digest."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.sdk import stored_backup
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, StoredFile
from drillbook.sdk.transfer import NAME, File
from drillbook.systems.redis.content import ALGORITHM, Entry
from drillbook.values import canonical

FORMAT: Literal["drillbook/redis-backup/1"] = "drillbook/redis-backup/1"
RDB = "dump.rdb"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Part):
    """Where a server keeps what it writes, by its own settings, and the program that reads it."""

    program: str
    directory: Annotated[str, Field(pattern=r"^/")]
    rdb: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    aof_directory: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    aof: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    appends: bool


class Manifest(_Part):
    """Everything about a backup. It is written last: a backup without it is none.

    ``loaded`` is how many keys the file holds, as a server that loaded it says; the digests are of what it loaded.
    """

    format: Literal["drillbook/redis-backup/1"] = FORMAT
    run: str
    service: str
    host: str
    server: str
    server_version: str
    snapshot_at: str
    place: Place
    algorithm: str = ALGORITHM
    loaded: Annotated[int, Field(ge=0)]
    keys: dict[str, dict[str, Entry]]
    mark: str = ""
    """Text of the mark that the save left in the keyspace; empty in manifests of older versions."""
    files: dict[Annotated[str, Field(pattern=f"^{NAME}$")], StoredFile]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    def listed(self) -> list[File]:
        """Its files, for carrying."""
        return [File(name, one.size, one.sha256) for name, one in sorted(self.files.items())]

    def types(self) -> dict[str, int]:
        """How many keys there are of each type."""
        return dict(sorted(Counter(entry.type for keys in self.keys.values() for entry in keys.values()).items()))

    @property
    def count(self) -> int:
        """How many keys there are."""
        return sum(map(len, self.keys.values()))

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(one.size for one in self.files.values())


def read(store: Store, origin: Reference) -> Manifest:
    """The manifest of the backup in the folder ``origin``, which carries its digest unless nobody knows it.

    Raises StepFailed with ``backup-missing`` or ``backup-manifest``, CouldNotVerify.
    """
    return stored_backup.read(store, origin.below(FILE), origin.sha256, Manifest, FORMAT)
