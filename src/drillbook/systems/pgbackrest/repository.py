"""Lists the backups in one stanza of a repository, each with the newest moment to which it can be recovered.

The list comes from `pgbackrest info`, and the moments come from the archived WAL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.answer_limits import parsed
from drillbook.sdk.backup_source import Backup
from drillbook.systems.pgbackrest import archive as archives
from drillbook.systems.pgbackrest.archive import Archive, Newest, Reader
from drillbook.systems.pgbackrest.programs import Program

BASIS = "end of the backup, by the clock of the host on which pgbackrest ran"
_ABSENT = {1: "the stanza is not in the repository", 3: "backup.info and its copy are missing"}
"""Status codes of `pgbackrest info` which mean that the stanza is missing, each with the reason as text. Code 2 means something
else: the stanza exists, but has no backup yet.
"""
_OTHER_KEY = "key/value found outside of section at line 1"
"""Usual error message of pgbackrest for a file that was decrypted with a wrong key.

If the padding of the decrypted data is also invalid, pgbackrest reports a CryptoError instead.
"""
ENCRYPTED = "Salted__"
"""First bytes of an encrypted file. Source: openssl-enc(1)."""


@dataclass(slots=True)
class Repository:
    """One stanza of one repository, read from one host."""

    program: Program
    stanza: str
    temporary: str = ""
    """Private folder on the host for one WAL segment. When it is empty, a new folder below /tmp is made."""
    programs: str = ""
    """Folder of PostgreSQL's programs on the host. When it is empty, the usual folders of packages and PATH are searched."""
    _archives: dict[str, Archive] = field(default_factory=dict)
    _ends: dict[str, Newest | None] = field(default_factory=dict)

    def info(self) -> dict[str, Any]:
        """Return that part of the output of `pgbackrest info` that describes the stanza.

        Raises StepFailed when the stanza is missing. Raises StepFailed or CouldNotVerify when the command fails. Raises
        HostError when the host cannot be used.
        """
        program = self.program
        # A message may contain bytes of a file that was decrypted with a wrong key, so undecodable bytes are replaced.
        text = program.answer("info", options={"output": "json"}).getvalue().decode("utf-8", "replace")
        answer = parsed(re.sub(r"[\x00-\x1f]", " ", text).encode(), f"{program.host.name}: the answer of pgbackrest info")
        stanza: dict[str, Any] = next((stanza for stanza in answer if stanza["name"] == self.stanza), {})
        state = stanza["repo"][0]["status"] if stanza.get("repo") else {"code": 1}
        if why := _ABSENT.get(state["code"]):
            problem = finding("backup-missing", title=program.name, wanted=f"the stanza {self.stanza}", measured=why)
            raise StepFailed(f"{program.host.name}: {program.name}: {why}", findings=[problem])
        if state["code"] not in (0, 2):
            said = str(state["message"])
            encrypted = stanza["repo"][0].get("cipher", "none") != "none" or ENCRYPTED in said
            raise program.failed("info", said, wrong_key=encrypted and _OTHER_KEY in said)
        return stanza

    def has(self, label: str) -> bool:
        """Return True if the repository lists the backup ``label``.

        Raises StepFailed or CouldNotVerify when pgbackrest fails, and HostError when the host cannot be used.
        """
        return any(row["label"] == label for row in self.info()["backup"])

    def backups(self) -> list[Backup]:
        """List the backups of the stanza.

        Raises StepFailed or CouldNotVerify when pgbackrest fails, and HostError when the host cannot be used.
        """
        stanza = self.info()
        return [self._backup(stanza, row) for row in stanza["backup"]]

    def _backup(self, stanza: Mapping[str, Any], row: Mapping[str, Any]) -> Backup:
        sizes, wal = row["info"], row.get("archive") or {}
        version, system = cluster(stanza, row)
        facts = {
            "type": row["type"],
            "prior": row["prior"],
            "version": version,
            "system_identifier": system,
            "restored_bytes": sizes["size"],
            "archive": archive_id(stanza, row),
            "wal_start": wal.get("start") or "",
            "wal_stop": wal.get("stop") or "",
            "lsn_start": (row.get("lsn") or {}).get("start") or "",
        }
        taken = datetime.fromtimestamp(row["timestamp"]["stop"], UTC)
        newest = self._newest(facts) if facts["wal_start"] else None
        return Backup(
            id=row["label"],
            taken_at=taken,
            basis=newest.basis if newest and newest.at >= taken else BASIS,
            error_s=newest.error_s if newest and newest.at >= taken else 1.0,
            bytes=sizes["repository"].get("size") or sizes["size"],
            until=max(newest.at, taken) if newest else None,
            facts=facts,
        )

    def archive(self, facts: Mapping[str, Any]) -> Archive:
        """Return the WAL archive that belongs to a backup.

        Raises StepFailed or CouldNotVerify when pgbackrest fails, and HostError when the host cannot be used.
        """
        name = facts["archive"]
        if name not in self._archives:
            size = archives.segment_size(facts["lsn_start"], facts["wal_start"])
            self._archives[name] = archives.listed(self.program, f"archive/{self.stanza}/{name}", size)
        return self._archives[name]

    def _newest(self, facts: Mapping[str, Any]) -> Newest | None:
        """Return the newest moment to which a backup can be recovered. Return None when the backup needs WAL that is missing."""
        archive = self.archive(facts)
        way = archive.way(facts["lsn_start"], facts["wal_start"])
        if archives.lacking_before(way, facts["wal_stop"]):
            return None
        if way.files[-1] not in self._ends:
            reader = Reader(self.program, self.temporary, self.programs, facts["version"])
            self._ends[way.files[-1]] = reader.newest(archive, way)
        return self._ends[way.files[-1]]


def cluster(stanza: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the major version and the system identifier of the cluster that was backed up."""
    database = next(db for db in stanza["db"] if db["id"] == row["database"]["id"])
    return str(database["version"]), str(database["system-id"])


def archive_id(stanza: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return the name of the WAL archive of a backup, such as ``17-1``. It consists of major version and database number."""
    return f"{cluster(stanza, row)[0]}-{row['database']['id']}"
