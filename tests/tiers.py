"""How much is tested: the tier `fast` for every save, a sample that differs by commit in CI, and all of it every night.

`pytest -m fast` takes the tests of ``FAST``; `invoke test --all` sets DRILLBOOK_MATRIX=all. What is marked `nightly` runs in
the last one alone; how many tests that leaves out is printed at the end.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALL = os.environ.get("DRILLBOOK_MATRIX") == "all"
CI = os.environ.get("DRILLBOOK_REQUIRE") == "all"
PURE = """
agreement approval_cases corpus detection ending ending_cases faultstate figures gate guard holding html journal
journal_cases journals kinds judge judge_stalls judge_views junit layers line markdown mending outlook plan plan_cases quantiles record_lost recording
redact restorable results revert revert_cases shipped spec steps steps_cases strict timeline trees values verify_cases
"""
REAL = (
    "test_hosts.py::TestHosts::test_exit_status_and_streams_apart",
    "test_hosts.py::TestHosts::test_death_by_signal",
    "test_hosts.py::TestHosts::test_many_at_once",
    "test_postgres.py::test_losing_everything_and_coming_back",
    "test_postgres.py::test_sql_cannot_write_unless_it_says_so",
    "test_runner.py::test_a_fault_is_proven_undone_and_proven_gone",
)
"""Tests that start what they are about: SSH servers, a PostgreSQL, the program."""
TURNS = {"e2e": 5, "docker": 3, "lab": 2, "actions": 2}
"""Folders of costly tests of which CI takes one part in so many at each commit, see ``for_others``."""
FAST = (*(f"test_{name}.py" for name in PURE.split()), *REAL)
"""The fast tier: names of files, whatever folder they are in, or of tests in them."""


@cache
def seed() -> str:
    """DRILLBOOK_SEED, or else the commit, so that every change draws others; without one, the day."""
    if given := os.environ.get("DRILLBOOK_SEED"):
        return given
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or time.strftime("%Y-%m-%d", time.gmtime())


def drawn(names: Sequence[str], count: int, what: str) -> list[str]:
    """``count`` of ``names`` in their order, other ones for each commit; all of them where everything is wanted."""
    if ALL:
        return list(names)
    chosen = random.Random(f"{seed()}/{what}").sample(sorted(names), min(count, len(names)))
    return [name for name in names if name in chosen]


def only_fast(config: pytest.Config) -> bool:
    """Does `-m fast` ask for this tier and nothing else?"""
    return str(config.getoption("markexpr")).strip() == "fast"


@cache
def files() -> frozenset[Path]:
    """The files of the fast tier, and the folders above them."""
    names = {chosen.partition("::")[0] for chosen in FAST}
    found = [path for path in (ROOT / "tests").rglob("test_*.py") if path.name in names]
    return frozenset([*found, *(folder for path in found for folder in path.parents)])


def may_hold(config: pytest.Config, path: Path) -> bool:
    """Is a file or folder worth reading, or does `-m fast` leave all of it out?"""
    return not only_fast(config) or path in files()


def is_fast(nodeid: str) -> bool:
    """Is it one of the fast tier? `tests/x/test_y.py::test_z[1]` is, where `test_y.py` or `test_y.py::test_z` is."""
    name = nodeid.partition("[")[0].rpartition("/")[2]
    return name in FAST or name.partition("::")[0] in FAST


def mark(items: list[pytest.Item]) -> None:
    """Mark what belongs to the fast tier."""
    for item in items:
        if is_fast(item.nodeid):
            item.add_marker("fast")


def leave_to_the_night(config: pytest.Config, items: list[pytest.Item]) -> int:
    """Take out what is marked `nightly` or drawn for another commit, where not everything is wanted; how many tests these are."""
    if ALL:
        return 0
    left = {item for item in items if item.get_closest_marker("nightly")} | set(for_others(items) if CI else ())
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]
    return len(left)


def for_others(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Tests of the folders ``TURNS`` that CI leaves out at this commit.

    Of a test that docs/safety.md names some parameters stay, one at least; others have their turn one by one. What is fast
    is always taken.
    """
    page = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    named, files = set(re.findall(r"`(test_\w+)`", page)), set(re.findall(r"`(tests/[\w/]+\.py)`(?!:)", page))
    tests: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        function = item.name.partition("[")[0]
        whole = function if function in named else item.name
        tests.setdefault((item.nodeid.partition("::")[0], whole), []).append(item)
    for (file, whole), found in tests.items():
        turns = 1 if file in files or is_fast(found[0].nodeid) else TURNS.get(file.split("/")[1], 1)
        order = sorted(found, key=lambda item: turn_of(item.nodeid))
        keep = -(-len(found) // turns) if whole in named else int(turn_of(found[0].nodeid) % turns == 0)
        yield from order[keep:]


def turn_of(nodeid: str) -> int:
    """A number for each test, another one at each commit."""
    return int.from_bytes(hashlib.sha256(f"{seed()}/{nodeid}".encode()).digest()[:8])
