"""The tiers: the fast one names tests that exist, and what the safety page names is left to no night."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest, tiers
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
    """A test as pytest has collected it, as far as the tiers look."""

    def __init__(self, nodeid):
        self.nodeid = nodeid
        self.name = nodeid.rpartition("::")[2]

    def get_closest_marker(self, name):
        return None


NAMED = [Item(f"tests/e2e/test_hold.py::test_recovery_is_complete_and_idempotent[{number}]") for number in range(9)]
OTHERS = [Item(f"tests/e2e/test_x.py::test_nobody_names_me[{number}]") for number in range(500)]
ELSEWHERE = [
    Item(f"{file}::test_nobody_names_me_either[{number}]")
    for file in (
        "tests/plan/test_guard.py",
        "tests/systems/prometheus/test_alerts.py",
        "tests/e2e/test_not_run_here.py",
        "tests/systems/linux/test_packetfilter.py",
    )
    for number in range(9)
]
"""In no folder that takes turns, in one that is taken out of them, in a file that the page names as a whole, and fast."""


def test_ci_takes_other_tests_at_each_commit(monkeypatch):
    taken, turns = [], tiers.TURNS["e2e"]
    for seed in ("a", "b", "a"):
        monkeypatch.setattr(tiers, "seed", lambda seed=seed: seed)
        left = set(tiers.for_others([*NAMED, *OTHERS, *ELSEWHERE]))
        assert len(set(NAMED) - left) in (0, -(-9 // turns)), (
            "its part of nine, rounded up, or its turn is at another commit"
        )
        assert not left & set(ELSEWHERE)
        assert 0.5 < len(set(OTHERS) - left) / (500 / turns) < 1.6, "about its part of 500"
        taken.append({*NAMED, *OTHERS} - left)
    assert taken[0] == taken[2] != taken[1]


def test_what_the_safety_page_names_has_its_turn_at_about_every_second_commit(monkeypatch):
    times = 0
    for seed in range(200):
        monkeypatch.setattr(tiers, "seed", lambda seed=seed: str(seed))
        times += bool(set(NAMED) - set(tiers.for_others(NAMED)))
    assert 70 < times < 130


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("tests/e2e/test_hold.py", "e2e"),
        ("tests/systems/postgres/test_actions.py", "systems"),
        ("tests/systems/test_other_user.py", "systems"),
        ("tests/repository/test_newcomer.py", "repository/test_newcomer.py"),
        ("tests/repository/test_habits.py", None),
        ("tests/systems/prometheus/test_alerts.py", "systems/prometheus"),
        ("tests/plan/test_guard.py", None),
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
