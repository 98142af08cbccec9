"""Manifests of backups: of a dump, with the content of the database, and of a physical backup of a cluster."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from drillbook.sdk.stored_backup import FilesManifest, Part, Sha256

FORMAT: Literal["drillbook/postgres-backup/1"] = "drillbook/postgres-backup/1"
BASE_FORMAT: Literal["drillbook/postgres-base/1"] = "drillbook/postgres-base/1"
ALGORITHM = "sum of hashtextextended(row::text, 0) mod 2^64, and count"
OWN_SCHEMA = "drillbook"
"""Name of the canary's schema. Backups contain this schema, because its newest row in the restored data shows the recovery
point. Comparisons ignore it.
"""


class Table(Part):
    """Content of one table. ``name`` is quoted for SQL. ``digest`` is None when the content is not compared."""

    name: str
    rows: int
    digest: Annotated[str | None, Field(pattern=r"^[0-9a-f]{16}$")]
    bytes: int
    note: str = ""
    columns: tuple[str, ...] | None = None
    """Columns in the order in which the digest reads them. None means all columns in the order of the table."""

    @model_serializer(mode="wrap")
    def _without_no_columns(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out `columns` when it is None. The entry then looks like an entry that an older version of Drillbook wrote."""
        return {key: value for key, value in written(self).items() if (key, value) != ("columns", None)}


class Sequence_(Part):  # noqa: N801  `Sequence` is a type of the standard library
    """State of a sequence. The numbers are stored as text, because numbers in JSON are exact only up to 2^53."""

    name: str
    last_value: str
    is_called: bool
    increment: str
    cycle: bool

    @property
    def reached(self) -> int:
        """Next value of the sequence. The value of a descending sequence is negated, so that the value always grows when
        numbers are issued.
        """
        step = int(self.increment)
        following = int(self.last_value) + (step if self.is_called else 0)
        return following if step > 0 else -following


class Database(Part):
    """Properties of a database that are set by options of ``CREATE DATABASE``."""

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
    """Properties of a cluster that only initdb sets. They are read from the cluster's database `template0` and from its
    files.
    """

    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str
    icu_rules: str
    wal_segment_bytes: int
    group_access: bool
    """True when the owner's group may read the data directory (initdb's option `--allow-group-access`)."""


class Manifest(FilesManifest):
    """Manifest that describes one dump: the content and properties of the database, its server, and the files of the dump."""

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
    """Properties of the cluster, or None in backups made by older versions of Drillbook."""
    configured_in: tuple[str, ...] = ()
    """Paths of configuration files outside the data directory, such as Debian's below /etc. The backup lacks these files."""


class BaseManifest(FilesManifest):
    """Manifest of a physical backup. ``cluster_bytes``: size of all databases at the time of the backup."""

    format: Literal["drillbook/postgres-base/1"] = BASE_FORMAT
    host: str
    system_identifier: str
    timeline: int
    server_version_num: int
    wal_segment_size: str
    start_lsn: str
    end_lsn: str
    cluster_bytes: int
    tool: str
