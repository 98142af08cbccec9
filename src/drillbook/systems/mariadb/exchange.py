"""Exchange of a server's data directory: the restored one takes its place, and the old one can be put back until the end.

The old directory is renamed, never copied or merged, so that at each moment one complete directory exists under a known name.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Undo
from drillbook.sdk.backup_source import Backup
from drillbook.sdk.host import printable
from drillbook.sdk.manager import manager_of
from drillbook.systems.mariadb import ownership
from drillbook.systems.mariadb.service import Mariadb

LOOK_S = 0.5
"""Seconds between two queries of the service manager while a server does not answer."""
# DATA NEW KEPT: give the files of NEW to the owner of DATA, write them to disk, and exchange the directories.
_EXCHANGE = """set -eu
data=$1 new=$2 kept=$3
test ! -e "$kept"
find "$new" -maxdepth 1 -name '*.pid' -exec rm -f -- {} +
test "$(id -u)" != 0 || chown -hR "$(stat -c %u:%g -- "$data")" "$new"
chmod "$(stat -c %a -- "$data")" "$new"
sync
mv -T -- "$data" "$kept"
mv -T -- "$new" "$data"
sync -f "$data"
"""
# KEPT: forget the old directory. It is renamed first, so that a revert never mistakes a part of it for all of it.
_FORGET = 'rm -rf -- "$1.done" && mv -T -- "$1" "$1.done" && rm -rf -- "$1.done"'
# KEPT DATA STOP...: if the old directory still exists, stop the unit and put the directory back.
_PUT_BACK = """kept=$1 data=$2
shift 2
rm -rf -- "$kept.done"
if test -d "$kept"; then
  "$@" || exit 1
  if test -e "$data"; then rm -rf -- "$kept.failed" && mv -T -- "$data" "$kept.failed" || exit 1; fi
  mv -T -- "$kept" "$data" || exit 1
fi
rm -rf -- "$kept.failed"
"""
# DATA: explain why this user cannot exchange the directory, if so.
_MAY = r"""data=$1 around=$(dirname -- "$1")
test -d "$data" && test ! -L "$data" || { echo "it is not a folder"; exit; }
test -w "$around" || { echo "this user cannot write to $around"; exit; }
test "$(id -u)" = 0 || test -O "$data" || { echo "this user is neither root nor its owner"; exit; }
test "$(stat -c %d -- "$data")" = "$(stat -c %d -- "$around")" ||
  { echo "it is the mount point of a file system, which cannot be renamed"; exit; }
find "$data" \( -type l -o -name '*.isl' \) -printf 'it contains links to other places, such as %p\n' -quit
"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Exchange of the data directory of ``service`` in one run."""

    ctx: Context
    service: Mariadb
    kept: str
    """Path that the old data directory has until the restored server was verified."""

    def ready(self) -> None:
        """Check that this user can exchange the data directory. Raises NotReady, HostError."""
        why = self.ctx.run("sh", "-c", _MAY, "sh", self.service.data).check().text.strip()
        if why:
            raise NotReady(
                f"{self.ctx.host.name}: {self.service.data} cannot be exchanged by a restored one: {printable(why, limit=300)}",
                hint="a restore into the service renames its data directory, as root or as the owner of the directory",
            )

    def stop(self) -> None:
        """Stop the unit. Raises StepFailed, HostError."""
        manager_of(self.ctx.host).ensure(self.ctx.host, self.service.unit, "stopped", self.ctx.deadline)

    def start(self) -> None:
        """Start the unit, and wait until the server accepts the login of the inventory. Raises StepFailed, HostError."""
        ctx, unit, look_at = self.ctx, self.service.unit, 0.0
        ctx.run(*manager_of(ctx.host).start(unit))  # the checks below tell if it started
        while not ownership.answers(ctx, self.service):
            if time.monotonic() > look_at:
                look_at = time.monotonic() + LOOK_S
                state = manager_of(ctx.host).state(ctx.host, unit, ctx.deadline)
                if state.state not in ("running", "starting", "activating"):
                    raise self._not_serving(f"{unit} is {state.word}")
            if ctx.deadline.remaining() < LOOK_S:
                raise self._not_serving("the login of the inventory was not accepted in time")
            ctx.deadline.wait(0.05)

    def _not_serving(self, measured: str) -> StepFailed:
        wanted = f"a server that admits {self.service.user or 'clients'}"
        found = finding("restore-errors", title=self.service.name, wanted=wanted, measured=measured, host=self.ctx.host.name)
        return StepFailed(f"{self.service.name} does not serve the restored data: {measured}", findings=[found])

    def put(self, new: str) -> None:
        """Put the directory ``new`` in the place of the data directory. Raises HostError."""
        self.ctx.run("sh", "-c", _EXCHANGE, "sh", self.service.data, new, self.kept).check()

    def forget(self) -> None:
        """Remove the old data directory: the restore is complete. Raises HostError."""
        self.ctx.run("sh", "-c", _FORGET, "sh", self.kept).check()

    def undo(self, removal: tuple[str, ...]) -> Undo:
        """Return the undo: it puts the old directory back if it still exists, removes the folder, and starts the unit."""
        manager, unit = manager_of(self.ctx.host), self.service.unit
        back = ("sh", "-c", _PUT_BACK, "sh", self.kept, self.service.data, *manager.stop(unit))
        return Undo.by_commands(back, removal, manager.start(unit))

    def unfinished(self) -> bool:
        """Return True while the old directory exists, or the unit is stopped. Raises HostError, CouldNotVerify."""
        there = self.ctx.run("sh", "-c", 'test -e "$1" || test -e "$1.failed" || test -e "$1.done"', "sh", self.kept).ok
        return (
            there or manager_of(self.ctx.host).state(self.ctx.host, self.service.unit, self.ctx.deadline).state != "running"
        )

    def give_up(self, undo: Undo) -> None:
        """Carry out the undo after a failure; if that fails too, the undo in the journal does it later."""
        with suppress(DrillbookError, TimeoutError):
            for argv in undo.commands:
                self.ctx.run(*argv).check()


def not_empty(service: Mariadb, host: str, backup: Backup, names: list[str]) -> StepFailed:
    """Return the error that the service still has databases, so that nothing was restored."""
    measured = ", ".join(names[:5])
    found = finding("restore-target", title=service.name, wanted="a server without databases", measured=measured, host=host)
    return StepFailed(f"{host}: {service.name} still has {measured}; {backup.id} was not restored", findings=[found])
