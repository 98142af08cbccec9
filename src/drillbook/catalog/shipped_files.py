"""Finds the shipped files: in the package, where the build copied them, or in the checkout of an editable installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drillbook.errors import UsageError

COPIED = "files"
"""Folder in this package to which `setup.py` copies the top-level folders `drills`, `inventory` and `lab`."""
RULES = "drills/handbook/rules/handbook.rules.yml"
"""Path of the alert rules for the handbook's drills."""


def root() -> Path:
    """Folder that contains the shipped ``drills/``, ``inventory/`` and ``lab/``. Raises UsageError for a damaged installation."""
    package = Path(__file__).resolve().parent
    for folder in (package / COPIED, package.parents[2]):
        if (folder / "drills").is_dir() and (folder / "lab" / "Dockerfile").is_file():
            return folder
    raise UsageError(f"the shipped files are missing below {package}", hint="install Drillbook again")


def below(folder: str) -> Iterator[str]:
    """Paths of the files below ``folder``, relative to ``root``, sorted."""
    top = root()
    yield from sorted(path.relative_to(top).as_posix() for path in (top / folder).rglob("*") if path.is_file())


def text(path: str) -> str:
    """Content of the shipped file at ``path``, relative to ``root``."""
    return (root() / path).read_text(encoding="utf-8")
