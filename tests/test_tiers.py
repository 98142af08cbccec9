"""The tiers: the fast one names tests that exist, and what the safety page names is left to no night."""

from __future__ import annotations

import re

import pytest

from tests import tiers

FILES = sorted((tiers.ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("chosen", tiers.FAST)
def test_each_name_of_the_fast_tier_is_one_of_a_test(chosen):
    file, _, name = chosen.partition("::")
    (path,) = (path for path in FILES if path.name == file)
    if name:
        beside = [other.read_text() for other in path.parent.glob("*.py")]
        assert any(f"def {name.rpartition('::')[2]}(" in text for text in beside)


def test_a_test_is_fast_by_its_file_or_by_its_name():
    assert tiers.is_fast("tests/judge/test_judge.py::test_x[a/b::c]")
    assert tiers.is_fast("tests/hosts/test_hosts.py::TestHosts::test_many_at_once[openssh]")
    assert not tiers.is_fast("tests/hosts/test_hosts.py::TestHosts::test_many_at_once_and_more[openssh]")
    assert not tiers.is_fast("tests/test_newcomer.py::test_the_first_command_runs_the_quarterly_suite[as-is]")


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
    for file in ("tests/test_judge.py", "tests/e2e/test_not_run_here.py", "tests/e2e/test_plan.py")
    for number in range(9)
]
"""One in no folder that takes turns, one in a file that the page names as a whole, one that is fast."""


def test_ci_takes_other_tests_at_each_commit_and_always_what_the_safety_page_names(monkeypatch):
    taken = []
    for seed in ("a", "b", "a"):
        monkeypatch.setattr(tiers, "seed", lambda seed=seed: seed)
        left = set(tiers.for_others([*NAMED, *OTHERS, *ELSEWHERE]))
        assert len(set(NAMED) - left) == 2, "a fifth of nine"
        assert not left & set(ELSEWHERE)
        assert 60 < len(set(OTHERS) - left) < 140, "a fifth of 500"
        taken.append({*NAMED, *OTHERS} - left)
    assert taken[0] == taken[2] != taken[1]
