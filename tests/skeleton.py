"""Remainders of a drill in the `scratch` folder of a host."""

import re
from pathlib import Path

EMPTY = r"drillbook(/runs(/[^/.]+)?)?"
"""The folders that a run removes at its end, when they hold nothing."""


def left_in(scratch):
    """Paths below ``scratch``, without the empty folders that lead to a run's files."""
    return sorted(
        str(path)
        for path in Path(scratch).rglob("*")
        if not (path.is_dir() and re.fullmatch(EMPTY, str(path.relative_to(scratch))))
    )
