"""Restores a team's backup of a deleted folder. The backup is extracted to a new folder next to the original path. Then
the new folder is renamed to this path.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk import host_programs, nofollow
from drillbook.sdk.action import Facts, Undo
from drillbook.sdk.backup_source import Backup
from drillbook.sdk.identity import Identity
from drillbook.sdk.in_place import InPlace, lies_in
from drillbook.systems.files import archives, identity, rights
from drillbook.systems.files.service import Folder

# Run in the folder that contains the new content as `out`. Find the content of the folder PATH in it, which a tool may have
# saved as `var/www`, `www` or `.`, and move it to `../NAME`. Print the number of its files.
_MOVE = """
path=${1#/} name=$2 root=./out
while test -n "$path"; do
  if test -d "./out/$path" && test ! -L "./out/$path"; then
    left=$path at=./out alone=yes
    while test -n "$left"; do
      test "$(find "$at" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 || alone=
      at=$at/${left%%/*}
      case $left in */*) left=${left#*/} ;; *) left= ;; esac
    done
    if test -n "$alone"; then root=./out/$path; break; fi
  fi
  case $path in */*) path=${path#*/} ;; *) path= ;; esac
done
files=$(find "$root" ! -type d | wc -l)
test "$files" -gt 0 || exit 4
if test -e "../$name" || test -L "../$name"; then rmdir -- "../$name" 2>/dev/null || exit 3; fi
mv -T -- "$root" "../$name" && { sync -f .. 2>/dev/null || :; } && echo "$files"
"""
# FOLDER SECONDS: print `old NAME` for each entry that did not change since the time SECONDS, `new NAME` for the others.
# Every NAME ends with a NUL.
_ENTRIES = """
cd -- "$1" && find . -mindepth 1 -maxdepth 1 ! -name '*.drillbook-*' ! -newerct "@$2" -printf 'old %f\\0' &&
find . -mindepth 1 -maxdepth 1 ! -name '*.drillbook-*' -newerct "@$2" -printf 'new %f\\0'
"""


@dataclass(frozen=True, slots=True)
class FolderInPlace(InPlace):
    """Base class for restores of a folder that is missing or empty. This folder is a service of the inventory."""

    source: Any
    """The backup source that this object restores from."""

    @property
    def path(self) -> str:
        """Path of the folder that is restored."""
        return self.service.data.rstrip("/")

    @property
    def _place(self) -> str:
        return f"{self.path}{archives.own_mark(self.ctx)}-new"

    @abstractmethod
    def fetch(self, backup: Backup, folder: str) -> Facts:
        """Extract ``backup`` into the empty private ``folder``, with owners and permissions. Return facts.

        Raises StepFailed with findings when the backup is incomplete or damaged, and HostError when the host fails.
        """

    @abstractmethod
    def names(self, backup: Backup, checked: Facts) -> set[str]:
        """Return the names of the entries of ``backup`` that are directly in the folder.

        ``checked``: facts of the verification of the backup. Raises StepFailed when the names cannot be listed, and
        HostError when the host fails.
        """

    def ready(self) -> None:
        """Check that the service is a folder, and that the user may replace this folder.

        Raises NotReady when this is not the case, and HostError when the host cannot be used.
        """
        if not isinstance(self.service, Folder):
            raise NotReady(f"{self.service.name} is not a service of kind folder", hint="correct `service` of the step")
        rights.need_place(self.ctx, self.path)

    def unlike(self, backup: Backup, checked: Facts) -> str:
        """Return a reason why ``backup`` cannot restore this folder. The result is empty when the backup can restore it.

        A backup seems to be of another folder in two cases. First, this folder has an entry that is older than the backup,
        and the backup does not contain this entry. Second, the backup contains no entry of this folder.
        """
        if why := lies_in(self.ctx, self.source, self.path):
            return why
        since = f"{backup.taken_at.timestamp() - backup.error_s:.3f}"
        output = self.ctx.run("sh", "-c", _ENTRIES, "sh", self.path, since).check()
        rows = [row.split(" ", 1) for row in output.stdout.decode("utf-8", "surrogateescape").split("\0") if row]
        there = self.names(backup, checked)
        older = {name for kind, name in rows if kind == "old"}
        if lacking := sorted(older - there):
            return (
                f"the backup lacks {len(lacking)} of the {len(older)} entries of {self.path} that are older than the "
                f"backup: {', '.join(lacking[:5])}"
            )
        if rows and not there & {name for _, name in rows}:
            return f"the backup contains none of the {len(rows)} entries of {self.path}"
        return ""

    def restore(self, backup: Backup, at: datetime | None) -> Facts:
        """Restore the backup next to the folder's path, and then move the content into place.

        Raises StepFailed when this fails, and HostError when the host cannot be used.
        """
        around, _, name = self._place.rpartition("/")
        begun = time.monotonic()
        try:
            inside = nofollow.inside(self._place, host_programs.made_in(self.ctx, around, name))
            self.ctx.run(*inside, "mkdir", "-m", "700", "--", "./out").check()
            facts = self.fetch(backup, f"{self._place}/out")
            fetched = time.monotonic()
            moved = self.ctx.run(*inside, "sh", "-c", _MOVE, "sh", self.path, self.path.rpartition("/")[2])
            nofollow.refuse(self.ctx, moved)
            if moved.exit in (3, 4):
                raise self._refused(backup, empty=moved.exit == 4)
            count = int(moved.check().text)
        finally:
            with suppress(HostError):
                self.ctx.run("sh", "-c", nofollow.DELETE, "sh", self._place)
        with suppress(HostError):  # while these files exist, the fault `files.lose` does not count as undone
            self.ctx.run("sh", "-c", nofollow.DELETE, "sh", archives.lost(self.ctx, self.path))
        seconds = {"fetch": round(fetched - begun, 3), "move": round(time.monotonic() - fetched, 3)}
        return {**facts, "path": self.path, "files": count, "seconds": {**facts.pop("seconds", {}), **seconds}}

    def _refused(self, backup: Backup, *, empty: bool) -> StepFailed:
        host = self.ctx.host.name
        if empty:
            problem = finding("backup-empty", title=backup.id, wanted="at least one file", measured="no file", host=host)
            return StepFailed(f"{host}: {backup.id} contains no file", findings=[problem])
        problem = finding(
            "restore-target", title=self.path, wanted="a missing or an empty folder", measured="not empty", host=host
        )
        return StepFailed(f"{host}: {self.path} is not empty; nothing was overwritten", findings=[problem])

    def undo(self) -> Undo:
        """Return an undo that removes an unfinished restore next to the folder. A finished restore stays."""
        return Undo.by_commands(("sh", "-c", nofollow.DELETE, "sh", self._place))

    def active(self) -> bool:
        """Return True while this run has an unfinished restore. The files of an unfinished restore are in a hidden
        folder next to the folder to restore.
        """
        return self.ctx.run("test", "-e", self._place).ok

    def identity(self) -> Identity:
        """Identity of the files in the folder. It equals the identity that `files.lose` gives to the files of the same folder."""
        return identity.identity(self.ctx, self.path)
