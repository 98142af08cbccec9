"""Folder of a run. It is hidden until its journal contains the first event.

Therefore, if a visible folder has no events, its journal was removed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Folder of a run while it is hidden.

    The name of the hidden folder begins with a dot, and only its owner can read it.
    """

    inside: Path
    """Present path of the run's folder: ``hidden``, or a folder in ``hidden`` if the folder of the suite is hidden."""
    hidden: Path
    shown: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Create the hidden folder of a run, and the folder of its suite if that is missing.

        Raises OSError when a folder cannot be created.
        """
        outer = folder if folder.parent.exists() else folder.parent
        hidden = outer.with_name(f".{outer.name}")
        inside = hidden if outer == folder else hidden / folder.name
        hidden.mkdir(mode=0o700)
        if inside != hidden:
            inside.mkdir(mode=0o700)
        return cls(inside, hidden, outer)

    def show(self) -> None:
        """Rename the folder to its visible name and flush the change to the disk.

        Raises OSError when the folder cannot be renamed.
        """
        self.hidden.rename(self.shown)
        sync_path(self.shown.parent)

    def drop(self, *names: str) -> None:
        """Remove the hidden folder and the files ``names`` in it. Only call this before ``show``."""
        with suppress(OSError):
            for name in names:
                (self.inside / name).unlink(missing_ok=True)
            self.inside.rmdir()
            self.hidden.rmdir()


def sync_path(path: Path) -> None:
    """Flush the content of a file, or the names in a folder, to the disk. Raises OSError when this fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
