"""Tiers: the fast one lists existing tests, and tests that the safety page names never run only at night."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from tests import budget, changed, conftest, tiers
from tests.conftest import dealt, order, seconds

FILES = sorted((tiers.ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("chosen", tiers.FAST)
def test_each_name_of_the_fast_tier_is_one_of_a_test(chosen):
    file, _, name = chosen.partition("::")
    path = tiers.ROOT / "tests" / file
    assert path in FILES
    if name:
        beside = [other.read_text() for other in path.parent.glob("*.py")]
        assert any(f"def {name.rpartition('::')[2]}(" in text for text in beside)


def test_a_test_is_fast_by_its_file_or_by_its_name():
    assert tiers.is_fast("tests/judge/test_judge.py::test_x[a/b::c]")
    assert tiers.is_fast("tests/hosts/test_hosts.py::TestHosts::test_many_at_once[openssh]")
    assert not tiers.is_fast("tests/hosts/test_hosts.py::TestHosts::test_many_at_once_and_more[openssh]")
    assert not tiers.is_fast("tests/audit/test_judge.py::test_x"), "a file of the same name in another folder"
    assert not tiers.is_fast("tests/repository/test_newcomer.py::test_the_first_command_runs_the_quarterly_suite[as-is]")


def test_what_the_safety_page_names_is_left_to_no_night():
    named = set(re.findall(r"`(test_\w+)`", (tiers.ROOT / "docs" / "safety.md").read_text()))
    assert len(named) > 100
    nightly = {
        name
        for path in FILES
        for name in re.findall(r"^@pytest\.mark\.nightly\n(?:@.*\n)*def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }
    assert not named & nightly


class Item:
    """A collected test, as far as the tiers use it."""

    def __init__(self, nodeid, mark=None):
        self.nodeid, self.mark = nodeid, mark
        self.name = nodeid.rpartition("::")[2]

    def get_closest_marker(self, name):
        return name == self.mark or None


NAMED = [Item(f"tests/e2e/test_hold.py::test_recovery_is_complete_and_idempotent[{number}]") for number in range(9)]
OTHERS = [Item(f"tests/e2e/test_x.py::test_nobody_names_me[{number}]") for number in range(2000)]
ELSEWHERE = [
    Item(f"{file}::test_nobody_names_me_either[{number}]")
    for file in (
        "tests/judge/test_judge.py",
        "tests/systems/prometheus/test_alerts.py",
        "tests/systems/linux/test_packetfilter.py",
    )
    for number in range(9)
]
"""Tests in folders without turns, in folders exempted from turns, and fast tests."""
WHOLE = [Item(f"tests/e2e/test_not_run_here.py::test_nobody_names_me[{number}]") for number in range(30)]
"""A test in a file that the page names as a whole."""


BACKUPS = [Item(f"tests/systems/x/test_artefacts.py::test_a_backup[{number}]", "corpus") for number in range(10)]


@pytest.fixture
def unchanged(monkeypatch):
    """Simulate a commit without a change, because the real change would select tests without a turn."""
    monkeypatch.setattr(changed, "change", lambda: changed.Change([]))


def taken(monkeypatch, items, number):
    """Tests that CI selects at a run."""
    monkeypatch.setattr(tiers, "number", lambda: number)
    left = list(tiers.for_others(items))
    assert len(set(left)) == len(left), "each is left out once"
    return set(items) - set(left)


def test_ci_takes_other_tests_at_each_run(monkeypatch, unchanged):
    turns = tiers.TURNS["e2e"]
    seen: list[set[Item]] = []
    for number in range(100, 100 + turns):
        now = taken(monkeypatch, [*NAMED, *OTHERS, *ELSEWHERE], number)
        assert len(now & set(NAMED)) in (0, -(-9 // turns)), "its part of nine, rounded up, or its turn is at another run"
        assert now >= set(ELSEWHERE)
        assert 0.5 < len(now & set(OTHERS)) / (2000 / turns) < 1.6, "about its part"
        assert now == taken(monkeypatch, [*NAMED, *OTHERS, *ELSEWHERE], number)
        seen.append(now & set(OTHERS))
    assert sum(map(len, seen)) == len(OTHERS), "nothing has two turns"
    assert set().union(*seen) == set(OTHERS), "in so many runs everything had its turn"


def test_the_tests_of_a_file_with_servers_of_its_own_have_their_turn_together(monkeypatch, unchanged):
    turns = tiers.TURNS["systems"]
    files = [[Item(f"tests/systems/x/test_{file}.py::test_{number}") for number in range(9)] for file in range(40)]
    large = [Item(f"tests/systems/x/test_large.py::test_it[{number}]") for number in range(36)]
    slow = [Item(f"tests/systems/mariadb/test_slow.py::test_{number}") for number in range(9)]
    assert min(budget.total(large), budget.total(slow)) > tiers.LARGE_S > budget.total(files[0])
    tests, alone, seen = [test for file in files for test in file], set(), set()
    for number in range(100, 100 + turns):
        now = taken(monkeypatch, [*tests, *large, *slow], number)
        assert all(len(now.intersection(file)) in (0, 9) for file in files)
        alone.add((len(now.intersection(large)), len(now.intersection(slow))))
        seen |= now
    assert seen == {*tests, *large, *slow}
    for part, whole in zip(zip(*alone, strict=True), (large, slow), strict=True):
        assert max(part) < len(whole), "a costly file is divided"


def test_what_the_safety_page_names_has_its_turn_at_every_tenth_run(monkeypatch, unchanged):
    times = [taken(monkeypatch, NAMED, number) for number in range(60, 60 + tiers.NAMED_TURNS * len(NAMED))]
    having = [number % tiers.NAMED_TURNS for number, now in enumerate(times) if now]
    assert (len(having), len(set(having))) == (len(NAMED), 1), "at one of ten runs, always the same of them"
    assert set().union(*times) == set(NAMED), "each of its parameters has its turn"


def test_nightly_parameters_use_up_no_turns_of_their_test(monkeypatch, unchanged):
    monkeypatch.setattr(tiers, "ALL", False)
    monkeypatch.setattr(tiers, "CI", True)
    config = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None))
    nightly = [Item(item.nodeid, "nightly") for item in NAMED[1:]]
    for first in range(60, 60 + tiers.NAMED_TURNS * len(NAMED)):
        counts = []
        for number in range(first, first + tiers.NAMED_TURNS):
            monkeypatch.setattr(tiers, "number", lambda number=number: number)
            items = [NAMED[0], *nightly]
            left = tiers.leave_to_the_night(config, items)
            assert left == len(NAMED) - len(items)
            counts.append(len(items))
        assert sorted(counts) == [*[0] * (tiers.NAMED_TURNS - 1), 1], (
            "the one that is not nightly runs at one of any ten runs"
        )


def test_a_file_that_the_safety_page_names_has_its_turn_within_ten_runs(monkeypatch, unchanged):
    parts = [taken(monkeypatch, WHOLE, number) for number in range(40, 40 + tiers.NAMED_TURNS)]
    assert sum(map(len, parts)) == len(WHOLE)
    assert set().union(*parts) == set(WHOLE)


def test_a_third_of_the_backups_of_a_file_has_its_turn_and_three_thirds_are_all(monkeypatch, unchanged):
    thirds = [taken(monkeypatch, BACKUPS, number) for number in range(20, 23)]
    assert {len(third) for third in thirds} == {4}
    assert set().union(*thirds) == set(BACKUPS)


def test_the_fast_tier_is_always_taken_whole(monkeypatch, unchanged):
    fast = [
        Item(f"tests/{name}{'' if '::' in name else '::test_x'}[{mark}]", mark)
        for name in tiers.FAST
        for mark in ("corpus", "")
    ]
    assert all(taken(monkeypatch, [*fast, *OTHERS], number) >= set(fast) for number in range(20))


def test_of_what_was_changed_all_tests_are_taken(monkeypatch):
    others = OTHERS[:50]
    everything = [*NAMED, *others, *BACKUPS]
    touched = [PurePosixPath(path) for path in ("src/drillbook/systems/x/actions.py", "tests/e2e/test_x.py")]
    monkeypatch.setattr(changed, "change", lambda: changed.Change(touched))
    for number in range(5):
        assert taken(monkeypatch, everything, number) >= {*others, *BACKUPS}
        assert not taken(monkeypatch, everything, number) >= set(NAMED)


def test_of_a_change_that_is_too_large_for_a_run_the_nearest_tests_come_first(monkeypatch):
    own = [Item(f"tests/engine/test_own.py::test_{number}") for number in range(90)]
    near = [Item(f"tests/engine/test_leases.py::test_{number}") for number in range(90)]
    far = [Item(f"tests/engine/test_runner_parts.py::test_{number}") for number in range(90)]
    touched = [PurePosixPath(path) for path in ("src/drillbook/engine/leases.py", "tests/engine/test_own.py")]
    monkeypatch.setattr(changed, "change", lambda: changed.Change(touched))
    monkeypatch.setitem(budget.SECONDS, "engine", budget.LIMIT_S / 200)
    seen: set[Item] = set()
    for number in range(90, 90 + budget.MOST_TURNS):
        now = taken(monkeypatch, [*far, *near, *own], number)
        assert now >= {*own, *near}
        assert budget.total(list(now)) <= budget.LIMIT_S
        seen |= now & set(far)
    assert seen == set(far), "each has its turn"
    monkeypatch.setitem(budget.SECONDS, "engine", budget.LIMIT_S / 130)
    assert taken(monkeypatch, [*far, *near, *own], 1) >= set(own)
    assert budget.total(list(taken(monkeypatch, [*far, *near, *own], 1))) <= budget.LIMIT_S


def test_each_test_of_a_large_change_has_its_turn_although_its_folder_takes_turns(monkeypatch):
    items = [Item(f"tests/plan/test_x.py::test_{number}") for number in range(60)]
    monkeypatch.setattr(changed, "change", lambda: changed.Change([PurePosixPath("src/drillbook/plan/y.py")]))
    monkeypatch.setitem(budget.SECONDS, "plan", budget.LIMIT_S / 50)
    seen = [len(taken(monkeypatch, items, number)) for number in range(100, 140)]
    assert min(seen) > 30, "more than those that have their turn anyhow"
    left = list(tiers.without_turn(items))
    assert any(tiers.chosen(item, tiers.TURNS["plan"]) for item in left), "another turn than the one that left them out"
    named = Item("tests/e2e/test_hold.py::test_recovery_is_complete_and_idempotent")
    turns = []
    for number in range(2 * tiers.NAMED_TURNS):
        monkeypatch.setattr(tiers, "number", lambda number=number: number)
        turns += [number] if named in tiers.without_turn([named]) and tiers.chosen(named, tiers.NAMED_TURNS) else []
    assert turns, "also for a test that the safety page names"


def test_changed_test_files_run_although_the_others_use_up_the_time(monkeypatch):
    own = [Item(f"tests/plan/test_x.py::test_{number}") for number in range(60)]
    monkeypatch.setattr(changed, "change", lambda: changed.Change([PurePosixPath("tests/plan/test_x.py")]))
    monkeypatch.setitem(budget.SECONDS, "plan", 5)
    monkeypatch.setitem(budget.SECONDS, "judge", budget.LIMIT_S)
    assert taken(monkeypatch, [*own, Item("tests/judge/test_nobody.py::test_it")], 1) >= set(own)


@pytest.fixture
def numbered(monkeypatch):
    """Output of Git, for runs without a count by the CI service."""
    said = {"rev-parse": "false", "rev-list": "41"}
    monkeypatch.setattr(tiers, "git", lambda *words: said[words[0]])
    monkeypatch.setattr(tiers, "seed", lambda: "abc")
    for variable in ("DRILLBOOK_SEED", *tiers.RUN_NUMBERS):
        monkeypatch.delenv(variable, raising=False)
    return said


LONGEST = 52
"""Number of runs within which every turn must come."""
PERIODS = sorted({*tiers.TURNS.values(), tiers.NAMED_TURNS, tiers.CORPUS_TURNS})


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8, 16])
def test_every_turn_comes_also_where_ci_sees_only_some_of_the_commits(monkeypatch, numbered, step):
    numbers = []
    for count in range(1000, 1000 + 100 * step, step):
        numbered["rev-list"] = str(count)
        numbers.append(tiers.number.__wrapped__())
    for turns in PERIODS:
        for first in range(55):
            assert {number % turns for number in numbers[first : first + LONGEST]} == {*range(turns)}
            if step == 1:
                assert {number % turns for number in numbers[first : first + turns + 1 - (-turns // 14)]} == {*range(turns)}
    whole = list("abcdefghi")
    having = [number for number in numbers if number % tiers.NAMED_TURNS == 0]
    seen = set()
    for number in having:
        monkeypatch.setattr(tiers, "number", lambda number=number: number)
        seen.update(tiers.next_ones(whole, 1, "named", tiers.NAMED_TURNS))
    assert seen == set(whole), "each parameter of a named test has its turn"


@pytest.mark.parametrize("variable", tiers.RUN_NUMBERS)
def test_a_service_that_counts_its_runs_gives_the_number(monkeypatch, numbered, variable):
    numbered["rev-parse"] = "true"
    monkeypatch.setenv(variable, "7")
    assert tiers.number.__wrapped__() == 7
    monkeypatch.setenv("DRILLBOOK_SEED", "abc")
    assert tiers.number.__wrapped__() == tiers.digest("abc")


def test_a_shallow_clone_and_a_given_seed_take_turns_by_a_number_of_their_own(monkeypatch, numbered):
    number = tiers.number.__wrapped__
    assert number() == 39, "two of 41 commits repeated a number"
    numbered["rev-parse"] = "true"
    assert number() == tiers.digest("abc")
    numbered["rev-parse"] = "false"
    monkeypatch.setenv("DRILLBOOK_SEED", "abc")
    assert number() == tiers.digest("abc")


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("tests/e2e/test_hold.py", "e2e"),
        ("tests/systems/postgres/test_actions.py", "systems"),
        ("tests/systems/test_other_user.py", "systems"),
        ("tests/repository/test_newcomer.py", "repository/test_newcomer.py"),
        ("tests/repository/test_habits.py", None),
        ("tests/systems/prometheus/test_alerts.py", "systems/prometheus"),
        ("tests/plan/test_guard.py", "plan"),
        ("tests/judge/test_judge.py", None),
    ],
)
def test_the_nearest_folder_says_how_many_take_turns(file, folder):
    assert (tiers.ROOT / file).is_file()
    assert tiers.turns_of(file) == (tiers.TURNS[folder] if folder else 1)


def test_each_file_and_folder_that_takes_turns_is_there():
    assert all((tiers.ROOT / "tests" / place).exists() for place in tiers.TURNS)


class Marked:
    """A test with a mark; for `long`, the seconds."""

    def __init__(self, folder, seconds=0, mark="long"):
        self.path, self.mark = Path("tests") / folder / "test_it.py", (mark, SimpleNamespace(args=(seconds,)))

    def get_closest_marker(self, name):
        return self.mark[1] if self.mark[0] == name else None


def test_each_worker_begins_with_long_tests_goes_on_with_slow_ones_and_ends_with_fast_ones(monkeypatch):
    monkeypatch.setattr(conftest, "WORKERS", 4)
    items = [Marked("a", mark="fast") for _ in range(63)] + [Marked("b", mark="") for _ in range(36)]
    items += [Marked("c", 50) for _ in range(8)]
    before = list(items)
    order(items)
    assert sorted(map(id, items)) == sorted(map(id, before))
    for worker in range(4):
        # As xdist's scheduler `worksteal` sends them.
        part = [items.pop(0).mark[0] for _ in range(len(items) // (4 - worker))]
        assert part[:11] == ["long"] * 2 + [""] * 9
        assert set(part[11:]) == {"fast"}


def test_workers_take_as_long_as_each_other_and_a_folder_is_dealt_only_where_it_takes_longer(monkeypatch):
    monkeypatch.setattr(conftest, "WORKERS", 4)
    long = [Marked("matrix", 350), Marked("matrix", 350), *(Marked("matrix", 100) for _ in range(3))]
    long += [Marked("docs", 20), Marked("docs", 190), Marked("docs", 130), *(Marked("lab", 12) for _ in range(20))]
    shares = dealt(long)
    assert sorted(map(id, (item for share in shares for item in share))) == sorted(map(id, long))
    durations = [sum(map(seconds, share)) for share in shares]
    assert max(durations) - min(durations) <= 110, durations
    for folder in ("docs", "lab"):
        assert sum(any(item.path.parent.name == folder for item in share) for share in shares) == 1
    assert sorted(seconds(share[0]) for share in shares)[2:] == [350, 350]
    for share in shares:
        assert seconds(share[0]) == max(map(seconds, share)), "its longest test first"
        assert [*dict.fromkeys(folders := [item.path.parent for item in share])] == [name for name, _ in groupby(folders)]
