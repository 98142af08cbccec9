"""How much is tested: the tier `fast` for every save, a sample that differs by commit in CI, and all of it every night.

`pytest -m fast` takes the tests of ``FAST``; `invoke test --all` sets DRILLBOOK_MATRIX=all. What is marked `nightly` runs in
the last one alone; how many tests that leaves out is printed at the end.
"""

from __future__ import annotations

import os
import subprocess
import time
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
FAST = (*(f"test_{name}.py" for name in PURE.split()), *REAL)
"""The fast tier: names of files, whatever folder they are in, or of tests in them."""


def seed() -> str:
    """DRILLBOOK_SEED, or else the commit, so that every change draws others; without one, the day."""
    if given := os.environ.get("DRILLBOOK_SEED"):
        return given
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or time.strftime("%Y-%m-%d", time.gmtime())


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
    """Take out what is marked `nightly`, where not everything is wanted; how many tests these are."""
    left = [] if ALL else [item for item in items if item.get_closest_marker("nightly")]
    if left:
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left)
    return len(left)
