"""The manifest of a saved keyspace. It lists every key with its type, digest and expiry time, and every file with its
digest.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from drillbook.sdk.stored_backup import FilesManifest, Part
from drillbook.systems.redis.content import ALGORITHM, Entry
from drillbook.systems.redis.field_expiry import FieldTimes
from drillbook.systems.redis.properties import Properties

FORMAT: Literal["drillbook/redis-backup/1"] = "drillbook/redis-backup/1"
RDB = "dump.rdb"


class Place(Part):
    """Location of a server's data: folder and file names from its settings, and the path of its program."""

    program: str
    directory: Annotated[str, Field(pattern=r"^/")]
    rdb: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    aof_directory: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    aof: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    appends: bool


class Manifest(FilesManifest):
    """Manifest of a saved keyspace. ``taken_at`` is the time of the save by the server's clock. The stored JSON calls this
    field ``snapshot_at``.

    ``loaded`` is the number of keys that a server reported after it had loaded the file. The digests are computed from
    these keys.
    """

    model_config = ConfigDict(populate_by_name=True)

    ADDED: ClassVar[frozenset[str]] = frozenset({"fields", "properties"})
    format: Literal["drillbook/redis-backup/1"] = FORMAT
    taken_at: Annotated[str, Field(alias="snapshot_at")]
    host: str
    server: str
    server_version: str
    place: Place
    algorithm: str = ALGORITHM
    loaded: Annotated[int, Field(ge=0)]
    keys: dict[str, dict[str, Entry]]
    mark: str = ""
    """Value of the mark, a key that the save wrote into the keyspace. It is empty in manifests of older versions."""
    fields: dict[str, dict[str, FieldTimes]] | None = None
    """Expiry times of hash fields. The value is None in manifests of older versions."""
    properties: Properties | None = None
    """Settings, users and functions of the server. The value is None in manifests of older versions."""

    def types(self) -> dict[str, int]:
        """Number of keys of each type."""
        return dict(sorted(Counter(entry.type for keys in self.keys.values() for entry in keys.values()).items()))

    @property
    def count(self) -> int:
        """Number of keys in the backup."""
        return sum(map(len, self.keys.values()))
