"""Bringing a keyspace back from its RDB, whether the server appends to a file or not.

A server with ``appendonly yes`` reads only its append-only file: an RDB that is put beside it is ignored, silently,
and overwritten later. So the RDB also becomes the base of a new append-only file, which servers since Redis 7 keep
as a folder with a list of its parts: a list with one base and no increments is a whole one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

from drillbook.errors import CouldNotVerify, DrillbookError, StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Undo
from drillbook.sdk.host import Deadline
from drillbook.sdk.manager import manager_of
from drillbook.sdk.store import Reference, Store
from drillbook.systems.redis import manifest as manifests
from drillbook.systems.redis import ownership, server
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.manifest import RDB, Manifest, Place
from drillbook.systems.redis.proof import Proof, scratch
from drillbook.systems.redis.save import as_owner
from drillbook.systems.redis.service import Redis

PUT_BACK_S = 60.0
# The new files are whole and on disk before the old ones leave their place: who starts the server meanwhile has those.
# The first set of files that is kept stays kept: it is what was there before the drill, also when this is done again.
# What was not there is noted, so that it is not there again when the old files are put back.
_REPLACE = """set -eu
umask 077
kept=$1 directory=$2 rdb=$3 folder=$4 aof=$5 new=$1.in
rm -rf -- "$new"
mkdir -p -- "$new/$folder"
cat > "$new/$rdb"
cp -- "$new/$rdb" "$new/$folder/$aof.1.base.rdb"
printf 'file %s.1.base.rdb seq 1 type b\\n' "$aof" > "$new/$folder/$aof.manifest"
sync
if ! test -d "$kept"; then
  mkdir -p -- "$kept.new"
  for name in "$rdb" "$folder"; do
    test ! -e "$kept.new/$name" || continue
    if test -e "$directory/$name"; then mv -- "$directory/$name" "$kept.new/$name"; else : > "$kept.new/.no-$name"; fi
  done
  mv -- "$kept.new" "$kept"
fi
rm -rf -- "${directory:?}/$rdb" "${directory:?}/$folder"
mv -- "$new/$folder" "$directory/$folder"
mv -- "$new/$rdb" "$directory/$rdb"
rmdir -- "$new"
sync
"""
_PUT_BACK = """set -eu
kept=$1 directory=$2
shift 2
for name in "$@"; do
  if test -e "$kept/.no-$name"; then
    rm -rf -- "${directory:?}/$name"
    rm -- "$kept/.no-$name"
  fi
done
for old in "$kept.new" "$kept"; do
  for name in "$@"; do
    if test -e "$old/$name"; then
      rm -rf -- "${directory:?}/$name"
      mv -- "$old/$name" "$directory/$name"
    fi
  done
  rm -rf -- "$old"
done
rm -rf -- "$kept.done" "$kept.in"
"""
_KEPT = 'test -d "$1" || test -d "$1.new" || test -d "$1.done" || test -d "$1.in"'
# In one step: half of the old files is never taken for all of them by a revert.
_FORGET = 'rm -rf -- "$1.done" && mv -- "$1" "$1.done" && rm -rf -- "$1.done"'
_STOP = """user=$1 kept=$2
shift 2
if test -n "$user"; then sudo -n -u "$user" -- sh -c 'test -d "$1" || test -d "$1.new"' sh "$kept" || exit 0
else test -d "$kept" || test -d "$kept.new" || exit 0
fi
exec "$@"
"""
_FEED = 'from=$1; shift; exec "$@" < "$from"'


@dataclass(frozen=True, slots=True)
class Restore:
    """One backup that is being restored."""

    ctx: Context
    service: Redis
    store: Store
    origin: Reference
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Facts:
        """Restore it. Raises StepFailed with findings, HostError, Cancelled; then the old files are where they were."""
        try:
            proof = Proof(self.ctx, self.store, self.origin)
            backup = proof.manifest()
            with scratch(self.ctx, "restore") as folder:
                begun = time.monotonic()
                proof.fetch(backup, folder)
                self._timed("fetch", begun)
                return self._restore(backup, folder)
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error

    def _timed(self, name: str, since: float) -> None:
        self.seconds[name] = round(time.monotonic() - since, 3)

    def place(self, backup: Manifest | None = None) -> Place:
        """Where the server keeps its files: as it says itself, or as it said when the backup was taken.

        Raises CouldNotVerify when neither can tell, and when the server that answers is not the unit's on this host.
        """
        try:
            with connected(self.ctx, self.service) as session:
                session.ask("PING")
        except CouldNotVerify as error:
            return self._remembered(backup or manifests.read(self.store, self.origin), error)
        with connected(self.ctx, self.service) as session:
            server.must_be_master(session, self.service)
            found = server.place(session, self.service)
            ownership.must_own(self.ctx, session, self.service, found.directory)
            return found

    def _remembered(self, backup: Manifest, why: CouldNotVerify) -> Place:
        if backup.service == self.service.name:
            return backup.place
        if self.service.data_directory:
            return backup.place.model_copy(update={"directory": self.service.data_directory})
        raise CouldNotVerify(
            f"{why.message}; and the backup is of {backup.service}, and nobody knows "
            f"where {self.service.name} keeps its data",
            hint="set `data_directory` of the service in the inventory",
        ) from why

    def _restore(self, backup: Manifest, folder: str) -> Facts:
        place = self.place(backup)
        begun = time.monotonic()
        try:
            self._stop()
            self._replace(place, f"{folder}/files/{RDB}")
            # Whether it started well shows below: some managers call a unit that ended at once started.
            self.ctx.run(*manager_of(self.ctx.host).start(self.service.unit))
            found = server.loaded(self.ctx, self.service)
            self._timed("load", begun)
            self._must_be_all(backup, found)
            appends = self._settled(place)
        except BaseException:
            self._give_up(place)
            raise
        if not appends:
            self._owner("rm", "-rf", "--", f"{place.directory}/{place.aof_directory}")
        self._owner("sh", "-c", _FORGET, "sh", self.kept(place))
        return {
            "keys": found,
            "bytes": backup.bytes,
            "append_only": appends,
            "seconds": self.seconds,
            "snapshot_at": backup.snapshot_at,
            "manifest": str(self.origin.below(stored_backup.FILE, self.origin.sha256)),
        }

    def _stop(self) -> None:
        manager_of(self.ctx.host).ensure(self.ctx.host, self.service.unit, "stopped", self.ctx.deadline)

    def _replace(self, place: Place, rdb: str) -> None:
        put = (
            *as_owner(self.service),
            "sh",
            "-c",
            _REPLACE,
            "sh",
            self.kept(place),
            place.directory,
            place.rdb,
            place.aof_directory,
            place.aof,
        )
        self.ctx.run("sh", "-c", _FEED, "sh", rdb, *put).check()

    def _must_be_all(self, backup: Manifest, found: int) -> None:
        if found != backup.loaded:
            raise StepFailed(
                f"{self.service.name} came up with {found} of the backup's {backup.loaded} keys",
                findings=[
                    finding(
                        "restore-errors",
                        title=self.service.name,
                        wanted=f"{backup.loaded} keys loaded",
                        measured=f"{found} keys loaded",
                        host=self.ctx.host.name,
                    )
                ],
            )

    def _settled(self, place: Place) -> bool:
        """Does the server append to a file? Its own setting, now that it runs, and is the one that has the new files."""
        with connected(self.ctx, self.service) as session:
            ownership.must_own(self.ctx, session, self.service, place.directory)
            return server.place(session, self.service).appends

    def _owner(self, *argv: str) -> None:
        self.ctx.run(*as_owner(self.service), *argv).check()

    def kept(self, place: Place) -> str:
        """Folder of the files that were there before, until the restore is proven."""
        return f"{place.directory.rstrip('/')}/drillbook-{self.ctx.run_id}-kept"

    def unfinished(self, place: Place) -> bool:
        """Do old files still wait to be put back, or is the unit down?"""
        kept = self.ctx.run(*as_owner(self.service), "sh", "-c", _KEPT, "sh", self.kept(place)).ok
        state = manager_of(self.ctx.host).state(self.ctx.host, self.service.unit, self.ctx.deadline)
        return kept or state.state != "running"

    def undo(self, place: Place) -> Undo:
        """Put the old files back, where they are kept, and have the unit run."""
        manager, kept = manager_of(self.ctx.host), self.kept(place)
        stop = ("sh", "-c", _STOP, "sh", self.service.run_as, kept, *manager.stop(self.service.unit))
        back = (*as_owner(self.service), "sh", "-c", _PUT_BACK, "sh", kept, place.directory, place.rdb, place.aof_directory)
        return Undo.by_commands(stop, back, manager.start(self.service.unit))

    def _give_up(self, place: Place) -> None:
        """Have the old files again after a failure, also when the run was stopped; what fails here the undo does later."""
        later = replace(self.ctx, deadline=Deadline.after(PUT_BACK_S))
        with suppress(DrillbookError, TimeoutError):
            for argv in replace(self, ctx=later).undo(place).commands:
                later.run(*argv).check()
