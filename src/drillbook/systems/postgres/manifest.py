"""Manifest of a dump: the recorded content, with which every copy and every restore is compared."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from drillbook.sdk.stored_backup import FilesManifest, Part, Sha256

FORMAT: Literal["drillbook/postgres-backup/1"] = "drillbook/postgres-backup/1"
ALGORITHM = "sum of hashtextextended(row::text, 0) mod 2^64, and count"
OWN_SCHEMA = "drillbook"
"""Schema of the canary: backed up, because the canary measures the recovery point, but not compared."""


class Table(Part):
    """Content of one table: ``name`` is quoted for SQL; ``digest`` is None when the content is not compared."""

    name: str
    rows: int
    digest: Annotated[str | None, Field(pattern=r"^[0-9a-f]{16}$")]
    bytes: int
    note: str = ""
    columns: tuple[str, ...] | None = None
    """Columns in the order in which the digest reads them; None: all, in the order of the table."""

    @model_serializer(mode="wrap")
    def _without_no_columns(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out `columns` if the table has no special order, so that its entry looks the same as in older versions."""
        return {key: value for key, value in written(self).items() if (key, value) != ("columns", None)}


class Sequence_(Part):  # noqa: N801  `Sequence` is a type of the standard library
    """State of a sequence; its numbers are text, because JSON numbers are exact only up to 2^53."""

    name: str
    last_value: str
    is_called: bool
    increment: str
    cycle: bool

    @property
    def reached(self) -> int:
        """Next value of the sequence; negated for a descending sequence, so that the result always grows with use."""
        step = int(self.increment)
        following = int(self.last_value) + (step if self.is_called else 0)
        return following if step > 0 else -following


class Database(Part):
    """Properties of a database that the options of ``CREATE DATABASE`` set."""

    name: str
    owner: str
    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str
    connection_limit: int
    bytes: int


class Cluster(Part):
    """Properties of a cluster that only initdb sets: those of its `template0`, and of its files."""

    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str
    icu_rules: str
    wal_segment_bytes: int
    group_access: bool
    """True when the group of the owner may read the data directory (`--allow-group-access`)."""


class Manifest(FilesManifest):
    """Manifest of a dump of a database: its content, properties, server and files."""

    ADDED: ClassVar[frozenset[str]] = FilesManifest.ADDED | {"cluster", "configured_in"}

    format: Literal["drillbook/postgres-backup/1"] = FORMAT
    host: str
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
    schema_sha256: Sha256
    cluster: Cluster | None = None
    """Properties of the cluster; None in backups of older versions."""
    configured_in: tuple[str, ...] = ()
    """Configuration files outside the data directory, such as Debian's below /etc, which are not in the backup."""
