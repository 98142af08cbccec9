"""Recovery from a physical backup and the log since: a new data directory, replayed to the log's end.

Source: PostgreSQL's manual, 25.3.5 "Recovering Using a Continuous Archive Backup". The log lies in ``pg_wal`` already,
and the restore command only fails, so that the server takes it from there and opens a new timeline at its end.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from drillbook.action import Context, Facts
from drillbook.errors import NotReady, StepFailed
from drillbook.findings import finding
from drillbook.postgresql import cluster, wal
from drillbook.postgresql.basebackup import BaseManifest, Extracted, read
from drillbook.postgresql.connection import Connection, connected, one
from drillbook.postgresql.dump import failing
from drillbook.postgresql.stages import Stages
from drillbook.postgresql.tools import Tools
from drillbook.services import Postgres
from drillbook.store import Reference, Store

MARKER = "drillbook.recovered"
"""File of the data directory that says which step of which run made it."""
_SETTINGS = b"""
# Drillbook: replay all of the log, then open a new timeline
restore_command = 'false'
recovery_target_timeline = 'latest'
"""
_REPLAYED = """
SELECT pg_catalog.pg_last_wal_replay_lsn()::text, timeline_id,
       pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_last_xact_replay_timestamp()),
                          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM pg_catalog.pg_control_checkpoint()
"""
_UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Recovery:
    """One cluster that is being recovered from ``origin`` and the log in ``log``, a folder on the host; empty: without."""

    ctx: Context
    service: Postgres
    store: Store
    origin: Reference
    log: str
    stages: Stages = field(default_factory=Stages)

    @property
    def tools(self) -> Tools:
        """The programs on the host that it is recovered on."""
        return Tools.of(self.ctx, self.service, self.ctx.host)

    def run(self) -> Facts:
        """Recover it. Raises StepFailed with findings, HostError, Cancelled."""
        with failing("the recovery failed"):
            manifest = read(self.store, self.origin)
            with self.ctx.temporary("recover") as scratch:
                with self.stages.time("total"):
                    segments = self._lay_down(manifest, scratch)
                    last = self._last_full(segments, manifest)
                    begun = time.monotonic()
                    with cluster.starting(self.ctx, self.tools), \
                            connected(self.ctx, self.service, database="postgres") as session:
                        self.stages.seconds["replay"] = round(time.monotonic() - begun, 3)
                        replayed = self._settle(session, last)
                return self._facts(manifest, segments, replayed)

    def _lay_down(self, manifest: BaseManifest, scratch: str) -> list[str]:
        """Make the data directory, unless this very step did so before it died; the segments of the log."""
        found = cluster.state(self.tools)
        if found == "cluster" and self._made_here():
            return []
        if found not in ("absent", "empty"):
            raise self._not_clean(f"{self.service.data_directory} is not empty")
        self._need_room(manifest)
        backup = Extracted(self.ctx, self.store, self.origin)
        with self.stages.time("fetch"):
            folder = backup.fetch(manifest, scratch)
        made = cluster.aside(self.tools, self.ctx.run_id)
        with self.stages.time("extract"):
            backup.extract(made, folder, made.service.data_directory)
            segments = self._log(made, manifest)
        self._configure(made, manifest)
        cluster.put_in_place(made, self.tools)
        return segments

    def _need_room(self, manifest: BaseManifest) -> None:
        """Raise StepFailed where the files, or the cluster beside them, would not fit."""
        files = sum(one.size for one in manifest.files.values())
        free = self.tools.free_space()
        try:
            self.tools.need_space(self.tools.scratch, files)
        except NotReady as error:
            raise StepFailed(f"{error.message}: {error.hint}") from error
        if free is not None and free < manifest.cluster_bytes:
            raise StepFailed(f"{self.ctx.host.name}: {self.service.data_directory} has {free >> 20} MiB free, "
                             f"{-(-manifest.cluster_bytes >> 20)} MiB are needed: make room where it is")

    def _last_full(self, segments: list[str], manifest: BaseManifest) -> int:
        """The byte of the log at which the last full segment begins; where none was received, the backup's end."""
        size = _bytes(manifest.wal_segment_size)
        full = [wal.number(name, size) * size for name in segments if not name.endswith(".partial")]
        return max([wal.position(manifest.end_lsn), *full[-1:]])

    def _log(self, made: Tools, manifest: BaseManifest) -> list[str]:
        if not self.log:
            return []
        receiver = wal.Receiver(self.tools)
        receiver.stop()
        segments = receiver.lay(self.log, made.service.data_directory)
        size = _bytes(manifest.wal_segment_size)
        if missing := wal.gaps(segments, size):
            raise self._gap(f"the one after {missing[0]} is missing")
        if wal.number(segments[0], size) > wal.position(manifest.end_lsn) // size:
            raise self._gap(f"it begins with {segments[0]}, after the backup's end at {manifest.end_lsn}")
        return segments

    def _gap(self, measured: str) -> StepFailed:
        return StepFailed(f"the log in {self.log} has gaps", findings=[finding(
            "wal-gap", title=self.service.name, wanted="segments without a gap since the backup", measured=measured,
            host=self.ctx.host.name)])

    def _configure(self, made: Tools, manifest: BaseManifest) -> None:
        if (manifest.service, manifest.host) != (self.service.name, self.ctx.host.name):
            cluster.write(made, "postgresql.auto.conf", cluster.overrides(self.service), append=True)
        cluster.write(made, "postgresql.auto.conf", _SETTINGS, append=True)
        cluster.write(made, "recovery.signal", b"")
        cluster.write(made, cluster.UNSYNCED, b"")
        cluster.write(made, MARKER, self._mark().encode())

    def _settle(self, session: Connection, least: int) -> tuple[str | None, int, str | None]:
        """The settings of the recovery go, everything is on disk, and how far it came. Raises StepFailed before ``least``.

        A server that was started again since has no memory of how far it replayed.
        """
        lsn, _, last = one(session, _REPLAYED)
        if lsn is not None and wal.position(lsn) < least:
            raise StepFailed(f"{self.ctx.host.name}: the recovery ended before the log did", findings=[finding(
                "wal-gap", title=self.service.name, wanted=f"replayed to {least >> 32:X}/{least & 0xFFFFFFFF:X} at least",
                measured=f"replayed to {lsn}", host=self.ctx.host.name)])
        session.execute("ALTER SYSTEM RESET restore_command")
        session.execute("ALTER SYSTEM RESET recovery_target_timeline")
        session.execute("SELECT pg_catalog.pg_reload_conf()")
        session.execute("CHECKPOINT")
        with self.stages.time("sync"):
            cluster.sync(self.tools)
        timeline = one(session, _REPLAYED)[1]
        return lsn, int(timeline), last

    def _mark(self) -> str:
        return f"{self.ctx.run_id} {self.ctx.step}"

    def _made_here(self) -> bool:
        script = 'test ! -f "$1" || cat -- "$1"'
        output = self.tools.owned(("sh", "-c", script, "sh", f"{self.service.data_directory}/{MARKER}"))
        return output.check().text.strip() == self._mark()

    def _not_clean(self, measured: str) -> StepFailed:
        return StepFailed(f"{self.ctx.host.name}: {measured}", findings=[finding(
            "restore-target", title=self.service.name, wanted="an empty data directory", measured=measured,
            host=self.ctx.host.name)])

    def _facts(self, manifest: BaseManifest, segments: list[str], replayed: tuple[str | None, int, str | None]) -> Facts:
        lsn, timeline, last = replayed
        total = self.stages.seconds["total"]
        return {"database": self.service.database, "cluster_bytes": manifest.cluster_bytes, "segments": len(segments),
                "replayed_to": lsn, "last_commit_at": last, "timeline": timeline, "timeline_before": manifest.timeline,
                "database_bytes": manifest.cluster_bytes,
                "bytes_per_second": round(manifest.cluster_bytes / max(total, 0.001)),
                "seconds": self.stages.seconds, "backup_taken_at": manifest.taken_at}


def _bytes(text: str) -> int:
    """A size as PostgreSQL writes it, such as 16MB. Raises StepFailed."""
    match = re.fullmatch(r"(\d+)\s*(B|kB|MB|GB)?", text)
    if match is None:
        raise StepFailed(f"the manifest's size of a segment cannot be read: {text!r}")
    return int(match[1]) * _UNITS[match[2] or "B"]


