"""Tests with every supported Python on this machine, with the oldest and the newest allowed dependencies.

`invoke pythons` clones the last commit for each pair, installs the clone into a new environment, and runs the fast
tests there. Edits of the checkout during the run have no effect, and uncommitted edits are not tested. A supported
version that the machine lacks is reported as not tried, and the command exits with 1, because an untried version did
not pass. A newer, undeclared version is tried if the machine has it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPREADS = ("oldest", "newest")
TESTS = ("-m", "fast", "-n", "2", "--dist=worksteal", "-q")
NEWER = ("3.14",)
"""Versions that pyproject.toml does not declare yet: they are tried if the machine has them."""
PYENV = Path.home() / ".pyenv" / "versions"
LIMIT_S = 3600


@dataclass(frozen=True)
class Try:
    """One Python with one choice of dependencies."""

    version: str
    python: Path
    spread: str


def supported() -> list[str]:
    """Versions of Python that pyproject.toml declares, such as 3.12."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())


def find(version: str) -> Path | None:
    """Interpreter of ``version``, from pyenv or the search path; None when the machine has none that works."""
    installed = sorted(PYENV.glob(f"{version}.*/bin/python{version}"))
    on_path = shutil.which(f"python{version}")
    for path in (*installed, *([Path(on_path)] if on_path else [])):
        if subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def tries(versions: Iterable[str], finding: Callable[[str], Path | None]) -> tuple[list[Try], list[str]]:
    """Pairs to try, and the missing versions."""
    found = {version: finding(version) for version in versions}
    pairs = [Try(version, path, spread) for version, path in found.items() if path for spread in SPREADS]
    return pairs, [version for version, path in found.items() if path is None]


def commit_of(checkout: Path) -> str:
    """Hash of the last commit of ``checkout``."""
    done = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def copy(commit: str, folder: Path) -> Path:
    """Clone the checkout into ``folder`` at ``commit``. Return the path of the clone."""
    clone = folder / "drillbook"
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, clone], check=True)
    subprocess.run(["git", "-C", clone, "checkout", "--quiet", "--detach", commit], check=True)
    return clone


def carry_out(one: Try, commit: str, tests: Sequence[str]) -> bool:
    """Install a clone of ``commit`` into a new environment and run the tests in the clone. Return True when they passed."""
    with tempfile.TemporaryDirectory(prefix="drillbook-python-", dir="/var/tmp") as folder:
        clone = copy(commit, Path(folder))
        limits = []
        if one.spread == "oldest":
            lowest = subprocess.run(
                [sys.executable, clone / ".ci" / "lowest.py"], stdout=subprocess.PIPE, text=True, check=True
            )
            constraints = Path(folder, "lowest.txt")
            constraints.write_text(lowest.stdout)
            limits = ["-c", str(constraints)]
        environment = clone / ".venv"
        python = environment / "bin" / "python"
        for argv in (
            [one.python, "-m", "venv", environment],
            [python, "-m", "pip", "install", "-q", "--upgrade", *limits, "-e", f"{clone}[lab,dev]"],
            [python, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        ):
            if subprocess.run(argv, cwd=clone, check=False, timeout=LIMIT_S).returncode:
                return False
    return True


def main() -> int:
    """Try all pairs and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="versions, with commas between them; default: all that pyproject.toml declares")
    parser.add_argument("tests", nargs="*", default=TESTS, help="arguments of pytest; default: the fast tests")
    given = parser.parse_args()
    versions = given.only.split(",") if given.only else supported()
    newer = [] if given.only else [version for version in NEWER if find(version)]
    pairs, absent = tries([*versions, *newer], find)
    commit = commit_of(ROOT)
    lines = {(one.version, one.spread): "passed" if carry_out(one, commit, given.tests) else "FAILED" for one in pairs}
    lines |= {(version, spread): "NOT TRIED: not on this machine" for version in absent for spread in SPREADS}
    print(f"commit {commit}")
    for (version, spread), said in sorted(lines.items()):
        print(f"Python {version}, {spread} dependencies: {said}")
    return 0 if lines and set(lines.values()) == {"passed"} else 1


if __name__ == "__main__":
    sys.exit(main())
