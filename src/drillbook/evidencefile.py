"""A file of evidence while it is written into a run's folder; one that may be left out keeps nothing from going on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from drillbook.errors import visible
from drillbook.runfolder import sync_path


class EvidenceFile:
    """A new file, readable by its owner alone.

    With ``spared`` an error of the disk removes what was written of it, and ``why`` tells the reason; otherwise it is
    raised as OSError.
    """

    def __init__(self, path: Path, *, spared: bool) -> None:
        """Open ``path``, which must not exist yet; its folder is made in the folder of the run."""
        self.path, self.why = path, ""
        self._spared = spared
        self._file: BinaryIO | None = None
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            self._failed(error)

    def write(self, data: bytes) -> int:
        """Write ``data``, or drop it once the file is left out."""
        if self._file is not None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failed(error)
        return len(data)

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
