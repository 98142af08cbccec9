"""Saving a keyspace: the server's own RDB, loaded once by a trial server whose content is what the manifest says."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_writer import BackupSet, taking
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import StoredFile
from drillbook.sdk.transfer import Carrier
from drillbook.systems.redis import content, identity, server, trial
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.manifest import RDB, Manifest, Place
from drillbook.systems.redis.proof import scratch
from drillbook.systems.redis.service import Redis

_COPY = 'umask 077; from=$1 to=$2; shift 2; exec "$@" cat -- "$from" > "$to"'


def as_owner(service: Redis) -> tuple[str, ...]:
    """What a command begins with so that it runs as the owner of the server's files."""
    return ("sudo", "-n", "-u", service.run_as, "--") if service.run_as else ("env",)


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that is being taken."""

    ctx: Context
    service: Redis
    store: Store
    folder: Reference
    part_size: int
    seconds: dict[str, float] = field(default_factory=dict)

    def take(self) -> Facts:
        """Take it. Raises StepFailed, HostError, Cancelled; then nothing of it stays in the store or on the host."""
        try:
            return self._take()
        except CouldNotVerify as error:
            raise StepFailed(f"the backup failed: {error.message}") from error

    def _take(self) -> Facts:
        with taking(self.store, self.folder) as backup, scratch(self.ctx, "save") as folder:
            draft = self._collect(folder)
            manifest = self._send(draft, folder, backup)
            return {**backup.facts(self.ctx), **self._facts(manifest)}

    def _timed(self, name: str, since: float) -> None:
        self.seconds[name] = round(time.monotonic() - since, 3)

    def _collect(self, folder: str) -> Manifest:
        """The RDB in ``folder``/files on the host, and what a server that loads it holds."""
        begun = time.monotonic()
        with connected(self.ctx, self.service) as session:
            server.must_be_master(session, self.service)
            place = server.place(session, self.service)
            name, version = server.version(session)
            mark = identity.mark(session, self.ctx.run_id)
            moment = session.clock()  # before the fork: what the file holds is at least as new
            server.save(session, self.service)
        self._copy(place, f"{folder}/files/{RDB}")
        self._timed("save", begun)
        begun = time.monotonic()
        with trial.loading(self.ctx, place.program, f"{folder}/files") as session:
            loaded = server.in_file(session)
            keys = content.read(session)
        self._timed("digest", begun)
        if content.mark_of(self.ctx.run_id) not in keys.get("0", {}):
            raise StepFailed(f"{self.ctx.host.name}: {place.directory}/{place.rdb} is not the file that was just saved")
        return Manifest(
            run=self.ctx.run_id,
            service=self.service.name,
            host=self.ctx.host.name,
            server=name,
            server_version=version,
            snapshot_at=_utc(moment),
            place=place,
            loaded=loaded,
            keys=keys,
            mark=mark,
            files={},
        )

    def _copy(self, place: Place, target: str) -> None:
        source = f"{place.directory.rstrip('/')}/{place.rdb}"
        self.ctx.run("sh", "-c", _COPY, "sh", source, target, *as_owner(self.service)).check()

    def _send(self, draft: Manifest, folder: str, backup: BackupSet) -> Manifest:
        """Bring the file and then the manifest into the store."""
        begun = time.monotonic()
        carrier = Carrier(self.ctx.host, self.ctx.deadline, folder)
        found = carrier.survey(f"{folder}/files", self.part_size)
        if [one.name for one in found] != [RDB]:
            raise StepFailed(f"{self.ctx.host.name}: unexpected files beside the saved one: {[one.name for one in found]}")
        backup.send(carrier, f"{folder}/files", found, self.part_size)
        files = {one.name: StoredFile(size=one.size, sha256=one.sha256) for one in found}
        manifest = draft.model_copy(update={"files": files})
        backup.seal(manifest.encoded())
        self._timed("upload", begun)
        return manifest

    def _facts(self, manifest: Manifest) -> Facts:
        return {
            "bytes": manifest.bytes,
            "files": len(manifest.files),
            "keys": manifest.count,
            "types": manifest.types(),
            "snapshot_at": manifest.snapshot_at,
            "server": f"{manifest.server} {manifest.server_version}",
            "append_only": manifest.place.appends,
            "algorithm": manifest.algorithm,
            "seconds": self.seconds,
        }


def _utc(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
