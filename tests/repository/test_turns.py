"""Turns of costly tests: each comes within its divisor's number of runs, and all runs take about as long."""

import itertools
import random

import pytest

from tests import budget, changed, tiers, turns
from tests.items import BACKUPS, NAMED, OTHERS, Item, taken

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


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    """Simulate a commit without a change, because the real change would select tests without a turn."""
    monkeypatch.setattr(changed, "change", lambda: changed.Change([]))


def mixed(count: int) -> list[Item]:
    """Tests of many durations in folders of several divisors, as in the real suite: few of them are long."""
    dice = random.Random(count)
    return [
        Item(f"tests/{dice.choice(FOLDERS)}/test_{number % 40}.py::test_it[{number}]", seconds=dice.paretovariate(1.1))
        for number in range(count)
    ]


FOLDERS = ("e2e", "engine", "audit", "cli", "project", "plan")


def test_ci_takes_other_tests_at_each_run():
    every = turns.TURNS["e2e"]
    with pytest.MonkeyPatch.context() as patch:
        seen = [taken(patch, [*NAMED, *OTHERS, *ELSEWHERE], number) for number in range(100, 100 + every)]
        assert seen[7] == taken(patch, [*NAMED, *OTHERS, *ELSEWHERE], 107)
    for now in seen:
        assert len(now & set(NAMED)) in (0, 1), "its part of nine, rounded up, or its turn is at another run"
        assert now >= set(ELSEWHERE)
        assert abs(len(now & set(OTHERS)) - len(OTHERS) / every) <= 2, "its part"
    assert sum(len(now & set(OTHERS)) for now in seen) < len(OTHERS) * (1 + 2 * turns.MARGIN), "few have two turns"
    assert set().union(*seen) >= set(OTHERS), "in so many runs everything had its turn"


def test_in_any_runs_as_many_as_the_divisor_every_test_has_its_turn(monkeypatch):
    tests = mixed(600)
    runs = [taken(monkeypatch, tests, number) for number in range(3 * max(turns.TURNS.values()))]
    for test in tests:
        every = turns.turns_of(turns.file_of(test))
        having = [number for number, now in enumerate(runs) if test in now]
        assert having[0] < every
        waits = {after - before for before, after in itertools.pairwise(having)}
        assert waits in ({every}, {1, every - 1}), "at one run, or at two that follow each other"


def test_all_runs_take_about_as_long(monkeypatch):
    tests = [Item(f"{test.nodeid}", seconds=min(test.seconds, 40)) for test in mixed(1500)]
    sums = [budget.total(list(taken(monkeypatch, tests, number))) for number in range(60)]
    mean = sum(sums) / len(sums)
    assert mean > 150, "several long tests at each run"
    by_digest = [
        sum(
            test.seconds for test in tests if (turns.digest(test.nodeid) + number) % turns.turns_of(turns.file_of(test)) == 0
        )
        for number in range(60)
    ]
    assert max(sums) - min(sums) < 0.5 * (max(by_digest) - min(by_digest))
    assert max(sums) < 1.1 * mean


def test_the_slots_of_a_divisor_differ_by_no_more_than_its_costliest_test(monkeypatch):
    monkeypatch.setattr(turns, "MARGIN", 0.0)
    found = list(turns.groups([Item(test.nodeid, seconds=min(test.seconds, 30)) for test in mixed(1500)]))
    slots = turns.slots(found)
    for every in {group.turns for group in found}:
        line = [group for group in found if group.turns == every]
        sums = [sum(group.seconds for group in line if number in slots[group.name]) for number in range(every)]
        assert max(abs(one - sum(sums) / every) for one in sums) <= max(group.seconds for group in line)


def test_a_new_test_moves_few_others_and_those_by_one_run(monkeypatch):
    monkeypatch.setattr(turns, "MARGIN", 0.0)
    tests = mixed(600)
    before = turns.slots(list(turns.groups(tests)))
    for number in range(20):
        added = Item(f"tests/{FOLDERS[number % 6]}/test_new.py::test_it[{number}]", seconds=3)
        after = turns.slots(list(turns.groups([*tests, added])))
        moved = [abs(max(after[name]) - max(slot)) for name, slot in before.items() if after[name] != slot]
        assert set(moved) <= {1}
        assert len(moved) < len(tests) / 20


def test_no_test_waits_long_while_every_run_has_a_new_test(monkeypatch):
    every = turns.TURNS["e2e"]
    tests = [Item(f"tests/e2e/test_{number % 40}.py::test_it[{number}]", seconds=1 + number % 9) for number in range(400)]
    old = set(tests)
    last = dict.fromkeys(tests, -1)
    for number in range(3 * every):
        slot_s = budget.total(tests) / every
        tests.append(Item(f"tests/e2e/test_new.py::test_it[{number}]", seconds=turns.MARGIN * slot_s * 0.9))
        for test in taken(monkeypatch, tests, number) & old:
            assert number - last[test] <= every + 3
            last[test] = number
    assert all(3 * every - number <= every + 3 for number in last.values())


def test_the_tests_of_a_file_with_servers_of_its_own_have_their_turn_together(monkeypatch):
    every = turns.TURNS["systems"]
    files = [[Item(f"tests/systems/x/test_{file}.py::test_{number}") for number in range(9)] for file in range(40)]
    large = [Item(f"tests/systems/x/test_large.py::test_it[{number}]") for number in range(36)]
    slow = [Item(f"tests/systems/x/test_slow.py::test_{number}", seconds=9) for number in range(9)]
    assert min(budget.total(large), budget.total(slow)) > turns.LARGE_S > budget.total(files[0])
    tests, alone, seen = [test for file in files for test in file], set(), set()
    for number in range(100, 100 + every):
        now = taken(monkeypatch, [*tests, *large, *slow], number)
        assert all(len(now.intersection(file)) in (0, 9) for file in files)
        alone.add((len(now.intersection(large)), len(now.intersection(slow))))
        seen |= now
    assert seen == {*tests, *large, *slow}
    for part, whole in zip(zip(*alone, strict=True), (large, slow), strict=True):
        assert max(part) < len(whole), "a costly file is divided"


def test_what_the_safety_page_names_has_its_turn_at_every_tenth_run(monkeypatch):
    monkeypatch.setattr(turns, "MARGIN", 0.0)
    times = [taken(monkeypatch, NAMED, number) for number in range(60, 60 + turns.NAMED_TURNS * len(NAMED))]
    having = [number % turns.NAMED_TURNS for number, now in enumerate(times) if now]
    assert (len(having), len(set(having))) == (len(NAMED), 1), "at one of ten runs, always the same of them"
    assert set().union(*times) == set(NAMED), "each of its parameters has its turn"


def test_a_file_that_the_safety_page_names_has_its_turn_within_ten_runs(monkeypatch):
    parts = [taken(monkeypatch, WHOLE, number) for number in range(40, 40 + turns.NAMED_TURNS)]
    assert sum(map(len, parts)) == len(WHOLE)
    assert set().union(*parts) == set(WHOLE)


def test_a_part_of_the_backups_of_a_file_has_its_turn_and_all_parts_are_all(monkeypatch):
    together = [Item(f"tests/systems/x/test_artefacts.py::test_{number}") for number in range(2)]
    parts = [taken(monkeypatch, [*BACKUPS, *together], number) for number in range(20, 20 + turns.CORPUS_TURNS)]
    backups = [part.intersection(BACKUPS) for part in parts]
    assert {len(part) for part in backups} == {-(-len(BACKUPS) // turns.CORPUS_TURNS)}
    assert set().union(*backups) == set(BACKUPS)
    assert {len(part.intersection(together)) for part in parts} <= {0, 2}, "the other tests of the file have another turn"


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("tests/e2e/test_hold.py", "e2e"),
        ("tests/systems/postgres/test_actions.py", "systems"),
        ("tests/systems/test_other_user.py", "systems"),
        ("tests/repository/test_newcomer.py", "repository/test_newcomer.py"),
        ("tests/repository/test_layers.py", None),
        ("tests/systems/prometheus/test_alerts.py", "systems/prometheus"),
        ("tests/plan/test_guard.py", "plan"),
        ("tests/judge/test_judge.py", None),
    ],
)
def test_the_nearest_folder_says_how_many_take_turns(file, folder):
    assert (tiers.ROOT / file).is_file()
    assert turns.turns_of(file) == (turns.TURNS[folder] if folder else 1)


def test_each_file_and_folder_that_takes_turns_or_has_a_usual_duration_is_there():
    assert all((tiers.ROOT / "tests" / place).exists() for place in (*turns.TURNS, *budget.SECONDS))
