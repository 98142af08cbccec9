"""Takes physical backups: pg_basebackup copies the files of a whole cluster, and the controller sends them to a store.

The manifest is sent last. Such a backup and the WAL written after it (see ``wal``) can restore the last commit. A
dump cannot do this. Source: PostgreSQL's manual, 25.3 "Continuous Archiving and Point-in-Time Recovery".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_writer import BackupSet, taking
from drillbook.sdk.host import printable
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import carry, now
from drillbook.sdk.transfer import Carrier
from drillbook.systems.postgres.connection import Connection, connected, first_row
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.manifest import BaseManifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages

FILES = ("base.tar.gz", "pg_wal.tar.gz", "backup_manifest")
"""Files that pg_basebackup writes in tar format, with streamed WAL, when the cluster has no additional tablespaces."""
_SERVER = """
SELECT s.system_identifier::text, pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.current_setting('wal_segment_size'),
       (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)
FROM pg_catalog.pg_control_system() s
"""
_RANGE = re.compile(r'"Timeline": (\d+), "Start-LSN": "([0-9A-F]+/[0-9A-F]+)", "End-LSN": "([0-9A-F]+/[0-9A-F]+)"')
# Extract into the working directory, whose disk has space; $3... are the programs, which may run as another user.
_EXTRACT = """
folder=$1 data=$2 waldata=$3; shift 3
"$@" mkdir -m 700 -- "$data" || exit 3
"$@" tar --no-same-owner -xzf - -C "$data" < "$folder/base.tar.gz" || exit 4
"$@" tar --no-same-owner -xzf - -C "$waldata" < "$folder/pg_wal.tar.gz"
"""


def other_tablespaces(session: Connection) -> list[str]:
    """Return the names of the tablespaces outside the data directory. Physical backups do not contain such tablespaces."""
    query = "SELECT spcname FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1"
    return [str(name) for (name,) in session.execute(query).fetchall()]


@dataclass(frozen=True, slots=True)
class Base:
    """Physical backup of one cluster, written to the folder ``folder`` of a store."""

    ctx: Context
    service: Postgres
    store: Store
    folder: Reference
    part_size: int
    stages: Stages = field(default_factory=Stages)

    def take(self) -> Facts:
        """Take the backup. After an error, remove all files of the backup.

        Raises StepFailed when the backup fails, HostError when the host cannot be used, and Cancelled when the run is
        stopped.
        """
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
            system, version, segment, size = first_row(session, _SERVER)
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
            said = printable(output.stderr.strip(), limit=600)
            raise StepFailed(f"{tools.host.name}: pg_basebackup exited with status {output.exit}: {said}")

    def _send(self, server: Facts, scratch: str, backup: BackupSet) -> BaseManifest:
        tools = Tools.of(self.ctx, self.service, self.ctx.host)
        files = f"{scratch}/files"
        with self.stages.time("upload"):
            carrier = Carrier(self.ctx.host, self.ctx.deadline, scratch)
            written = carrier.survey(files, self.part_size)
            if sorted(file.name for file in written) != sorted(FILES):
                raise StepFailed(
                    f"pg_basebackup wrote the files {', '.join(file.name for file in written)}, not {', '.join(FILES)}"
                )
            tail = self.ctx.run("tail", "-c", "2000", "--", f"{files}/backup_manifest").check().text
            log = _RANGE.search(tail)
            if log is None:
                raise StepFailed("the manifest of pg_basebackup contains no WAL range")
            sent = backup.send(carrier, files, written, self.part_size)
            manifest = BaseManifest(
                run=self.ctx.run_id,
                service=self.service.name,
                host=self.ctx.host.name,
                taken_at=now(),
                timeline=int(log[1]),
                start_lsn=log[2],
                end_lsn=log[3],
                tool=tools.version("pg_basebackup")[1],
                **server,
                files=sent,
            )
            backup.seal(manifest)
        return manifest

    def _facts(self, manifest: BaseManifest) -> Facts:
        return {
            "bytes": manifest.bytes,
            "cluster_bytes": manifest.cluster_bytes,
            "start_lsn": manifest.start_lsn,
            "end_lsn": manifest.end_lsn,
            "timeline": manifest.timeline,
            "taken_at": manifest.taken_at,
            "seconds": self.stages.seconds,
        }


def need_room(tools: Tools, manifest: BaseManifest) -> None:
    """Raise StepFailed when the disk lacks space for the backup's files and for the cluster extracted from them."""
    try:
        tools.need_space(tools.scratch, manifest.cluster_bytes + manifest.bytes)
    except NotReady as error:
        raise StepFailed(f"{error.message}: {error.hint}") from error


@dataclass(frozen=True, slots=True)
class Extracted:
    """Physical backup in a store. The methods fetch the backup to a host, extract it there, and verify it."""

    ctx: Context
    store: Store
    origin: Reference

    def fetch(self, manifest: BaseManifest, scratch: str) -> str:
        """Fetch the files to a folder below ``scratch`` on the host, and return that folder.

        The digest of each file is compared with the digest in ``manifest``.

        Raises StepFailed when a file cannot be fetched or is damaged, and HostError when the host cannot be used.
        """
        return carry(self.ctx, self.store, self.origin, manifest, scratch)

    def extract(self, tools: Tools, folder: str, data: str) -> None:
        """Extract the files in ``folder`` into the new data directory ``data``. Raises HostError when a program fails."""
        owner = tools.as_owner("env")  # prefix that runs a program as the owner, if the owner is another user
        self.ctx.run("sh", "-c", _EXTRACT, "sh", folder, data, f"{data}/pg_wal", *owner).check()

    def verify(self, tools: Tools, folder: str, data: str) -> str:
        """Check with pg_verifybackup that every file of an extracted backup is intact and that the WAL in it is complete.

        Return the output of pg_verifybackup. Raises StepFailed when the backup is damaged, and HostError when the host
        cannot be used.
        """
        argv = (tools.path("pg_verifybackup"), "--exit-on-error", "--manifest-path", f"{folder}/backup_manifest", data)
        output = self.ctx.run(*argv)
        if not output.ok:
            said = printable((output.stdout + b" " + output.stderr).strip(), limit=600)
            raise StepFailed(f"{self.ctx.host.name}: pg_verifybackup does not accept the backup in {self.origin}: {said}")
        return output.text
