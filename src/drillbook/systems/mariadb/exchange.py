"""Replaces a server's data directory by a restored directory. Until the restored server is verified, the old directory
is kept and can be put back.

The old directory is renamed, and never copied or merged. So at each moment one complete directory exists under a known name.
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
"""Time in seconds between two queries of the service manager while a server does not answer."""
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
    """Replacement of the data directory of ``service`` by a restored directory, in one run."""

    ctx: Context
    service: Mariadb
    kept: str
    """Path at which the old data directory is kept until the restored server is verified."""

    def ready(self) -> None:
        """Check that the account of the step can exchange the data directory. Raises NotReady when it cannot, and
        HostError when the host cannot be used.
        """
        why = self.ctx.run("sh", "-c", _MAY, "sh", self.service.data).check().text.strip()
        if why:
            raise NotReady(
                f"{self.ctx.host.name}: the account of the step cannot replace {self.service.data} by a restored directory: "
                f"{printable(why, limit=300)}",
                hint="a restore into the service renames its data directory; this needs root, or the owner of the directory",
            )

    def stop(self) -> None:
        """Stop the unit. Raises StepFailed when it does not stop, and HostError when the host cannot be used."""
        manager_of(self.ctx.host).ensure(self.ctx.host, self.service.unit, "stopped", self.ctx.deadline)

    def start(self) -> None:
        """Start the unit, and wait until the server accepts the login in the inventory. Raises StepFailed when the
        server does not accept it in time, and HostError when the host cannot be used.
        """
        ctx, unit, look_at = self.ctx, self.service.unit, 0.0
        ctx.run(*manager_of(ctx.host).start(unit))  # the checks below tell if it started
        while not ownership.answers(ctx, self.service):
            if time.monotonic() > look_at:
                look_at = time.monotonic() + LOOK_S
                state = manager_of(ctx.host).state(ctx.host, unit, ctx.deadline)
                if state.state not in ("running", "starting", "activating"):
                    raise self._not_serving(f"{unit} is {state.word}")
            if ctx.deadline.remaining() < LOOK_S:
                raise self._not_serving("the time limit passed before the server accepted the login in the inventory")
            ctx.deadline.wait(0.05)

    def _not_serving(self, measured: str) -> StepFailed:
        wanted = f"a server that accepts {self.service.user or 'clients'}"
        problem = finding(
            "restore-errors", title=self.service.name, wanted=wanted, measured=measured, host=self.ctx.host.name
        )
        return StepFailed(f"{self.service.name} does not serve the restored data: {measured}", findings=[problem])

    def put(self, new: str) -> None:
        """Put the directory ``new`` in the place of the data directory. Raises HostError when this fails."""
        self.ctx.run("sh", "-c", _EXCHANGE, "sh", self.service.data, new, self.kept).check()

    def forget(self) -> None:
        """Remove the old data directory, since the restore is complete. Raises HostError when this fails."""
        self.ctx.run("sh", "-c", _FORGET, "sh", self.kept).check()

    def undo(self, removal: tuple[str, ...]) -> Undo:
        """Return an undo that removes the folder of the restore and starts the unit. If the old data directory still exists,
        the undo puts it back first.
        """
        manager, unit = manager_of(self.ctx.host), self.service.unit
        back = ("sh", "-c", _PUT_BACK, "sh", self.kept, self.service.data, *manager.stop(unit))
        return Undo.by_commands(back, removal, manager.start(unit))

    def unfinished(self) -> bool:
        """Return True while the old directory exists, or while the unit does not run. Raises CouldNotVerify when the service
        manager does not report the state of the unit, and HostError when the host cannot be used.
        """
        there = self.ctx.run("sh", "-c", 'test -e "$1" || test -e "$1.failed" || test -e "$1.done"', "sh", self.kept).ok
        return (
            there or manager_of(self.ctx.host).state(self.ctx.host, self.service.unit, self.ctx.deadline).state != "running"
        )

    def give_up(self, undo: Undo) -> None:
        """Carry out the undo after a failure. If the undo fails too, Drillbook repeats it later from the journal."""
        with suppress(DrillbookError, TimeoutError):
            for argv in undo.commands:
                self.ctx.run(*argv).check()


def not_empty(service: Mariadb, host: str, backup: Backup, names: list[str]) -> StepFailed:
    """Return the error for a service that still has databases. Nothing is restored into such a service."""
    measured = ", ".join(names[:5])
    problem = finding(
        "restore-target", title=service.name, wanted="a server without databases", measured=measured, host=host
    )
    return StepFailed(f"{host}: {service.name} still has {measured}; {backup.id} was not restored", findings=[problem])
