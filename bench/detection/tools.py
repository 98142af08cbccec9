"""Checks of an artefact of the corpus with other tools; the tools of each driver are in a separate module."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.systems.estate import Estate

LIST, VERIFY, RESTORE, COUNTS, FIREDRILL = CATEGORIES = (
    "list",
    "own check",
    "restore's status",
    "counts",
    "firedrill",
)
"""Columns of the table: exit status of listing, of the tool's own verification, of a restore; rows, keys or files
after it.
"""
SECONDS = 180
TESTERS = {
    b"\x1f\x8b": ("gzip", "-t"),
    b"\x28\xb5\x2f\xfd": ("zstd", "-tq"),
    b"\x04\x22\x4d\x18": ("lz4", "-tq"),
    b"BZh": ("bzip2", "-t"),
    b"\xfd7zXZ\0": ("xz", "-t"),
}
"""Commands that test a compressed file, by its first bytes."""


@dataclass(frozen=True)
class Case:
    """One artefact in a folder, and the state from which it was made."""

    origin: Any
    """State that its corpus prepared."""
    estate: Estate
    root: Path
    """Folder of the artefact and of all checks of it."""

    def folder(self, name: str) -> Path:
        """Create a folder for a check."""
        path = self.root / name
        path.mkdir(mode=0o777)
        return path

    def one(self, place: str = "backups") -> Path:
        """The newest file or folder of the artefact."""
        return max((self.root / place).iterdir(), key=lambda path: path.stat().st_mtime)


@dataclass(frozen=True)
class Tool:
    """One check by another tool."""

    name: str
    category: str
    noticed: Callable[[Case], bool | None]
    """Return True when the tool reports a problem, None when the check does not apply to the artefact."""


def fails(
    *argv: object, env: Mapping[str, str] | None = None, stdin: Any = subprocess.DEVNULL, cwd: Path | None = None
) -> bool:
    """Return True when the command exits with a status other than 0, or not within ``SECONDS``; then its processes
    are killed. Some tools never end at a damaged artefact, and run behind a shell that decompresses it for them.
    """
    words, environment = [str(word) for word in argv], dict(env) if env else None
    with subprocess.Popen(
        words,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    ) as child:
        try:
            return child.wait(SECONDS) != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def tester(path: Path) -> Sequence[str]:
    """Command that tests the compression of a file; empty for an uncompressed file."""
    if path.is_dir():
        return ()
    with path.open("rb") as file:
        first = file.read(6)
    return next((argv for magic, argv in TESTERS.items() if first.startswith(magic)), ())


def compression_test(case: Case) -> bool | None:
    """`gzip -t` and similar; does not apply to an uncompressed file."""
    path = case.one("backups" if (case.root / "backups").exists() else "dumps")
    argv = tester(path)
    if not argv:
        return None
    with path.open("rb") as file:
        return fails(*argv, stdin=file)


COMPRESSION = Tool("gzip -t, zstd -t, xz -t, lz4 -t, bzip2 -t", VERIFY, compression_test)
