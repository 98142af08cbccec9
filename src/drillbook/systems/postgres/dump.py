"""Takes a backup of a database: pg_dump writes a dump on the host while the controller computes digests of the tables.

pg_dump and the controller read the same snapshot. Finished files are uploaded while pg_dump writes other files. The
manifest is uploaded last.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_writer import BackupSet, taking
from drillbook.sdk.host import Output
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import now, sha256
from drillbook.sdk.transfer import Carrier
from drillbook.systems.postgres import cluster_state, content, properties, schema, structure
from drillbook.systems.postgres.connection import reason
from drillbook.systems.postgres.early_upload import EarlyUpload
from drillbook.systems.postgres.manifest import ALGORITHM, Manifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages

COMPRESSION = (
    "1"  # level of gzip, the only method that puts a checksum into its files; versions before 16 do not know `gzip:1`
)
GLOBALS_ONLY = ("--globals-only", "--no-sync")
NOT_RECORDED = ("passwords of roles", "rules of pg_hba.conf", "configuration files", "files of the cluster")
"""Parts that a backup of a managed database lacks, because the database's master user cannot read them."""
ARCHIVE, GLOBALS, SCHEMA, CONFIG = "database", "globals.sql", "schema.sql", "config"


@dataclass(frozen=True, slots=True)
class Backup:
    """Backup of one database, written to the folder ``folder`` of a store."""

    ctx: Context
    service: Postgres
    store: Store
    folder: Reference
    jobs: int
    part_size: int
    stages: Stages = field(default_factory=Stages)

    def take(self) -> Facts:
        """Take the backup. After an error, remove all files of the backup.

        Raises StepFailed when the backup fails, HostError when the host cannot be used, and Cancelled when the run is
        stopped.
        """
        with failing("the backup failed"), taking(self.store, self.folder) as backup, self.ctx.temporary("dump") as scratch:
            self.ctx.run("mkdir", "-m", "700", "--", f"{scratch}/files").check()
            early = EarlyUpload(self.ctx, backup, scratch, f"{scratch}/files", ARCHIVE, self.part_size)
            draft, warnings = self._collect(f"{scratch}/files", early)
            if not any(table.rows or table.name != content.LARGE_OBJECTS for table in draft.tables):
                raise StepFailed(
                    f"the database {self.service.database} contains no tables, so a backup would be empty; check "
                    "`database` of the service in the inventory"
                )
            manifest = self._send(draft, scratch, backup, early)
            return {**backup.facts(self.ctx), **self._facts(manifest, warnings)}

    def _collect(self, folder: str, early: EarlyUpload) -> tuple[Manifest, list[str]]:
        """Write all files of the backup below ``folder`` on the host, and upload finished files of the dump meanwhile.

        Return a manifest that does not list the files yet, and the warnings of the tools.
        """
        tools = Tools.of(self.ctx, self.service, self.ctx.host)
        with content.snapshot(self.ctx, self.service) as snap, ThreadPoolExecutor(5, thread_name_prefix="dump") as pool:
            taken, relations = now(), content.relations(snap)
            content.hold(snap, relations)
            sequences = content.sequences(
                snap
            )  # read before pg_dump reads them, so that the values in the dump are not smaller
            facts = properties.of(snap)
            dump = pool.submit(self.stages.timed, "dump", lambda: self._dump(tools, snap.name, f"{folder}/{ARCHIVE}"))
            sending = pool.submit(early.run, dump)
            tables = pool.submit(self.stages.timed, "digest", lambda: content.tables(snap, relations))
            text = pool.submit(self.stages.timed, "schema", lambda: schema.dumped(tools, snapshot=snap.name))
            roles = pool.submit(self.stages.timed, "globals", lambda: self._globals(tools, folder))
            self._records(snap, relations, text, folder)
            warnings = [*dump.result(), *roles.result()]
            normalised = schema.normalised(text.result()).encode()
            self.ctx.host.put(normalised, f"{folder}/{SCHEMA}")
            self._configuration(snap, folder)
            sending.result()
            return Manifest(
                run=self.ctx.run_id,
                service=self.service.name,
                host=self.ctx.host.name,
                taken_at=taken,
                server_time=snap.at,
                tools=tools.need(("pg_dump", "pg_dumpall"), 0),
                tables=tuple(tables.result()),
                sequences=tuple(sequences),
                schema_sha256=sha256(normalised),
                files={},
                configured_in=() if self.service.managed else properties.configured_outside(snap.owner),
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

    def _records(self, snap: content.Snapshot, relations: list[content.Relation], text: Future[str], folder: str) -> None:
        """Write two files into ``folder`` on the host: the structure of the database, and the state of the cluster."""
        with self.stages.time("structure"):
            recorded = structure.recorded(snap, relations)
        with self.stages.time("cluster"):
            state = cluster_state.recorded(self.ctx, self.service)
        whole = recorded.model_copy(update={"rest": schema.rest(text.result())})
        self.ctx.host.put(whole.encoded(), f"{folder}/{structure.FILE}")
        self.ctx.host.put(state.encoded(), f"{folder}/{cluster_state.FILE}")

    def _globals(self, tools: Tools, folder: str) -> list[str]:
        without = ("--no-role-passwords",) if self.service.managed else ()
        return _checked(
            tools,
            "pg_dumpall",
            tools.client("pg_dumpall", *GLOBALS_ONLY, *without, f"--file={folder}/{GLOBALS}", database="postgres"),
        )

    def _configuration(self, snap: content.Snapshot, folder: str) -> None:
        if self.service.managed:
            return
        for name, data in properties.configuration(snap.owner).items():
            path = f"{folder}/{CONFIG}/{name}"
            self.ctx.run("mkdir", "-p", "--", path.rpartition("/")[0]).check()
            self.ctx.host.put(data, path)

    def _send(self, draft: Manifest, scratch: str, backup: BackupSet, early: EarlyUpload) -> Manifest:
        """Send the remaining files and then the manifest to the store, and return the manifest."""
        with self.stages.time("upload"):
            carrier = Carrier(self.ctx.host, self.ctx.deadline, scratch)
            listed = carrier.survey(f"{scratch}/files", self.part_size)
            files = early.rest(listed, lambda rest: backup.send(carrier, f"{scratch}/files", rest, self.part_size))
            manifest = Manifest.model_validate(draft.model_dump() | {"files": files})
            backup.seal(manifest)
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
        if self.service.managed:
            facts["not_recorded"] = list(NOT_RECORDED)
        if warnings:
            facts |= {"warnings": len(warnings), "warnings_evidence": self.ctx.evidence("warnings.txt", "\n".join(warnings))}
        return facts


def _checked(tools: Tools, name: str, output: Output) -> list[str]:
    """Return the warnings of the tool ``name``. Raises StepFailed with the tool's last messages when it has failed."""
    lines = output.stderr.decode("utf-8", "backslashreplace").splitlines()
    if not output.ok:
        ended = f"was terminated by signal {output.signal}" if output.signal else f"exited with status {output.exit}"
        raise StepFailed(f"{tools.host.name}: {name} {ended}: " + " | ".join(lines[-4:]))
    return lines


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Convert errors of the server or the store in the ``with`` block to a StepFailed whose message begins with ``what``."""
    try:
        yield
    except psycopg.Error as error:
        raise StepFailed(f"{what}: {reason(error)}") from error
    except CouldNotVerify as error:
        raise StepFailed(f"{what}: {error.message}") from error
