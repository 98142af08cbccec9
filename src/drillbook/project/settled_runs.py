"""Index of the runs that left no changes. The result file of such a run is read once. Later, only the entry of the run in
this index is read.

An entry is valid as long as the inode, the size and the time of change of the result file stay the same. If the index is
missing or damaged, every run without an entry is read again, which only costs time.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from drillbook.atomic_file import replace_file
from drillbook.journal.run_files import RESULT

FILE = ".settled.json"
Mark = list[int]
"""Inode, size and time of change of a result file. If they stay the same, the file did not change."""


def read(reports: Path) -> dict[str, Mark]:
    """Read the index in the folder of all runs. Each key is the name of a run's or suite's folder. Each value is the
    inode, size and time of change of the result file in this folder.
    """
    try:
        marks = json.loads((reports / FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return marks if isinstance(marks, dict) else {}


def write(reports: Path, marks: dict[str, Mark]) -> None:
    """Replace the index. Do nothing when the folder cannot be written."""
    with contextlib.suppress(OSError):
        replace_file(reports / FILE, json.dumps(marks).encode("ascii"), mode=None)


def mark_of(reports: Path, name: str) -> Mark | None:
    """Return the mark (inode, size and time of change) of the result file in the folder ``name``.

    Returns None when there is no result file.
    """
    try:
        status = os.stat(f"{reports}/{name}/{RESULT}", follow_symlinks=False)  # noqa: PTH116  a Path for each run costs more
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns]
