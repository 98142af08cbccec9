"""Saves a keyspace: lets the server write an RDB file, loads this file into a trial server, and writes a manifest of its
content.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_writer import BackupSet, taking
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import utc
from drillbook.sdk.transfer import Carrier
from drillbook.systems.redis import content, field_expiry, identity, properties, server_state
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.disposable_server import beside_service
from drillbook.systems.redis.manifest import RDB, Manifest, Place
from drillbook.systems.redis.service import Redis

_COPY = 'umask 077; from=$1 to=$2; shift 2; exec "$@" cat -- "$from" > "$to"'


def as_owner(service: Redis) -> tuple[str, ...]:
    """Return the command prefix that runs a command as the owner of the server's files."""
    return ("sudo", "-n", "-u", service.run_as, "--") if service.run_as else ("env",)


@dataclass(frozen=True, slots=True)
class Backup:
    """Backup of one keyspace to the store."""

    ctx: Context
    service: Redis
    store: Store
    folder: Reference
    part_size: int
    seconds: dict[str, float] = field(default_factory=dict)

    def take(self) -> Facts:
        """Take the backup. After an error all files of the backup are removed.

        Raises StepFailed when the backup fails, HostError when the host cannot be used, and Cancelled when the run was
        stopped.
        """
        try:
            return self._take()
        except CouldNotVerify as error:
            raise StepFailed(f"the backup failed: {error.message}") from error

    def _take(self) -> Facts:
        with taking(self.store, self.folder) as backup, self.ctx.temporary("save") as folder:
            self.ctx.run("mkdir", "-m", "700", "--", f"{folder}/files").check()
            draft = self._collect(folder)
            manifest = self._send(draft, folder, backup)
            return {**backup.facts(self.ctx), **self._facts(manifest)}

    def _timed(self, name: str, since: float) -> None:
        self.seconds[name] = round(time.monotonic() - since, 3)

    def _collect(self, folder: str) -> Manifest:
        """Copy the RDB into ``folder``/files on the host, and build the manifest from a trial server that loads this file."""
        begun = time.monotonic()
        with connected(self.ctx, self.service) as session:
            server_state.must_be_master(session, self.service)
            place = server_state.place(session, self.service)
            name, version = server_state.version(session)
            mark = identity.mark(session, self.ctx.run_id)
            known = properties.read(session)
            moment = session.clock()  # read before the server forks, so that the file is not older than this time
            server_state.save(session, self.service)
        self._copy(place, f"{folder}/files/{RDB}")
        self._timed("save", begun)
        begun = time.monotonic()
        with beside_service.loading(self.ctx, place.program, f"{folder}/files") as session:
            loaded = server_state.in_file(session)
            keys, times = content.read(session), field_expiry.read(session)
            known = known.model_copy(update={"functions": properties.functions(session)})
        self._timed("digest", begun)
        if content.mark_of(self.ctx.run_id) not in keys.get("0", {}):
            raise StepFailed(
                f"{self.ctx.host.name}: {place.directory}/{place.rdb} is not the file of the save that has just finished"
            )
        return Manifest(
            run=self.ctx.run_id,
            service=self.service.name,
            host=self.ctx.host.name,
            server=name,
            server_version=version,
            taken_at=utc(datetime.fromtimestamp(moment / 1000, UTC)),
            place=place,
            loaded=loaded,
            keys=keys,
            mark=mark,
            fields=times,
            properties=known,
            files={},
        )

    def _copy(self, place: Place, target: str) -> None:
        source = f"{place.directory.rstrip('/')}/{place.rdb}"
        self.ctx.run("sh", "-c", _COPY, "sh", source, target, *as_owner(self.service)).check()

    def _send(self, draft: Manifest, folder: str, backup: BackupSet) -> Manifest:
        """Send first the RDB file and then the manifest to the store. Return the manifest."""
        begun = time.monotonic()
        carrier = Carrier(self.ctx.host, self.ctx.deadline, folder)
        listed = carrier.survey(f"{folder}/files", self.part_size)
        if [file.name for file in listed] != [RDB]:
            raise StepFailed(
                f"{self.ctx.host.name}: unexpected files beside the saved file: {[file.name for file in listed]}"
            )
        files = backup.send(carrier, f"{folder}/files", listed, self.part_size)
        manifest = draft.model_copy(update={"files": files})
        backup.seal(manifest)
        self._timed("upload", begun)
        return manifest

    def _facts(self, manifest: Manifest) -> Facts:
        return {
            "bytes": manifest.bytes,
            "files": len(manifest.files),
            "keys": manifest.count,
            "types": manifest.types(),
            "snapshot_at": manifest.taken_at,
            "server": f"{manifest.server} {manifest.server_version}",
            "append_only": manifest.place.appends,
            "algorithm": manifest.algorithm,
            "seconds": self.seconds,
        }
