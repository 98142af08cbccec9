"""Checks if the index of all runs is outdated. It is outdated if a run ended after ``index.html`` was written.

Finding such runs is fast even for hundreds of runs, because no file of a run is read.
"""

from __future__ import annotations

import os
from pathlib import Path

from drillbook.journal.journal import FILE
from drillbook.journal.run_files import RESULT
from drillbook.report.folders import alive

PAGE = "index.html"
"""Name of the index, in the folder of all runs."""


def outdated(reports: Path) -> bool:
    """Return True when a run ended after the index was written. This happens when the controller of the run was killed
    before it wrote the index. Raises OSError when the folder of all runs cannot be read.
    """
    written = _modified(f"{reports}/{PAGE}")
    return any(changed(reports, name) > written and not _running(reports / name) for name in names(reports))


def names(reports: Path) -> list[str]:
    """Return the names of the visible folders in ``reports``, sorted. Raises OSError when ``reports`` cannot be read."""
    with os.scandir(reports) as entries:
        return sorted(
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )


def changed(reports: Path, name: str) -> int:
    """Return the time of the last change of a run's result, in nanoseconds.

    If the run or suite has no result, return the time of its newest journal. For a folder without a journal, return 0.
    """
    return _modified(f"{reports}/{name}/{RESULT}") or max(_modified(str(path)) for path in _journals(reports / name))


def _running(folder: Path) -> bool:
    return not (folder / RESULT).exists() and any(alive(path.parent) for path in _journals(folder))


def _journals(folder: Path) -> list[Path]:
    return [folder / FILE, *folder.glob(f"[!.]*/{FILE}")]


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  a Path for each run costs more
    except OSError:
        return 0
