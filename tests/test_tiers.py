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
    nightly = {name for path in FILES for name in re.findall(
        r"^@pytest\.mark\.nightly\n(?:@.*\n)*def (test_\w+)\(", path.read_text(), re.MULTILINE)}
    assert not named & nightly
