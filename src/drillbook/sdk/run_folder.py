"""The folder of a run: hidden until its journal holds the first event, so that an empty one tells of something removed."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run's folder is until it is shown: under a name that begins with a dot, readable by its owner alone."""

    inside: Path
    """The run's folder as it is now."""
    hidden: Path
    shown: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make the folder of a run, and that of its suite where that is not there yet. Raises OSError."""
        outer = folder if folder.parent.exists() else folder.parent
        hidden = outer.with_name(f".{outer.name}")
        inside = hidden if outer == folder else hidden / folder.name
        hidden.mkdir(mode=0o700)
        if inside != hidden:
            inside.mkdir(mode=0o700)
        return cls(inside, hidden, outer)

    def show(self) -> None:
        """Give it its name, for good once this returns. Raises OSError."""
        self.hidden.rename(self.shown)
        sync_path(self.shown.parent)

    def drop(self, *names: str) -> None:
        """Remove what was never shown: files of these names and the folders."""
        with suppress(OSError):
            for name in names:
                (self.inside / name).unlink(missing_ok=True)
            self.inside.rmdir()
            self.hidden.rmdir()


def sync_path(path: Path) -> None:
    """Return once a file's content, or the names in a folder, would outlive a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
