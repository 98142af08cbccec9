"""Tiers of tests: `fast` after every save, a sample that differs by run in CI, and all tests every night.

`pytest -m fast` selects the tests of ``FAST``; `invoke test --all` sets DRILLBOOK_MATRIX=all. Tests marked `nightly`
run only in the last tier; the number of omitted tests is printed at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from tests import budget, changed, turns
from tests.changed import git
from tests.turns import digest, file_of

ROOT = Path(__file__).parents[1]
ALL = os.environ.get("DRILLBOOK_MATRIX") == "all"
CI = os.environ.get("DRILLBOOK_REQUIRE") == "all"
PURE = """
ground            errors redact values
statistics        line quantiles
language          durations explaining indentation strict syntax template
events            content event first_event kinds page
diagnosis         gather ranking run shipped_trees trees
plan              approval_cases guard planner planner_cases restorable spec
plan              broken_entries condition_class drill_files fault_limits plan planned_step recorded_content references
plan              secret_references step_roles step_rules window
journal           intents journal journal_cases json_values line_file manual_undo other_versions own_writes suspension
judge             clocks detection faultstate findings judge judge_views notes objectives outage outlook residue rpo rto
judge             rto_stalls size_points steps verdict verdicts
report            agreement figures html junit labels markdown markdown_syntax timeline
attestation       run_verification_cases
engine            backup_gate locks_and_leases mending record_lost recorded_host revert revert_cases steps steps_cases teardown teardown_cases
engine            expectations host_locks lab_gone parallel preparation provenance step_context unreachable
reference         results
systems/linux     filterdumps packetfilter
systems/postgres  differences dump_judgement fields foreign_keys structure timelines
corpus            corpus
repository        layers mirror
"""
"""Folders below tests, with their fast files, which start almost no programs."""
REAL = (
    "hosts/test_hosts.py::TestHosts::test_exit_status_and_streams_apart",
    "hosts/test_hosts.py::TestHosts::test_death_by_signal",
    "hosts/test_hosts.py::TestHosts::test_many_at_once",
    "systems/postgres/test_actions.py::test_losing_everything_and_coming_back",
    "systems/postgres/test_sql_statement.py::test_sql_cannot_write_unless_it_says_so",
    "engine/test_runner.py::test_a_fault_is_proven_undone_and_proven_gone",
)
"""Fast tests that start a real SSH server, a PostgreSQL, or the program."""
KILLED_ROOMS = ("engine", "journal", "hosts", "sdk")
"""Packages that undo faults: after a change of them, CI kills more controllers, and tries more recoveries."""
RUN_NUMBERS = ("GITHUB_RUN_NUMBER", "CI_PIPELINE_IID")
"""Variables with the number of the CI run on GitHub and GitLab."""
FAST = (
    *(f"{folder}/test_{name}.py" for folder, *names in map(str.split, PURE.strip().splitlines()) for name in names),
    *REAL,
)
"""Entries of the fast tier: files below tests, or tests in them."""


@cache
def seed() -> str:
    """DRILLBOOK_SEED, or otherwise the commit, so that every change draws other samples; without a commit, the day."""
    return (
        os.environ.get("DRILLBOOK_SEED")
        or git("rev-parse", "--short=12", "HEAD")
        or time.strftime("%Y-%m-%d", time.gmtime())
    )


@cache
def number() -> int:
    """Number of this run of CI, which decides whose turn it is.

    If the CI service does not count its runs, the number follows from the position of the commit in its history. For
    a commit with unknown history, and with DRILLBOOK_SEED, it is a fixed number.
    """
    if os.environ.get("DRILLBOOK_SEED"):
        return digest(seed())
    for run in map(os.environ.get, RUN_NUMBERS):
        if run and run.isdecimal():
            return int(run)
    whole = git("rev-parse", "--is-shallow-repository") == "false"
    count = git("rev-list", "--count", "--first-parent", "HEAD") if whole else ""
    return with_repeats(int(count)) if count else digest(seed())


def with_repeats(count: int) -> int:
    """Number that grows with the commits, and stays the same once in about 14 of them.

    If CI only sees every second or fourth commit, the numbers would otherwise stay even, and some tests would never
    have their turn.
    """
    return count - count * 72_822 // 1_000_000


def has_turn(name: str, every: int) -> bool:
    """Return True at one of ``every`` consecutive runs."""
    return (digest(name) + number()) % every == 0


def drawn(names: Sequence[str], count: int, what: str) -> list[str]:
    """Select ``count`` of ``names`` in their order, the next ones at the next run; all names when all tests are
    selected.
    """
    return list(names) if ALL else next_ones(names, count, what)


def next_ones(names: Sequence[str], count: int, what: str, every: int = 1) -> list[str]:
    """Select ``count`` of ``names`` in their order; others at the next run that selects any, which is one of ``every``."""
    order = sorted(names, key=lambda name: digest(f"{what}/{name}"))
    first = number() // every * count
    chosen = {order[(first + place) % len(order)] for place in range(min(count, len(order)))}
    return [name for name in names if name in chosen]


def killing() -> bool:
    """Return True when many kills are worthwhile: after a change of packages that undo faults, or when all tests are
    selected.
    """
    return ALL or changed.change().touches(*KILLED_ROOMS)


def only_fast(config: pytest.Config) -> bool:
    """Return True when `-m fast` selects only this tier."""
    return str(config.getoption("markexpr")).strip() == "fast"


@cache
def files() -> frozenset[Path]:
    """Files of the fast tier, and their parent folders."""
    found = [ROOT / "tests" / chosen.partition("::")[0] for chosen in FAST]
    return frozenset([*found, *(folder for path in found for folder in path.parents)])


def may_hold(config: pytest.Config, path: Path) -> bool:
    """Return True when a file or folder contains tests for `-m fast`, or when all tests are selected."""
    return not only_fast(config) or path in files()


def is_fast(nodeid: str) -> bool:
    """Return True for a fast test: `tests/x/test_y.py::test_z[1]`, if `x/test_y.py` or `x/test_y.py::test_z` is listed."""
    name = nodeid.partition("[")[0].removeprefix("tests/")
    return name in FAST or name.partition("::")[0] in FAST


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests of the fast tier."""
    for item in items:
        if is_fast(item.nodeid):
            item.add_marker("fast")


def leave_to_the_night(config: pytest.Config, items: list[pytest.Item]) -> int:
    """Deselect tests that are `nightly` or have no turn at this run, unless all tests are selected. Return their number."""
    if ALL:
        return 0
    left = {item for item in items if item.get_closest_marker("nightly")}
    # Of tests that failed only their own files are collected, so that their turns would be others.
    if CI and not config.getoption("lf", False):
        # Without nightly tests, which would use up the turns of their file.
        left |= set(for_others([item for item in items if item not in left]))
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]
    return len(left)


def for_others(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that CI omits at this run: those without a turn, except the tests of a change (see ``tests.changed``),
    as far as they fit into the run (see ``tests.budget``).
    """
    change = changed.change()
    without = list(without_turn(items))
    parts: tuple[list[pytest.Item], ...] = ([], [], [])
    left = []
    for item in without:
        nearness = change.nearness(file_of(item))
        (left if nearness is None else parts[nearness]).append(item)
    absent = set(without)
    return left + budget.beyond([item for item in items if item not in absent], parts, chosen)


def chosen(item: pytest.Item, every: int) -> bool:
    """Return True when a test of a change has its turn, if one of so many is taken. In ``turns.BY_FILE``, a file is taken whole.

    The turn is another one than in ``without_turn``, which has left out those tests that would have the same turn.
    """
    file = file_of(item)
    return has_turn(f"change/{file if PurePosixPath(file).parts[1] in turns.BY_FILE else item.nodeid}", every)


def without_turn(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Tests that have no turn at this run, see ``tests.turns``. Fast tests always run."""
    found = list(turns.groups([item for item in items if not is_fast(item.nodeid)]))
    slots = turns.slots(found)
    for group in found:
        if -number() % group.turns not in slots[group.name]:
            yield from group.tests
        else:
            names = [item.nodeid for item in group.tests]
            taken = set(next_ones(names, group.count, group.name, group.turns))
            yield from (item for item in group.tests if item.nodeid not in taken)
