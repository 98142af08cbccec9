"""Recovers a cluster from a physical backup and the WAL written after this backup.

The recovery makes a data directory from the backup, and lets the server replay the WAL to the end.

Source: PostgreSQL's manual, 25.3.5 "Recovering Using a Continuous Archive Backup". All WAL files are copied to ``pg_wal``
before the server starts. The setting `restore_command` is a command that always fails. Therefore the server reads only
``pg_wal``, and then starts a new timeline.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.postgres import cluster, cluster_mark, ownership, timelines, wal
from drillbook.systems.postgres.basebackup import Extracted
from drillbook.systems.postgres.connection import Connection, connected, first_row
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.manifest import BaseManifest
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.received_wal import Received
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.stages import Stages

MARKER = "drillbook.recovered"
"""Name of a file in the data directory. The file contains the run and the step that made the directory."""
_SETTINGS = b"""
# Drillbook: replay all of the log, let nobody look on, then open a new timeline
restore_command = 'false'
recovery_target_timeline = 'latest'
hot_standby = off
"""
# The history of the new timeline shows up to which LSN the WAL was replayed; a restarted server has no other record of this.
# Before PostgreSQL 16, reading a file that may be missing requires an offset and a length.
_RECOVERED = """
SELECT ('x' || pg_catalog.substr(name, 1, 8))::bit(32)::int,
       pg_catalog.pg_read_file('pg_wal/' || pg_catalog.substr(name, 1, 8) || '.history', 0, 1048576, true),
       pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_last_xact_replay_timestamp()),
                          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) AS name
"""
_UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Least:
    """Minimum that a recovery must reach. Both fields are WAL locations in bytes.

    ``to``: location that must be reached; ``record``: beginning of the last complete WAL record. The recovery must go
    beyond ``record``.
    """

    to: int
    record: int = -1

    def missed(self, end: int) -> str:
        """Describe the WAL location that the recovery should have reached. Return an empty text when the recovery reached the
        minimum.

        ``end``: WAL location in bytes at which the recovery ended.
        """
        if end < self.to:
            return f"a replay of the WAL at least to {timelines.lsn(self.to)}"
        if end <= self.record:
            return f"a replay of the WAL beyond {timelines.lsn(self.record)}, where the last WAL record begins"
        return ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovery of one cluster from the backup ``origin`` and from received WAL.

    ``log``: folder on the host with the received WAL, or empty for a recovery without received WAL; ``reach``: LSN that the
    recovery must reach, or empty if there is no such minimum. When ``temporary`` is true, a file in the cluster contains the
    id of this run, the owner of the cluster.
    """

    ctx: Context
    service: Postgres
    store: Store
    origin: Reference
    log: str
    reach: str = ""
    temporary: bool = False
    stages: Stages = field(default_factory=Stages)

    @property
    def tools(self) -> Tools:
        """Runner of PostgreSQL's programs on the host of the recovery."""
        return Tools.of(self.ctx, self.service, self.ctx.host)

    def run(self) -> Facts:
        """Recover the cluster. Raises StepFailed with findings when the recovery fails, HostError when the host cannot
        be used, and Cancelled when the run is stopped.
        """
        with failing("the recovery failed"):
            manifest = BaseManifest.read_whole(self.store, self.origin)
            with self.ctx.temporary("recover") as scratch:
                with self.stages.time("total"):
                    made = self._made()
                    received = self._received(manifest)
                    files, least = self._way(received, manifest, scratch)
                    if not made:
                        self._lay_down(manifest, received, files, scratch)
                    begun = time.monotonic()
                    with (
                        cluster.starting(self.ctx, self.tools),
                        connected(self.ctx, self.service, database="postgres") as session,
                    ):
                        ownership.must_answer(session, self.tools)
                        self.stages.seconds["replay"] = round(time.monotonic() - begun, 3)
                        recovered = self._settle(session, least)
                return self._facts(manifest, len(files), recovered)

    def _made(self) -> bool:
        """Return True when an earlier attempt of this step, whose controller died, has made the data directory.

        Return False when the directory is absent or empty. Raises StepFailed for any other content.
        """
        state = cluster.state(self.tools)
        if state == "cluster" and self._made_here():
            return True
        if state not in ("absent", "empty"):
            raise self._not_clean(f"{self.service.data_directory} is not empty")
        return False

    def _lay_down(self, manifest: BaseManifest, received: Received | None, files: Sequence[str], scratch: str) -> None:
        """Make the data directory from the backup, and add the received WAL."""
        self._need_room(manifest)
        ownership.must_be_free(self.ctx, self.tools)
        backup = Extracted(self.ctx, self.store, self.origin)
        with self.stages.time("fetch"):
            folder = backup.fetch(manifest, scratch)
        with cluster.made_aside(self.tools, self.ctx.run_id) as made:
            with self.stages.time("extract"):
                backup.extract(made, folder, made.service.data_directory)
                if received:
                    received.lay(files, made.service.data_directory)
            self._configure(made, manifest)

    def _need_room(self, manifest: BaseManifest) -> None:
        """Raise StepFailed when the disk lacks space for the backup's files or for the cluster extracted from them."""
        files = sum(file.size for file in manifest.files.values())
        free = self.tools.free_space()
        try:
            self.tools.need_space(self.tools.scratch, files)
        except NotReady as error:
            raise StepFailed(f"{error.message}: {error.hint}") from error
        if free is not None and free < manifest.cluster_bytes:
            raise StepFailed(
                f"{self.ctx.host.name}: the file system of {self.service.data_directory} has {free >> 20} MiB free, but "
                f"{-(-manifest.cluster_bytes >> 20)} MiB are needed for the cluster"
            )

    def _received(self, manifest: BaseManifest) -> Received | None:
        """Stop the WAL receiver, and return the received WAL. For a recovery without received WAL, return None."""
        if not self.log:
            return None
        wal.Receiver(self.tools).stop()
        return Received(self.tools, self.log, _bytes(manifest.wal_segment_size))

    def _way(self, received: Received | None, manifest: BaseManifest, scratch: str) -> tuple[Sequence[str], Least]:
        """Return the WAL files to replay, and the position that the replay must at least reach. Raises StepFailed when a WAL
        segment is missing.
        """
        end = timelines.position(manifest.end_lsn)
        to = max(end, timelines.position(self.reach)) if self.reach else end
        if received is None:
            return (), Least(to)
        way = received.way(manifest.timeline, end)
        if way.missing:
            raise self._gap(
                f"the WAL in {self.log} cannot be replayed to its end: {way.missing}",
                "every WAL segment since the backup",
                way.missing,
            )
        return way.files, Least(to, received.last_record(way, scratch))

    def _gap(self, said: str, wanted: str, measured: str) -> StepFailed:
        return StepFailed(
            f"{self.ctx.host.name}: {said}",
            findings=[
                finding("wal-gap", title=self.service.name, wanted=wanted, measured=measured, host=self.ctx.host.name)
            ],
        )

    def _configure(self, made: Tools, manifest: BaseManifest) -> None:
        if (manifest.service, manifest.host) != (self.service.name, self.ctx.host.name):
            cluster.write(made, "postgresql.auto.conf", cluster.overrides(self.service), append=True)
        cluster.write(made, "postgresql.auto.conf", _SETTINGS, append=True)
        cluster.write(made, "recovery.signal", b"")
        cluster.write(made, cluster.UNSYNCED, b"")
        cluster.write(made, MARKER, self._mark().encode())
        if self.temporary:
            cluster_mark.mark(made, self.ctx.run_id)

    def _settle(self, session: Connection, least: Least) -> tuple[str, int, str | None]:
        """Remove the recovery's settings, and sync the cluster to disk.

        Return the new timeline, the LSN at which the recovery ended, and the time of the last recovered commit, which is None
        when no commit was replayed. Raises StepFailed when the recovery did not reach ``least``.
        """
        timeline, text, last = first_row(session, _RECOVERED)
        history = timelines.history(text or "")
        if not history:
            raise StepFailed(
                f"{self.ctx.host.name}: the history of timeline {timeline} does not show where the recovery ended"
            )
        end = history[-1].at
        if missed := least.missed(end):
            raise self._gap(
                "the recovery stopped before the end of the WAL", missed, f"WAL replayed to {timelines.lsn(end)}"
            )
        for name in ("restore_command", "recovery_target_timeline", "hot_standby"):
            session.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
        session.execute("SELECT pg_catalog.pg_reload_conf()")
        session.execute("CHECKPOINT")
        with self.stages.time("sync"):
            cluster.sync(self.tools)
        return timelines.lsn(end), timeline, last

    def _mark(self) -> str:
        return f"{self.ctx.run_id} {self.ctx.step}"

    def _made_here(self) -> bool:
        script = 'test ! -f "$1" || cat -- "$1"'
        output = self.tools.owned(("sh", "-c", script, "sh", f"{self.service.data_directory}/{MARKER}"))
        return output.check().text.strip() == self._mark()

    def _not_clean(self, measured: str) -> StepFailed:
        return cluster.not_clean(self.tools, "an empty data directory", measured)

    def _facts(self, manifest: BaseManifest, segments: int, recovered: tuple[str, int, str | None]) -> Facts:
        lsn, timeline, last = recovered
        total = self.stages.seconds["total"]
        return {
            "database": self.service.database,
            "cluster_bytes": manifest.cluster_bytes,
            "segments": segments,
            "replayed_to": lsn,
            "last_commit_at": last,
            "timeline": timeline,
            "timeline_before": manifest.timeline,
            "database_bytes": manifest.cluster_bytes,
            "bytes_per_second": round(manifest.cluster_bytes / max(total, 0.001)),
            "seconds": self.stages.seconds,
            "backup_taken_at": manifest.taken_at,
        }


def _bytes(text: str) -> int:
    """Convert a size in PostgreSQL's notation, such as 16MB, to bytes. Raises StepFailed when it cannot be parsed."""
    match = re.fullmatch(r"(\d+)\s*(B|kB|MB|GB)?", text)
    if match is None:
        raise StepFailed(f"the WAL segment size in the manifest cannot be read: {text!r}")
    return int(match[1]) * _UNITS[match[2] or "B"]
