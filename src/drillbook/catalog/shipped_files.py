"""Finds the shipped files. The build of a wheel copies them into the package. In an editable installation, they are in
the checkout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drillbook.errors import UsageError

COPIED = "files"
"""Folder in this package to which `setup.py` copies the top-level folders `drills`, `inventory` and `lab`."""
RULES = "drills/handbook/rules/handbook.rules.yml"
"""Path of the shipped alert rules for the drills of the handbook."""


def root() -> Path:
    """Return the folder that contains the shipped ``drills/``, ``inventory/`` and ``lab/``. Raises UsageError when the
    installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / COPIED, package.parents[2]):
        if (folder / "drills").is_dir() and (folder / "lab" / "Dockerfile").is_file():
            return folder
    raise UsageError(f"the shipped files are missing below {package}", hint="install Drillbook again")


def below(folder: str) -> Iterator[str]:
    """Yield the paths of the files below ``folder`` in alphabetical order. The paths are relative to the folder that ``root``
    returns.
    """
    top = root()
    yield from sorted(path.relative_to(top).as_posix() for path in (top / folder).rglob("*") if path.is_file())


def text(path: str) -> str:
    """Return the content of the shipped file ``path``. The path is relative to ``root``."""
    return (root() / path).read_text(encoding="utf-8")
