"""Rooms and files of tests that a change touches: CI runs all tests of these, and of others those whose turn it is.

A helper at the top of `tests/` (`tests/program.py`, `tests/machine/`, the top `conftest.py`) serves tests of all rooms, and holds
none of them: CI would run everything. A change of the requirements touches every room as well; the fast tier, which CI always
runs whole, is for it.

The change is all that differs from ``DRILLBOOK_SINCE`` if it is set, on a branch from the commit where the branch left main,
and on main from the commit before this one. CI sets it for a push to main, to the commit before the push.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
SOURCE = PurePosixPath("src/drillbook")
MOST_ROOMS = 3
"""A change of more rooms is one of names or words: then all tests of the changed modules run instead of those of the rooms."""


def git(*words: str, folder: Path = ROOT) -> str:
    """Output of a command of Git without the last line break; empty if it failed."""
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def since(folder: Path = ROOT) -> str:
    """The commit with which the files are compared; empty where none is known."""
    head = git("rev-parse", "HEAD", folder=folder)
    if given := git(
        "rev-parse", "--verify", "--quiet", f"{os.environ.get('DRILLBOOK_SINCE', '')}^{{commit}}", folder=folder
    ):
        return given
    for main in ("origin/main", "main"):
        base = git("merge-base", "HEAD", main, folder=folder)
        if base and base != head:
            return base
    return git("rev-parse", "--verify", "--quiet", "HEAD~1", folder=folder)


def paths(folder: Path = ROOT) -> list[PurePosixPath]:
    """Files that differ from that commit, also those that are not committed yet."""
    base = since(folder)
    if not base:
        return []
    differing = git("diff", "--name-only", "--no-renames", base, "--", "src", "tests", folder=folder)
    fresh = git("ls-files", "--others", "--exclude-standard", "--", "src", "tests", folder=folder)
    return [PurePosixPath(line) for line in sorted({*differing.splitlines(), *fresh.splitlines()})]


def room_of(path: PurePosixPath) -> str:
    """The package of a module or of a test, `engine` or `systems/postgres`; `ground` for a module without a package."""
    parts = path.relative_to(SOURCE if path.is_relative_to(SOURCE) else "tests").parts
    if len(parts) == 1:
        return "ground"
    return "/".join(parts[:2]) if parts[0] == "systems" and len(parts) > 2 else parts[0]


def names_of(module: PurePosixPath) -> set[str]:
    """Names that a test of a module may have: its own, and those of the packages between it and its room (`actions`)."""
    inner = module.relative_to(SOURCE).parent.parts[len(PurePosixPath(room_of(module)).parts) :]
    return {*inner, module.parent.name if module.stem == "__init__" else module.stem}


class Change:
    """Rooms whose modules differ, and what tells the tests of these modules from others."""

    def __init__(self, differing: list[PurePosixPath]) -> None:
        modules = [path for path in differing if path.is_relative_to(SOURCE)]
        self.rooms = frozenset(map(room_of, modules))
        self.modules = frozenset((room_of(path), name) for path in modules for name in names_of(path))
        tests = [path for path in differing if path.parts[0] == "tests"]
        self.files = frozenset(map(str, tests))
        self.helped = frozenset(room_of(path) for path in tests if len(path.parts) > 2 and not path.match("test_*.py"))

    def holds(self, file: str) -> bool:
        """Return True for a file whose tests all run: it, what it tests, or a helper or data next to it was changed."""
        path = PurePosixPath(file)
        room, name = room_of(path), path.stem.removeprefix("test_")
        if file in self.files or room in self.helped:
            return True
        if len(self.rooms) <= MOST_ROOMS:
            return room in self.rooms
        return any(where == room and (name == one or name.startswith(f"{one}_")) for where, one in self.modules)

    def touches(self, *rooms: str) -> bool:
        """Return True when a module of one of these packages was changed."""
        return not self.rooms.isdisjoint(rooms)


@cache
def change() -> Change:
    """The change of this checkout."""
    return Change(paths())
