"""Finds the files of drills and suites. The files are not opened, so that tasks which list drills stay fast."""

from __future__ import annotations

import re
from pathlib import Path

from drillbook.diagnosis import FOLDER
from drillbook.errors import SpecError

NOT_DRILLS = frozenset({FOLDER})
"""Folders in ``drills/`` that are not searched for drills."""


def names_in(folder: Path) -> dict[str, Path]:
    """Find the drills and suites below ``folder``. Return the path of each, with its name as the key. The files are not
    opened.

    Raises SpecError when two files have the same name.
    """
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.yml")):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", path.stem) or path.relative_to(folder).parts[0] in NOT_DRILLS:
            continue
        if path.stem in paths:
            raise SpecError(
                f"two drills are named {path.stem!r}: {paths[path.stem]} and {path}",
                hint="rename one of them: change the name of its file and the name in its first key, `drill` or `suite`",
            )
        paths[path.stem] = path
    return dict(sorted(paths.items()))
