"""Physical backups: the files of a whole cluster as pg_basebackup copies them, in a store, with the manifest last.

With the log of everything since (see ``wal``) such a backup brings back the last moment, which a dump cannot.
Source: PostgreSQL's manual, 25.3 "Continuous Archiving and Point-in-Time Recovery".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_writer import BackupSet, taking
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, StoredFile
from drillbook.sdk.transfer import NAME, Carrier, File
from drillbook.systems.postgres.connection import Connection, connected, one
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.proof import carry
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages
from drillbook.systems.postgres.tools import Tools
from drillbook.values import canonical

FORMAT: Literal["drillbook/postgres-base/1"] = "drillbook/postgres-base/1"
FILES = ("base.tar.gz", "pg_wal.tar.gz", "backup_manifest")
"""What pg_basebackup makes of a cluster without further tablespaces, as tar with its log streamed beside it."""
_SERVER = """
SELECT s.system_identifier::text, pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.current_setting('wal_segment_size'),
       (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)
FROM pg_catalog.pg_control_system() s
"""
_RANGE = re.compile(r'"Timeline": (\d+), "Start-LSN": "([0-9A-F]+/[0-9A-F]+)", "End-LSN": "([0-9A-F]+/[0-9A-F]+)"')
# Extracted here, where there is room; $3... are the programs, which may run as another user.
_EXTRACT = """
folder=$1 data=$2 waldata=$3; shift 3
"$@" mkdir -m 700 -- "$data" || exit 3
"$@" tar --no-same-owner -xzf - -C "$data" < "$folder/base.tar.gz" || exit 4
"$@" tar --no-same-owner -xzf - -C "$waldata" < "$folder/pg_wal.tar.gz"
"""


class BaseManifest(BaseModel):
    """Everything about a physical backup; ``cluster_bytes`` is the size of the cluster's databases when it was taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["drillbook/postgres-base/1"] = FORMAT
    run: str
    service: str
    host: str
    taken_at: str
    system_identifier: str
    timeline: int
    server_version_num: int
    wal_segment_size: str
    start_lsn: str
    end_lsn: str
    cluster_bytes: int
    tool: str
    files: dict[Annotated[str, Field(pattern=f"^{NAME}$")], StoredFile]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    def listed(self) -> list[File]:
        """Its files, for carrying."""
        return [File(name, one.size, one.sha256) for name, one in sorted(self.files.items())]


def read(store: Store, folder: Reference) -> BaseManifest:
    """The manifest of the backup in ``folder``, once the store shows every file in its size. Raises StepFailed."""
    found = stored_backup.read(store, folder.below(FILE), folder.sha256, BaseManifest, FORMAT)
    if wrong := stored_backup.present(store, folder, {name: one.size for name, one in found.files.items()}):
        raise StepFailed(f"the backup in {folder} is not whole: {stored_backup.summary(wrong)}", findings=wrong)
    return found


def other_tablespaces(session: Connection) -> list[str]:
    """Names of the tablespaces outside the data directory, which a base backup here does not cover."""
    query = "SELECT spcname FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1"
    return [str(name) for (name,) in session.execute(query).fetchall()]


@dataclass(frozen=True, slots=True)
class Base:
    """One physical backup that is being taken."""

    ctx: Context
    service: Postgres
    store: Store
    folder: Reference
    part_size: int
    stages: Stages = field(default_factory=Stages)

    def take(self) -> Facts:
        """Take it. Raises StepFailed, HostError, Cancelled; then nothing of it stays in the store or on the host."""
        with (
            failing("the base backup failed"),
            taking(self.store, self.folder) as backup,
            self.ctx.temporary("base") as scratch,
        ):
            server = self._server()
            self._copy(f"{scratch}/files")
            manifest = self._send(server, scratch, backup)
            return {**backup.facts(self.ctx), **self._facts(manifest)}

    def _server(self) -> Facts:
        with connected(self.ctx, self.service) as session:
            system, version, segment, size = one(session, _SERVER)
        return {
            "system_identifier": system,
            "server_version_num": version,
            "wal_segment_size": segment,
            "cluster_bytes": int(size),
        }

    def _copy(self, folder: str) -> None:
        tools = Tools.of(self.ctx, self.service, self.ctx.host)
        with self.stages.time("copy"):
            output = tools.client(
                "pg_basebackup",
                "--pgdata",
                folder,
                "--format=tar",
                "--gzip",
                "--compress=1",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--manifest-checksums=SHA256",
                "--no-sync",
                f"--label=drillbook {self.ctx.run_id}",
            )
        if not output.ok:
            said = output.stderr.decode("utf-8", "backslashreplace").strip()[-600:]
            raise StepFailed(f"{tools.host.name}: pg_basebackup ended with status {output.exit}: {said}")

    def _send(self, server: Facts, scratch: str, backup: BackupSet) -> BaseManifest:
        tools = Tools.of(self.ctx, self.service, self.ctx.host)
        files = f"{scratch}/files"
        with self.stages.time("upload"):
            carrier = Carrier(self.ctx.host, self.ctx.deadline, scratch)
            found = carrier.survey(files, self.part_size)
            if sorted(one.name for one in found) != sorted(FILES):
                raise StepFailed(f"pg_basebackup made {', '.join(one.name for one in found)}, not {', '.join(FILES)}")
            tail = self.ctx.run("tail", "-c", "2000", "--", f"{files}/backup_manifest").check().text
            log = _RANGE.search(tail)
            if log is None:
                raise StepFailed("pg_basebackup's manifest names no range of its log")
            backup.send(carrier, files, found, self.part_size)
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            manifest = BaseManifest(
                run=self.ctx.run_id,
                service=self.service.name,
                host=self.ctx.host.name,
                taken_at=now,
                timeline=int(log[1]),
                start_lsn=log[2],
                end_lsn=log[3],
                tool=tools.version("pg_basebackup")[1],
                **server,
                files={one.name: StoredFile(size=one.size, sha256=one.sha256) for one in found},
            )
            backup.seal(manifest.encoded())
        return manifest

    def _facts(self, manifest: BaseManifest) -> Facts:
        return {
            "bytes": sum(one.size for one in manifest.files.values()),
            "cluster_bytes": manifest.cluster_bytes,
            "start_lsn": manifest.start_lsn,
            "end_lsn": manifest.end_lsn,
            "timeline": manifest.timeline,
            "taken_at": manifest.taken_at,
            "seconds": self.stages.seconds,
        }


@dataclass(frozen=True, slots=True)
class Extracted:
    """A physical backup in a store, and the ways to bring it to a host."""

    ctx: Context
    store: Store
    origin: Reference

    def fetch(self, manifest: BaseManifest, scratch: str) -> str:
        """Bring its files below ``scratch`` on the host, each compared; the folder. Raises StepFailed, HostError."""
        folder = f"{scratch}/files"
        carry(self.ctx, self.store, self.origin, manifest.listed(), folder)
        return folder

    def extract(self, tools: Tools, folder: str, data: str) -> None:
        """Make the data directory ``data``, which must not exist, of the files in ``folder``. Raises HostError."""
        owner = tools.as_owner("env")  # a word that runs what follows, as the owner where that is another
        self.ctx.run("sh", "-c", _EXTRACT, "sh", folder, data, f"{data}/pg_wal", *owner).check()

    def verify(self, tools: Tools, folder: str, data: str) -> str:
        """Let pg_verifybackup look at an extracted backup: every file, and that its log is whole.

        Returns what it said. Raises StepFailed, HostError.
        """
        argv = (tools.path("pg_verifybackup"), "--exit-on-error", "--manifest-path", f"{folder}/backup_manifest", data)
        output = self.ctx.run(*argv)
        if not output.ok:
            said = (output.text + " " + output.stderr.decode("utf-8", "backslashreplace")).strip()[-600:]
            raise StepFailed(f"{self.ctx.host.name}: pg_verifybackup does not accept the backup in {self.origin}: {said}")
        return output.text
