"""Index of the runs that left no changes, so that the result file of each is read once and not before every run.

An entry holds only while the result file is the same file, by its inode, size and time of change. A missing or damaged index
costs time and nothing else: every run without an entry is read.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from drillbook.atomic_file import replace_file
from drillbook.journal.damaged import RESULT

FILE = ".settled.json"
Mark = list[int]
"""Inode, size and time of change of a result file."""


def read(reports: Path) -> dict[str, Mark]:
    """Read the index in the folder of all runs: the mark of each settled run or suite, by the name of its folder."""
    try:
        found = json.loads((reports / FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write(reports: Path, marks: dict[str, Mark]) -> None:
    """Replace the index, if the folder can be written."""
    with contextlib.suppress(OSError):
        replace_file(reports / FILE, json.dumps(marks).encode("ascii"), mode=None)


def mark_of(reports: Path, name: str) -> Mark | None:
    """Mark of the result file of a run or suite; None without one."""
    try:
        found = os.stat(f"{reports}/{name}/{RESULT}", follow_symlinks=False)  # noqa: PTH116  a Path for each run costs more
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]
