"""Tiers: the fast one lists existing tests, and tests that the safety page names never run only at night."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from tests import budget, changed, conftest, tiers, turns
from tests.conftest import dealt, order, seconds
from tests.items import BACKUPS, NAMED, OTHERS, Item, taken

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


@pytest.fixture
def unchanged(monkeypatch):
    """Simulate a commit without a change, because the real change would select tests without a turn."""
    monkeypatch.setattr(changed, "change", lambda: changed.Change([]))


def config(**options):
    """Settings of a run of pytest with these options."""
    return SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None), getoption=options.get)


def test_nightly_parameters_use_up_no_turns_of_their_test(monkeypatch, unchanged):
    monkeypatch.setattr(turns, "MARGIN", 0.0)
    monkeypatch.setattr(tiers, "ALL", False)
    monkeypatch.setattr(tiers, "CI", True)
    nightly = [Item(item.nodeid, "nightly") for item in NAMED[1:]]
    for first in range(60, 60 + turns.NAMED_TURNS * len(NAMED)):
        counts = []
        for number in range(first, first + turns.NAMED_TURNS):
            monkeypatch.setattr(tiers, "number", lambda number=number: number)
            items = [NAMED[0], *nightly]
            left = tiers.leave_to_the_night(config(), items)
            assert left == len(NAMED) - len(items)
            counts.append(len(items))
        assert sorted(counts) == [*[0] * (turns.NAMED_TURNS - 1), 1], (
            "the one that is not nightly runs at one of any ten runs"
        )


def test_what_failed_is_repeated_although_the_turns_of_a_few_files_are_others(monkeypatch, unchanged):
    monkeypatch.setattr(tiers, "ALL", False)
    monkeypatch.setattr(tiers, "CI", True)
    nightly = Item("tests/e2e/test_x.py::test_at_night", "nightly")
    for options, number in (({"lf": True}, 1), ({"lf": False}, len(OTHERS) - len(taken(monkeypatch, OTHERS, 7)) + 1)):
        items = [*OTHERS, nightly]
        assert tiers.leave_to_the_night(config(**options), items) == number
        assert nightly not in items


def test_a_run_that_is_too_long_says_so(monkeypatch):
    assert budget.told(2100.4).endswith(": 2100 s in all, of at most 2400 s")
    assert "; raise divisors in tests/turns.py" in budget.told(budget.LIMIT_S + budget.OWN_S + 1)


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
    assert any(tiers.chosen(item, turns.TURNS["plan"]) for item in left), "another turn than the one that left them out"
    having = 0
    for number in range(turns.NAMED_TURNS):
        monkeypatch.setattr(tiers, "number", lambda number=number: number)
        having += sum(tiers.chosen(item, turns.NAMED_TURNS) for item in tiers.without_turn(NAMED))
    assert having, "also for a test that the safety page names"


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


LONGEST = 55
"""Number of runs within which every turn must come."""
PERIODS = sorted({*turns.TURNS.values(), turns.NAMED_TURNS, turns.CORPUS_TURNS})


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8, 16])
def test_every_turn_comes_also_where_ci_sees_only_some_of_the_commits(monkeypatch, numbered, step):
    numbers = []
    for count in range(1000, 1000 + 110 * step, step):
        numbered["rev-list"] = str(count)
        numbers.append(tiers.number.__wrapped__())
    for every in PERIODS:
        for first in range(55):
            assert {number % every for number in numbers[first : first + LONGEST]} == {*range(every)}
            if step == 1:
                assert {number % every for number in numbers[first : first + every + 1 - (-every // 14)]} == {*range(every)}
    whole = list("abcdefghi")
    having = [number for number in numbers if number % turns.NAMED_TURNS == 0]
    seen = set()
    for number in having:
        monkeypatch.setattr(tiers, "number", lambda number=number: number)
        seen.update(tiers.next_ones(whole, 1, "named", turns.NAMED_TURNS))
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
