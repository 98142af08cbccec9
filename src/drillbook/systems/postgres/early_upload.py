"""Uploads the finished files of a dump while pg_dump still writes other files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from drillbook.errors import PrivilegeRefused
from drillbook.sdk.action import Context
from drillbook.sdk.backup_writer import BackupSet
from drillbook.sdk.random_names import fresh
from drillbook.sdk.stored_backup import StoredFile
from drillbook.sdk.transfer import Carrier, File

FIRST_LOOK_S, LONGEST_PAUSE_S = 2.0, 30.0
"""Time until the first search for finished files, and the longest time between two searches, in seconds."""
CONTENTS = "toc.dat"
"""Table of contents of a dump. pg_dump writes it last."""

# FOLDER KNOWN BATCH NAME CONTENTS: FOLDER/NAME is the dump. Link every file of the dump that no process has open into the folder
# BATCH/NAME, and print their number. KNOWN/NAME has links to the files of earlier calls. The files are listed before the search for
# open files, so a file that was created in between is not in the list. Where no open file is found although pg_dump runs,
# the search cannot see the files of pg_dump (another find, no /proc), so that no file counts as finished.
_LINK_FINISHED = r"""
cd -- "$1" 2>/dev/null || exit 0
names=$(ls -- "$4" 2>/dev/null) && here=$(pwd -P) || exit 0
busy=$(find /proc/[0-9]*/fd -lname "$here/$4/*" -printf '%l\n' 2>/dev/null)
test -n "$busy" || exit 0
mkdir -p -- "$2/$4" "$3/$4" || exit 0
found=0
for name in $names; do
  if [ "$name" = "$5" ] || [ ! -f "$4/$name" ]; then continue; fi
  printf '%s\n' "$busy" | grep -qxF -- "$here/$4/$name" && continue
  ln -- "$4/$name" "$2/$4/$name" 2>/dev/null && ln -- "$4/$name" "$3/$4/$name" && found=$((found + 1))
done
echo "$found"
"""


@dataclass(slots=True)
class EarlyUpload:
    """Upload of the finished files of one dump. A file that changes afterwards is uploaded again by ``rest``.

    ``folder``: folder of all files of the backup on the host; ``name``: folder of the dump below it.
    """

    ctx: Context
    backup: BackupSet
    scratch: str
    folder: str
    name: str
    part_size: int
    sent: dict[str, File] = field(default_factory=dict)
    """Files that were uploaded so far. The key of each entry is the name of a file."""

    def run(self, dump: Future[Any]) -> None:
        """Upload finished files until ``dump`` has ended. Raises the errors of ``BackupSet.send``.

        Nothing is uploaded early to a store that requires encryption.
        """
        if self.backup.store.service.encrypt:
            return
        pause = FIRST_LOOK_S
        while not wait([dump], timeout=pause).done:
            # A random name, and not a number: the number of looks differs from run to run, and rules of sudo name arguments.
            sent = self._send(f"{self.scratch}/early/{fresh(8)}")
            pause = FIRST_LOOK_S if sent else min(pause * 2, LONGEST_PAUSE_S)

    def _send(self, batch: str) -> bool:
        """Upload the files that are finished now. Return False when no file is finished."""
        known = f"{self.scratch}/early/known"
        try:
            linked = self.ctx.run("sh", "-c", _LINK_FINISHED, "sh", self.folder, known, batch, self.name, CONTENTS)
        except PrivilegeRefused:  # by rules of sudo for an older version: all files are uploaded after the dump
            return False
        if linked.text in ("", "0"):
            return False
        carrier = Carrier(self.ctx.host, self.ctx.deadline, self.scratch)
        finished = carrier.survey(batch, self.part_size)
        self.backup.send(carrier, batch, finished, self.part_size)
        self.sent |= {file.name: file for file in finished}
        return True

    def rest(self, written: Sequence[File], send: Callable[[list[File]], dict[str, StoredFile]]) -> dict[str, StoredFile]:
        """Call ``send`` to upload those files in ``written`` that the store does not have yet. Return the entries of all
        files in ``written``.

        A file that has changed since its early upload is first removed from the store. Raises CouldNotVerify when the
        store fails, and the errors of ``send``.
        """
        same = {file.name for file in written if self.sent.get(file.name) == file}
        for name in self.sent.keys() - same:
            self.backup.remove(name)
        sent = send([file for file in written if file.name not in same])
        return {file.name: sent[file.name] if file.name in sent else StoredFile.of(file) for file in written}
