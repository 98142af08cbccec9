"""Packages and test files that a change affects: CI runs all of their tests, and of the others those whose turn it is.

A helper at the top of `tests/` (`tests/program.py`, `tests/machine/`, the top `conftest.py`) serves the tests of all
packages, so that a change of it would select everything; therefore it selects nothing. The same holds for changed
requirements. The fast tier, which CI always runs completely, covers both. A module whose docstrings or comments alone
changed selects nothing either. The change is the difference from
``DRILLBOOK_SINCE`` if it is set; on a branch, from the commit where it left main; on main, from the previous commit.
For a push to main, CI sets the variable to the commit before the push.
"""

from __future__ import annotations

import ast
import os
import subprocess
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
SOURCE = PurePosixPath("src/drillbook")
MOST_ROOMS = 3
"""Largest number of changed packages for which all tests of these packages run.

A larger change, usually of names or words, selects only the tests of the changed modules.
"""

FOLLOWED = {
    "tests/repository/test_any_stack_page.py": ("docs/any-stack.md",),
    "tests/repository/test_newcomer.py": ("README.md",),
    "tests/repository/test_site.py": ("docs", "mkdocs.yml"),
    "tests/repository/test_tutorial.py": ("docs/tutorial.md", "README.md"),
    "tests/repository/test_wheel.py": (
        "docs/sandbox.md",
        "pyproject.toml",
        "setup.py",
        "MANIFEST.in",
        "src/drillbook/cli/templates",
        "src/drillbook/systems/postgres/rehearsal",
    ),
}
"""Test files, each with the pages, packaging files and templates that its tests follow."""
PLACES = (
    "src",
    "tests",
    *sorted({place for places in FOLLOWED.values() for place in places if not place.startswith("src/")}),
)


def git(*words: str, folder: Path = ROOT) -> str:
    """Output of a command of Git without the last line break; empty if it failed."""
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def since(folder: Path = ROOT) -> str:
    """Commit to compare the files with; empty if none is known."""
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
    """Files that differ from that commit, including uncommitted ones."""
    base = since(folder)
    if not base:
        return []
    differing = git("diff", "--name-only", "--no-renames", base, "--", *PLACES, folder=folder)
    fresh = git("ls-files", "--others", "--exclude-standard", "--", *PLACES, folder=folder)
    found = [PurePosixPath(line) for line in sorted({*differing.splitlines(), *fresh.splitlines()})]
    return [path for path in found if not words_only(path, base, folder)]


def words_only(path: PurePosixPath, base: str, folder: Path = ROOT) -> bool:
    """Return True when a module below ``src`` differs from the commit ``base`` in docstrings and comments alone."""
    if path.parts[0] != "src" or path.suffix != ".py" or not (folder / path).is_file():
        return False
    before = git("show", f"{base}:{path}", folder=folder)
    return bool(before) and without_words(before) == without_words((folder / path).read_text(encoding="utf-8"))


def without_words(text: str) -> str:
    """Code of a module without its docstrings and comments, also without the docstrings of attributes."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [one for one in body if not is_text(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def is_text(node: ast.AST) -> bool:
    """Return True for a statement that is nothing but a text."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def room_of(path: PurePosixPath) -> str:
    """Package of a module or a test, such as `engine` or `systems/postgres`; `ground` for a module without a package."""
    parts = path.relative_to(SOURCE if path.is_relative_to(SOURCE) else "tests").parts
    if len(parts) == 1:
        return "ground"
    return "/".join(parts[:2]) if parts[0] == "systems" and len(parts) > 2 else parts[0]


def names_of(module: PurePosixPath) -> set[str]:
    """Names that a test of a module may have: the module's own, and those of the packages between it and its top
    package (`actions`).
    """
    inner = module.relative_to(SOURCE).parent.parts[len(PurePosixPath(room_of(module)).parts) :]
    return {*inner, module.parent.name if module.stem == "__init__" else module.stem}


class Change:
    """Top packages with changed modules, each with the names of the tests of these modules."""

    def __init__(self, differing: list[PurePosixPath]) -> None:
        self.differing = tuple(differing)
        modules = [path for path in differing if path.is_relative_to(SOURCE)]
        self.rooms = frozenset(map(room_of, modules))
        self.modules = frozenset((room_of(path), name) for path in modules for name in names_of(path))
        tests = [path for path in differing if path.parts[0] == "tests"]
        self.files = frozenset(map(str, tests))
        self.helped = frozenset(room_of(path) for path in tests if len(path.parts) > 2 and not path.match("test_*.py"))

    def nearness(self, file: str) -> int | None:
        """Return how near the tests in a file are to the change: 0 when the file itself was changed, 1 when it tests a changed
        module, or follows a changed page or template, 2 when it belongs to a changed package, or to a folder with a changed
        helper, and otherwise None.
        """
        path = PurePosixPath(file)
        room, name = room_of(path), path.stem.removeprefix("test_")
        followed = any(changed.is_relative_to(place) for place in FOLLOWED.get(file, ()) for changed in self.differing)
        if file in self.files:
            return 0
        if followed or any(where == room and (name == one or name.startswith(f"{one}_")) for where, one in self.modules):
            return 1
        return 2 if room in self.helped or (room in self.rooms and len(self.rooms) <= MOST_ROOMS) else None

    def holds(self, file: str) -> bool:
        """Return True for a test file of which all tests should run after this change."""
        return self.nearness(file) is not None

    def tests(self, *rooms: str) -> bool:
        """Return True when a test of one of these packages was changed."""
        return any(room_of(PurePosixPath(file)) in rooms for file in self.files)

    def touches(self, *rooms: str) -> bool:
        """Return True when a module of these packages was changed."""
        return not self.rooms.isdisjoint(rooms)


@cache
def change() -> Change:
    """Change of this checkout."""
    return Change(paths())
