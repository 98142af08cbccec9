"""Restores a keyspace from its RDB to a server with or without an append-only file.

A server with ``appendonly yes`` reads only its append-only file. It silently ignores an RDB file in its data folder, and
overwrites it later. Therefore the RDB also becomes the base of a new append-only file. Since Redis 7 an append-only file is
a folder of parts, with a manifest that lists them. A manifest with one base and no increments is complete.
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
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.redis import ownership, server_state
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.manifest import RDB, Manifest, Place
from drillbook.systems.redis.save import as_owner
from drillbook.systems.redis.service import Redis

PUT_BACK_S = 60.0
# The new files are complete and on disk before the old files are moved; a server started before that uses the old files. If
# this script runs again, the old files of its first run are kept: they are the state before the drill. Names of files that
# did not exist before are recorded, so that these files are removed when the old files are put back.
_REPLACE = """set -eu
umask 077
kept=$1 directory=$2 rdb=$3 folder=$4 aof=$5 new=$1.in
rm -rf -- "$new"
mkdir -p -- "$new/$folder"
cat > "$new/$rdb"
cp -- "$new/$rdb" "$new/$folder/$aof.1.base.rdb"
printf 'file %s.1.base.rdb seq 1 type b\\n' "$aof" > "$new/$folder/$aof.manifest"
test "$(id -u)" != 0 || chown -R "$(stat -c %u:%g -- "$directory")" "$new" # root writes for the server's account
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
# KEPT DIRECTORY NAME...: move the old files from KEPT back to DIRECTORY, and remove files that did not exist before. Each NAME
# is the name of an RDB file or of an AOF folder. A failing command ends the script with the status of this command.
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
# Move the old files in one step, so that a revert never mistakes a part of them for all of them.
_FORGET = 'rm -rf -- "$1.done" && mv -- "$1" "$1.done" && rm -rf -- "$1.done"'
# USER KEPT COMMAND...: run COMMAND, which stops the server, if the old files are in KEPT; otherwise exit with 0. If USER is
# not empty, the script looks for KEPT as this user.
_STOP = """user=$1 kept=$2
shift 2
if test -n "$user"; then sudo -n -u "$user" -- sh -c 'test -d "$1" || test -d "$1.new"' sh "$kept" || exit 0
else test -d "$kept" || test -d "$kept.new" || exit 0
fi
exec "$@"
"""
_FEED = 'from=$1; shift; exec "$@" < "$from"'


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replacement of a server's files by an RDB file, and the undo that puts the old files back."""

    ctx: Context
    service: Redis
    seconds: dict[str, float] = field(default_factory=dict, kw_only=True)

    def timed(self, name: str, since: float) -> None:
        """Record the duration of the stage ``name`` of the restore. ``since``: time at which this stage began."""
        self.seconds[name] = round(time.monotonic() - since, 3)

    def present(self) -> Place:
        """Ask the server for the folder and the names of its files. Return the answer.

        Raises CouldNotVerify when the server does not answer, is a replica, or is not run by the service's unit on this
        host.
        """
        with connected(self.ctx, self.service) as session:
            server_state.must_be_master(session, self.service)
            place = server_state.place(session, self.service)
            ownership.must_own(self.ctx, session, self.service, place.directory)
            return place

    def exchange(self, place: Place, rdb: str, keys: int) -> tuple[int, bool]:
        """Restart the server with the RDB file at the path ``rdb`` on the host. ``keys`` is the number of keys in this file,
        including expired keys.

        Return the number of loaded keys, and True when the server has an append-only file. If the server has not loaded
        every key, the old files are put back.

        Raises StepFailed when the restart or the loading fails, HostError when the host cannot be used, and Cancelled when
        the run was stopped.
        """
        begun = time.monotonic()
        try:
            self._stop()
            self._replace(place, rdb)
            # The checks below show whether the unit started: some managers report it as started although it exited at once.
            self.ctx.run(*manager_of(self.ctx.host).start(self.service.unit))
            loaded = server_state.loaded(self.ctx, self.service)
            self.timed("load", begun)
            self._must_be_all(keys, loaded)
            appends = self._settled(place)
        except BaseException:
            self._give_up(place)
            raise
        if not appends:
            self._owner("rm", "-rf", "--", f"{place.directory}/{place.aof_directory}")
        self._owner("sh", "-c", _FORGET, "sh", self.kept(place))
        return loaded, appends

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

    def _must_be_all(self, keys: int, loaded: int) -> None:
        if loaded != keys:
            raise StepFailed(
                f"{self.service.name} loaded only {loaded} of the {keys} keys in the backup",
                findings=[
                    finding(
                        "restore-errors",
                        title=self.service.name,
                        wanted=f"{keys} keys loaded",
                        measured=f"{loaded} keys loaded",
                        host=self.ctx.host.name,
                    )
                ],
            )

    def _settled(self, place: Place) -> bool:
        """Return True when the restarted server uses an append-only file, according to its own setting."""
        with connected(self.ctx, self.service) as session:
            ownership.must_own(self.ctx, session, self.service, place.directory)
            return server_state.place(session, self.service).appends

    def _owner(self, *argv: str) -> None:
        self.ctx.run(*as_owner(self.service), *argv).check()

    def kept(self, place: Place) -> str:
        """Return the folder that contains the old files of the server until the restore is verified."""
        return f"{place.directory.rstrip('/')}/drillbook-{self.ctx.run_id}-kept"

    def unfinished(self, place: Place) -> bool:
        """Return True while the server's old files must still be put back, and also while the unit is stopped."""
        kept = self.ctx.run(*as_owner(self.service), "sh", "-c", _KEPT, "sh", self.kept(place)).ok
        state = manager_of(self.ctx.host).state(self.ctx.host, self.service.unit, self.ctx.deadline)
        return kept or state.state != "running"

    def undo(self, place: Place) -> Undo:
        """Return an undo that puts the old files back, if there are any, and starts the unit."""
        manager, kept = manager_of(self.ctx.host), self.kept(place)
        stop = ("sh", "-c", _STOP, "sh", self.service.run_as, kept, *manager.stop(self.service.unit))
        back = (*as_owner(self.service), "sh", "-c", _PUT_BACK, "sh", kept, place.directory, place.rdb, place.aof_directory)
        return Undo.by_commands(stop, back, manager.start(self.service.unit))

    def _give_up(self, place: Place) -> None:
        """Put the old files back after a failure, or after the run was stopped. If this fails too, the undo puts them back
        later.
        """
        later = replace(self.ctx, deadline=Deadline.after(PUT_BACK_S))
        with suppress(DrillbookError, TimeoutError):
            for argv in replace(self, ctx=later).undo(place).commands:
                later.run(*argv).check()


@dataclass(frozen=True, slots=True)
class Restoring(Replacement):
    """Restore of one backup to the server of ``service``."""

    store: Store
    origin: Reference

    def run(self) -> Facts:
        """Restore the backup, and put the old files back when this fails.

        Raises StepFailed with findings when the restore fails, HostError when the host cannot be used, and Cancelled when
        the run was stopped.
        """
        try:
            backup = Manifest.read_whole(self.store, self.origin)
            with self.ctx.temporary("restore") as scratch:
                begun = time.monotonic()
                folder = stored_backup.carry(self.ctx, self.store, self.origin, backup, scratch)
                self.timed("fetch", begun)
                return self._restore(backup, folder)
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error

    def place(self, backup: Manifest | None = None) -> Place:
        """Return the folder and the names of the server's files. They come from the server. If the server does not answer,
        they come from the backup's manifest.

        Raises CouldNotVerify when the folder is unknown, or when the service's unit on this host does not run the server.
        """
        try:
            with connected(self.ctx, self.service) as session:
                session.ask("PING")
        except CouldNotVerify as error:
            return self._remembered(backup or Manifest.read(self.store, self.origin), error)
        return self.present()

    def _remembered(self, backup: Manifest, why: CouldNotVerify) -> Place:
        if backup.service == self.service.name:
            return backup.place
        if self.service.data_directory:
            return backup.place.model_copy(update={"directory": self.service.data_directory})
        raise CouldNotVerify(
            f"{why.message}; the data folder of {self.service.name} is unknown, because the backup is of "
            f"another service: {backup.service}",
            hint="set `data_directory` of the service in the inventory",
        ) from why

    def _restore(self, backup: Manifest, folder: str) -> Facts:
        place = self.place(backup)
        loaded, appends = self.exchange(place, f"{folder}/{RDB}", backup.loaded)
        return {
            "keys": loaded,
            "bytes": backup.bytes,
            "append_only": appends,
            "seconds": self.seconds,
            "snapshot_at": backup.taken_at,
            "manifest": str(self.origin.below(stored_backup.FILE, self.origin.sha256)),
        }
