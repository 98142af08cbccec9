"""A file of evidence while it is written into a run's folder; one that may be left out keeps nothing from going on."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from drillbook.errors import visible
from drillbook.sdk.run_folder import sync_path

MOST_FILE = 512 << 20
"""Bytes of one file of evidence."""
MOST_RUN = 2 << 30
"""Bytes of all evidence of a run; what a recovery must know is written beyond it too."""
LOOK = 1 << 20
"""After so many bytes it is looked anew what the other files of the run have."""


class EvidenceFile:
    """A new file, readable by its owner alone, with a budget: what is beyond it is dropped, and ``cut`` says so.

    With ``spared`` an error of the disk removes what was written of it, and ``why`` tells the reason; otherwise it is
    raised as OSError.
    """

    def __init__(self, path: Path, *, spared: bool, vital: bool = False) -> None:
        """Open ``path``, which must not exist yet; its folder is made in the folder of the run.

        What is ``vital`` is never cut or left out: OSError is raised, also beyond the budget of one file.
        """
        self.path, self.why, self.cut = path, "", ""
        self.bytes, self._looked_at, self._others = 0, -LOOK, 0
        self._digest = hashlib.sha256()
        self._spared, self._vital = spared and not vital, vital
        self._file: BinaryIO | None = None
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            self._failed(error)

    @property
    def facts(self) -> dict[str, str | int]:
        """Name, digest and bytes of what was written, and where it was cut; or why there is no file."""
        if self.why:
            return {"file": f"not kept: {self.why}"}
        return {
            "file": f"evidence/{self.path.name}",
            "sha256": self._digest.hexdigest(),
            "bytes": self.bytes,
            **({"cut": self.cut} if self.cut else {}),
        }

    def write(self, data: bytes) -> int:
        """Write ``data``, or drop it once the file is left out or has all that it may have."""
        if self._file is None or self.cut:
            return len(data)
        for at in range(0, len(data), LOOK):
            piece, room = data[at : at + LOOK], self._room()
            self._keep(piece[:room])
            if len(piece) > room:
                self._end_here()
                break
        return len(data)

    def _keep(self, data: bytes) -> None:
        try:
            if self._file is not None:
                self._file.write(data)
        except OSError as error:
            self._failed(error)
        else:
            self._digest.update(data)
            self.bytes += len(data)

    def _room(self) -> int:
        """Bytes that may still be written."""
        room = MOST_FILE - self.bytes
        if self._vital:
            return max(0, room)
        if self.bytes - self._looked_at >= LOOK:
            self._looked_at = self.bytes
            self._others = sum(_size(path) for path in self.path.parent.iterdir() if path != self.path)
        return max(0, min(room, MOST_RUN - self._others - self.bytes))

    def _end_here(self) -> None:
        if self._vital:
            self._failed(OSError(errno.EFBIG, f"larger than the {MOST_FILE} bytes of a file of evidence"))
            return
        whole = self.bytes < MOST_FILE
        self.cut = (
            f"after {self.bytes} bytes: all evidence of a run has at most {MOST_RUN}"
            if whole
            else f"after {self.bytes} bytes, the most that a file of evidence has"
        )
        self._keep(f"\n[cut here by Drillbook {self.cut}]\n".encode())

    def close(self, *, sync: bool) -> None:
        """End the file; with ``sync`` it is on the disk then, and its name too."""
        if self._file is None:
            return
        try:
            self._file.flush()
            if sync:
                os.fsync(self._file.fileno())
                sync_path(self.path.parent)
        except OSError as error:
            self._failed(error)
        else:
            self._file.close()

    def _failed(self, error: OSError) -> None:
        self.why = visible(error.strerror or str(error))
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
            self.path.unlink(missing_ok=True)
        if not self._spared:
            raise error


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
