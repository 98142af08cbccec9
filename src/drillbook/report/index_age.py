"""Checks if the index of all runs is outdated. It is outdated if a run ended, or its controller died, after ``index.html`` was
written, and if the page does not name exactly the runs that are in progress.

Finding such runs is fast even for hundreds of runs, because no file of a run is read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from drillbook.journal.journal import FILE
from drillbook.journal.run_files import RESULT
from drillbook.report.folders import alive

PAGE = "index.html"
"""Name of the index, in the folder of all runs."""
LISTED = re.compile(rb'<meta name="in-progress" content="([^"]*)">')
"""Tag of the page that names the runs which were in progress when it was written; see ``in_progress``."""
HEAD = 2048
"""Number of bytes at the beginning of the page, which contain this tag."""


def outdated(reports: Path) -> bool:
    """Return True when the index does not show a run as it is now: the run ended or died after the index was written, or it
    is in progress and the index does not say so. Raises OSError when the folder of all runs cannot be read.
    """
    written = _modified(f"{reports}/{PAGE}")
    going: list[str] = []
    for name in names(reports):
        ended = _modified(f"{reports}/{name}/{RESULT}")
        if ended > written:
            return True
        mine = [] if ended else _alive(reports / name, reports)
        if not ended and not mine and changed(reports, name) > written:
            return True
        going += mine
    return going != _listed(reports / PAGE)


def in_progress(reports: Path) -> list[str]:
    """Return the names of the runs that are in progress, sorted. Each name is quoted as in an address, and a drill of a suite
    has the name of the suite before it. Raises OSError when the folder of all runs cannot be read.
    """
    return [
        run for name in names(reports) if not (reports / name / RESULT).exists() for run in _alive(reports / name, reports)
    ]


def _alive(folder: Path, reports: Path) -> list[str]:
    runs = sorted(path.parent for path in _journals(folder))
    return [quote(run.relative_to(reports).as_posix()) for run in runs if alive(run)]


def _listed(page: Path) -> list[str]:
    """Return the runs that were in progress when ``page`` was written, as the page names them."""
    try:
        with page.open("rb") as file:
            tag = LISTED.search(file.read(HEAD))
    except OSError:
        return []
    return tag[1].decode().split() if tag else []


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


def _journals(folder: Path) -> list[Path]:
    return [folder / FILE, *folder.glob(f"[!.]*/{FILE}")]


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  a Path for each run costs more
    except OSError:
        return 0
