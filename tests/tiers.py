"""Tiers of tests: `fast` for every save, a sample that differs by commit in CI, and all of them every night.

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
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
ALL = os.environ.get("DRILLBOOK_MATRIX") == "all"
CI = os.environ.get("DRILLBOOK_REQUIRE") == "all"
PURE = """
ground            redact values
statistics        line quantiles
language          strict
events            kinds
diagnosis         shipped_trees trees
plan              approval_cases guard planner planner_cases restorable spec
journal           journal journal_cases other_versions
judge             detection faultstate judge judge_stalls judge_views outlook
report            agreement figures html junit markdown timeline
attestation       verifying_cases
engine            backup_gate hold mending record_lost recorded_host revert revert_cases steps steps_cases teardown teardown_cases
reference         results
systems/linux     packetfilter
systems/postgres  timelines
corpus            corpus
repository        layers mirror
"""
"""Folders below tests, and the files in them that start next to nothing."""
REAL = (
    "hosts/test_hosts.py::TestHosts::test_exit_status_and_streams_apart",
    "hosts/test_hosts.py::TestHosts::test_death_by_signal",
    "hosts/test_hosts.py::TestHosts::test_many_at_once",
    "systems/postgres/test_actions.py::test_losing_everything_and_coming_back",
    "systems/postgres/test_actions.py::test_sql_cannot_write_unless_it_says_so",
    "engine/test_runner.py::test_a_fault_is_proven_undone_and_proven_gone",
)
"""Tests that start what they are about: SSH servers, a PostgreSQL, the program."""
TURNS = {
    "e2e": 16,
    "docker": 6,
    "lab": 4,
    "systems": 6,
    "systems/prometheus": 1,
    "engine": 4,
    "attestation": 4,
    "audit": 3,
    "report": 3,
    "trust": 3,
    "plugins": 4,
    "sdk": 3,
    "hosts": 3,
    "systemd": 2,
    "cli": 3,
    "repository/test_any_stack_page.py": 3,
    "repository/test_newcomer.py": 3,
    "repository/test_tutorial.py": 3,
}
"""Files and folders of costly tests of which CI takes one part in so many at each commit, see ``for_others``; the nearest counts."""
NAMED_TURNS = 2
"""The same for tests that docs/safety.md names: CI takes at least every second one of them at each commit."""
CORPUS_TURNS = 3
"""The same for backups of the corpus, which are marked `corpus`: in each file one part in so many of them, rounded up."""
FAST = (
    *(f"{folder}/test_{name}.py" for folder, *names in map(str.split, PURE.strip().splitlines()) for name in names),
    *REAL,
)
"""The fast tier: files below tests, or tests in them."""


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
    """Return True when `-m fast` asks for this tier and nothing else."""
    return str(config.getoption("markexpr")).strip() == "fast"


@cache
def files() -> frozenset[Path]:
    """The files of the fast tier, and the folders above them."""
    found = [ROOT / "tests" / chosen.partition("::")[0] for chosen in FAST]
    return frozenset([*found, *(folder for path in found for folder in path.parents)])


def may_hold(config: pytest.Config, path: Path) -> bool:
    """Return True when a file or folder holds tests for `-m fast`, or all tests are wanted."""
    return not only_fast(config) or path in files()


def is_fast(nodeid: str) -> bool:
    """Return True for a fast test: `tests/x/test_y.py::test_z[1]`, if `x/test_y.py` or `x/test_y.py::test_z` is listed."""
    name = nodeid.partition("[")[0].removeprefix("tests/")
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
    """Tests in ``TURNS`` that CI leaves out at this commit.

    Tests that docs/safety.md names come at every second commit at least, with some of their parameters; other tests have
    their turn one by one, each parameter by itself. Fast tests are always taken. Of the corpus of backups it takes a third.
    """
    page = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    named, files = set(re.findall(r"`(test_\w+)`", page)), set(re.findall(r"`(tests/[\w/]+\.py)`(?!:)", page))
    corpus = {item for item in items if item.get_closest_marker("corpus")}
    yield from _of_corpus([item for item in items if item in corpus])
    tests: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        if item in corpus:
            continue
        function = item.name.partition("[")[0]
        whole = function if function in named else item.name
        tests.setdefault((item.nodeid.partition("::")[0], whole), []).append(item)
    for (file, whole), found in tests.items():
        turns = 1 if file in files or is_fast(found[0].nodeid) else turns_of(file)
        order = sorted(found, key=lambda item: turn_of(item.nodeid))
        if whole in named:
            keep = -(-len(found) // turns) if turn_of(f"{file}::{whole}") % min(turns, NAMED_TURNS) == 0 else 0
        else:
            keep = int(turn_of(found[0].nodeid) % turns == 0)
        yield from order[keep:]


def _of_corpus(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Backups of the corpus that CI leaves out at this commit."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    for found in files.values():
        yield from sorted(found, key=lambda item: turn_of(item.nodeid))[-(-len(found) // CORPUS_TURNS) :]


def turns_of(file: str) -> int:
    """CI takes one part in so many of the tests in ``file`` at each commit."""
    path = PurePosixPath(file).relative_to("tests")
    return next((TURNS[str(place)] for place in (path, *path.parents) if str(place) in TURNS), 1)


def turn_of(nodeid: str) -> int:
    """A number for each test, another one at each commit."""
    return int.from_bytes(hashlib.sha256(f"{seed()}/{nodeid}".encode()).digest()[:8])
