"""The manifest of a backup: what it holds, by which every copy of it and everything restored from it is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.sdk import stored_backup
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, StoredFile
from drillbook.sdk.transfer import NAME, File
from drillbook.values import canonical

FORMAT: Literal["drillbook/postgres-backup/1"] = "drillbook/postgres-backup/1"
ALGORITHM = "sum of hashtextextended(row::text, 0) mod 2^64, and count"
OWN_SCHEMA = "drillbook"
"""Schema of the canary: backed up, because it measures the recovery point, but no part of the comparison."""

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Part):
    """Content of one table: ``name`` quoted as SQL writes it; ``digest`` is None when its content is not compared."""

    name: str
    rows: int
    digest: Annotated[str | None, Field(pattern=r"^[0-9a-f]{16}$")]
    bytes: int
    note: str = ""


class Sequence_(_Part):  # noqa: N801  the word is taken
    """State of a sequence; numbers are text, because JSON's end at 2^53."""

    name: str
    last_value: str
    is_called: bool
    increment: str
    cycle: bool

    @property
    def reached(self) -> int:
        """How far it is, in steps of its own direction."""
        step = int(self.increment)
        following = int(self.last_value) + (step if self.is_called else 0)
        return following if step > 0 else -following


class Database(_Part):
    """Properties of a database, as ``CREATE DATABASE`` takes them."""

    name: str
    owner: str
    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str
    connection_limit: int
    bytes: int


class Manifest(_Part):
    """Everything about a backup. It is written last: a backup without it is none."""

    format: Literal["drillbook/postgres-backup/1"] = FORMAT
    run: str
    service: str
    host: str
    taken_at: str
    server_time: str
    system_identifier: str
    server_version: str
    server_version_num: int
    data_checksums: bool
    tools: dict[str, str]
    algorithm: str = ALGORITHM
    database: Database
    extensions: dict[str, str]
    roles: tuple[str, ...]
    tables: tuple[Table, ...]
    sequences: tuple[Sequence_, ...]
    schema_sha256: Hex
    files: dict[Annotated[str, Field(pattern=f"^{NAME}$")], StoredFile]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    def listed(self) -> list[File]:
        """Its files, for carrying."""
        return [File(name, one.size, one.sha256) for name, one in sorted(self.files.items())]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(one.size for one in self.files.values())


def read(store: Store, folder: Reference, wanted: str | None) -> Manifest:
    """The manifest of the backup in ``folder``, whose content must have the digest ``wanted`` unless that is None.

    Raises StepFailed with ``backup-missing`` or ``backup-manifest``, CouldNotVerify.
    """
    return stored_backup.read(store, folder.below(FILE), wanted, Manifest, FORMAT)
