"""Files that a drill leaves in the `scratch` folder of a host."""

import re
from pathlib import Path

EMPTY = r"drillbook(/runs(/[^/.]+)?)?"
"""Folders that a run removes at its end when they are empty."""


def left_in(scratch):
    """Paths below ``scratch``, without empty parent folders of a run's files."""
    return sorted(
        str(path)
        for path in Path(scratch).rglob("*")
        if not (path.is_dir() and re.fullmatch(EMPTY, str(path.relative_to(scratch))))
    )
