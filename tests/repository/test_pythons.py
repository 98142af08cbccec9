"""The command that tries every supported Python: its pairs, and what it says of a version that the machine lacks."""

import sys
from pathlib import Path

import pytest
from bench import pythons
from bench.pythons import Try

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_every_version_is_tried_with_the_oldest_and_the_newest_dependencies():
    pairs, absent = pythons.tries(["3.11", "3.14"], {"3.11": Path("/p"), "3.14": None}.get)
    assert pairs == [Try("3.11", Path("/p"), "oldest"), Try("3.11", Path("/p"), "newest")]
    assert absent == ["3.14"]
    assert HERE in pythons.supported()
    assert pythons.find("3.99") is None


@pytest.mark.parametrize(("passes", "only", "status"), [(True, "3.11", 0), (False, "3.11", 1), (True, "3.11,3.99", 1)])
def test_a_version_that_was_not_tried_is_no_pass(monkeypatch, capsys, passes, only, status):
    monkeypatch.setattr(pythons, "find", {"3.11": Path("/p"), "3.99": None}.get)
    monkeypatch.setattr(pythons, "carry_out", lambda one, tests: passes)
    monkeypatch.setattr(sys, "argv", ["pythons", "--only", only])
    assert pythons.main() == status
    said = capsys.readouterr().out
    assert f"Python 3.11, oldest dependencies: {'passed' if passes else 'FAILED'}" in said
    assert ("Python 3.99, newest dependencies: NOT TRIED" in said) == ("3.99" in only)


@pytest.mark.parametrize("here", [True, False])
def test_a_newer_version_is_tried_where_the_machine_has_it_and_may_be_absent(monkeypatch, capsys, here):
    monkeypatch.setattr(pythons, "supported", lambda: ["3.11"])
    monkeypatch.setattr(pythons, "find", {"3.11": Path("/p"), "3.14": Path("/q") if here else None}.get)
    monkeypatch.setattr(pythons, "carry_out", lambda one, tests: True)
    monkeypatch.setattr(sys, "argv", ["pythons"])
    assert pythons.main() == 0
    assert ("Python 3.14, oldest dependencies: passed" in capsys.readouterr().out) == here
