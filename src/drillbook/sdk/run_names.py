"""Names of runs. A run's name contains the time of its start and the name of its drill or suite."""

from __future__ import annotations

import re

RUN_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z-(.+)-[0-9a-f]{4}")
"""Pattern of a run's name: time of the start, name of the drill or suite, and four random hexadecimal digits."""


def drill_of(run: str) -> str:
    """Return the name of the drill or suite in a run's name. The result is empty if ``run`` is no name of a run."""
    match = RUN_ID.fullmatch(run)
    return match[8] if match else ""


def short(run: str) -> str:
    """Return the part of a run's name that selects this run, such as ``table-dropped-3f2a``."""
    return run[run.rindex(drill_of(run) or run) :]
