"""The manifest of a saved keyspace: every key with its type, digest and expiry; every file with its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.errors import StepFailed
from drillbook.findings import Finding, finding
from drillbook.keyspace.content import ALGORITHM, Entry
from drillbook.store import Reference, Store
from drillbook.transfer import NAME, File
from drillbook.values import canonical

FORMAT: Literal["drillbook/redis-backup/1"] = "drillbook/redis-backup/1"
FILE = "manifest.json"
RDB = "dump.rdb"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Part):
    """One file of the backup."""

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


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
    where = origin.below(FILE)
    data = store.get(where.key)
    if data is None:
        raise StepFailed(f"there is no {where}", findings=[finding(
            "backup-missing", title=FILE, wanted=str(where), measured="no such object")])
    found = sha256(data)
    if origin.sha256 is not None and found != origin.sha256:
        raise StepFailed(f"{where} is not the one that was written", findings=[finding(
            "backup-manifest", title=str(where), wanted=f"sha256 {origin.sha256}", measured=f"sha256 {found}")])
    try:
        return Manifest.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise StepFailed(f"{where} is no manifest", findings=[finding(
            "backup-manifest", title=str(where), wanted=f"a manifest of format {FORMAT}", measured=said)]) from error


def split(text: str) -> Reference:
    """The folder of a backup, from a reference to it or to its manifest; the digest is the manifest's. Raises ValueError."""
    found = Reference.parse(text)
    return Reference(found.bucket, found.key.removesuffix("/" + FILE), found.sha256)


def present(store: Store, origin: Reference, manifest: Manifest) -> list[Finding]:
    """What is wrong with the files of the backup as far as the store's listing shows it. Raises CouldNotVerify."""
    sizes = store.sizes(origin.key + "/")
    wrong = []
    for name, one in sorted(manifest.files.items()):
        if name not in sizes:
            wrong.append(finding("backup-missing", title=name, wanted=str(origin.below(name)), measured="no such object"))
        elif sizes[name] != one.size:
            wrong.append(finding("backup-size", title=name, wanted=f"{one.size} bytes", measured=f"{sizes[name]} bytes"))
    return wrong


def summary(findings: Sequence[Finding]) -> str:
    """One line for several findings."""
    return "; ".join(one.title for one in findings[:3]) + (f" and {len(findings) - 3} more" if len(findings) > 3 else "")


def sha256(data: bytes) -> str:
    """Hex digest of ``data``."""
    return hashlib.sha256(data).hexdigest()
