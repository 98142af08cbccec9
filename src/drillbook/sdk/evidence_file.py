"""Writes evidence files to a run's folder. When a file that is not required cannot be written, the run goes on."""

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
"""Largest evidence file in bytes."""
MOST_RUN = 2 << 30
"""Limit in bytes for all evidence files of a run together. Data that a recovery needs may exceed it."""
LOOK = 1 << 20
"""Number of written bytes after which the total size of the run's evidence files is measured again."""


class EvidenceFile:
    """New evidence file that only its owner can read.

    Data beyond the size limit is dropped, and ``cut`` then describes the limit. After a disk error, a file that is
    ``optional`` is removed, and ``why`` contains the reason. For any other file, a disk error raises OSError.
    """

    def __init__(self, path: Path, *, optional: bool, vital: bool = False) -> None:
        """Create and open the file ``path``. It must not exist yet. Its parent folder is created in the folder of the run.

        A ``vital`` file is never cut or omitted: a disk error, or data beyond the limit of one file, raises OSError.
        """
        self.path, self.why, self.cut = path, "", ""
        self.bytes, self._looked_at, self._others = 0, -LOOK, 0
        self._digest = hashlib.sha256()
        self._optional, self._vital = optional and not vital, vital
        self._file: BinaryIO | None = None
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            self._failed(error)

    @property
    def facts(self) -> dict[str, str | int]:
        """Name, SHA-256 and size of the file, and the size limit if the file was cut.

        For a missing file: the reason why it is missing.
        """
        if self.why:
            return {"file": f"not kept: {self.why}"}
        return {
            "file": f"evidence/{self.path.name}",
            "sha256": self._digest.hexdigest(),
            "bytes": self.bytes,
            **({"cut": self.cut} if self.cut else {}),
        }

    def write(self, data: bytes) -> int:
        """Write ``data``. Drop it when the file is omitted or has reached its limit."""
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
        """Return the number of bytes that may still be written to this file."""
        room = MOST_FILE - self.bytes
        if self._vital:
            return max(0, room)
        if self.bytes - self._looked_at >= LOOK:
            self._looked_at = self.bytes
            self._others = sum(_size(path) for path in self.path.parent.iterdir() if path != self.path)
        return max(0, min(room, MOST_RUN - self._others - self.bytes))

    def _end_here(self) -> None:
        if self._vital:
            self._failed(
                OSError(errno.EFBIG, f"the file is larger than {MOST_FILE} bytes, which is the limit of an evidence file")
            )
            return
        whole = self.bytes < MOST_FILE
        self.cut = (
            f"after {self.bytes} bytes: the evidence of a run is limited to {MOST_RUN} bytes"
            if whole
            else f"after {self.bytes} bytes, which is the limit of an evidence file"
        )
        self._keep(f"\n[cut here by Drillbook {self.cut}]\n".encode())

    def close(self, *, sync: bool) -> None:
        """Close the file. When ``sync`` is true, flush its content and its name to the disk."""
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
        if not self._optional:
            raise error


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
