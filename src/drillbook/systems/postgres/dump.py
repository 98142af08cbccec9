"""Taking a backup: one snapshot, dumped on the host and digested from here at the same time; the manifest comes last."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_writer import BackupSet, taking
from drillbook.sdk.host import Output
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import StoredFile, sha256
from drillbook.sdk.transfer import Carrier
from drillbook.systems.postgres import content, properties, schema
from drillbook.systems.postgres.connection import reason
from drillbook.systems.postgres.manifest import ALGORITHM, Manifest
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages
from drillbook.systems.postgres.tools import Tools

COMPRESSION = "1"  # of gzip, the only one whose files carry a checksum of their own; `gzip:1` is unknown before 16
ARCHIVE, GLOBALS, SCHEMA, CONFIG = "database", "globals.sql", "schema.sql", "config"


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that is being taken."""

    ctx: Context
    service: Postgres
    store: Store
    folder: Reference
    jobs: int
    part_size: int
    stages: Stages = field(default_factory=Stages)

    def take(self) -> Facts:
        """Take it. Raises StepFailed, HostError, Cancelled; then nothing of it stays in the store or on the host."""
        with failing("the backup failed"), taking(self.store, self.folder) as backup, self.ctx.temporary("dump") as scratch:
            self.ctx.run("mkdir", "-m", "700", "--", f"{scratch}/files").check()
            draft, warnings = self._collect(f"{scratch}/files")
            if not any(table.rows or table.name != content.LARGE_OBJECTS for table in draft.tables):
                raise StepFailed(
                    f"the database {self.service.database} holds no table: there is nothing to back up, and "
                    "nothing that a restore could prove; is `database` of the service right?"
                )
            manifest = self._send(draft, scratch, backup)
            return {**backup.facts(self.ctx), **self._facts(manifest, warnings)}

    def _collect(self, folder: str) -> tuple[Manifest, list[str]]:
        """Write every file below ``folder`` on the host; returns the manifest without files, and the tools' warnings."""
        tools = Tools.of(self.ctx, self.service, self.ctx.host)
        with content.snapshot(self.ctx, self.service) as snap, ThreadPoolExecutor(4, thread_name_prefix="dump") as pool:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            found = content.relations(snap)
            content.hold(snap, found)
            sequences = content.sequences(snap)  # before pg_dump reads them, so that they can only be further there
            facts = properties.of(snap)
            dump = pool.submit(self.stages.timed, "dump", lambda: self._dump(tools, snap.name, f"{folder}/{ARCHIVE}"))
            tables = pool.submit(self.stages.timed, "digest", lambda: content.tables(snap, found))
            text = pool.submit(self.stages.timed, "schema", lambda: schema.text(tools, snapshot=snap.name).encode())
            roles = pool.submit(self.stages.timed, "globals", lambda: self._globals(tools, folder))
            warnings = [*dump.result(), *roles.result()]
            self.ctx.host.put(text.result(), f"{folder}/{SCHEMA}")
            self._configuration(snap, folder)
            return Manifest(
                run=self.ctx.run_id,
                service=self.service.name,
                host=self.ctx.host.name,
                taken_at=now,
                server_time=snap.at,
                tools=tools.need(("pg_dump", "pg_dumpall"), 0),
                tables=tuple(tables.result()),
                sequences=tuple(sequences),
                schema_sha256=sha256(text.result()),
                files={},
                **facts,
            ), warnings

    def _dump(self, tools: Tools, snapshot: str, folder: str) -> list[str]:
        return _checked(
            tools,
            "pg_dump",
            tools.client(
                "pg_dump",
                f"--snapshot={snapshot}",
                "--format=directory",
                f"--jobs={self.jobs}",
                f"--compress={COMPRESSION}",
                "--no-sync",
                f"--file={folder}",
            ),
        )

    def _globals(self, tools: Tools, folder: str) -> list[str]:
        return _checked(
            tools,
            "pg_dumpall",
            tools.client("pg_dumpall", "--globals-only", "--no-sync", f"--file={folder}/{GLOBALS}", database="postgres"),
        )

    def _configuration(self, snap: content.Snapshot, folder: str) -> None:
        for name, data in properties.configuration(snap).items():
            path = f"{folder}/{CONFIG}/{name}"
            self.ctx.run("mkdir", "-p", "--", path.rpartition("/")[0]).check()
            self.ctx.host.put(data, path)

    def _send(self, draft: Manifest, scratch: str, backup: BackupSet) -> Manifest:
        """Bring the files and then the manifest into the store."""
        with self.stages.time("upload"):
            carrier = Carrier(self.ctx.host, self.ctx.deadline, scratch)
            found = carrier.survey(f"{scratch}/files", self.part_size)
            backup.send(carrier, f"{scratch}/files", found, self.part_size)
            files = {one.name: StoredFile(size=one.size, sha256=one.sha256) for one in found}
            manifest = Manifest.model_validate(draft.model_dump() | {"files": files})
            backup.seal(manifest.encoded())
        return manifest

    def _facts(self, manifest: Manifest, warnings: list[str]) -> Facts:
        facts: Facts = {
            "bytes": manifest.bytes,
            "files": len(manifest.files),
            "database_bytes": manifest.database.bytes,
            "tables": len(manifest.tables),
            "rows": sum(table.rows for table in manifest.tables),
            "snapshot_at": manifest.server_time,
            "server_version": manifest.server_version,
            "tools": manifest.tools,
            "algorithm": ALGORITHM,
            "seconds": self.stages.seconds,
        }
        if warnings:
            facts |= {"warnings": len(warnings), "warnings_evidence": self.ctx.evidence("warnings.txt", "\n".join(warnings))}
        return facts


def _checked(tools: Tools, name: str, output: Output) -> list[str]:
    """The warnings of the tool ``name`` that succeeded. Raises StepFailed with its last lines when it did not."""
    lines = output.stderr.decode("utf-8", "backslashreplace").splitlines()
    if not output.ok:
        ended = f"was ended by signal {output.signal}" if output.signal else f"ended with status {output.exit}"
        raise StepFailed(f"{tools.host.name}: {name} {ended}: " + " | ".join(lines[-4:]))
    return lines


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn what a server or a store refuses into StepFailed."""
    try:
        yield
    except psycopg.Error as error:
        raise StepFailed(f"{what}: {reason(error)}") from error
    except CouldNotVerify as error:
        raise StepFailed(f"{what}: {error.message}") from error
