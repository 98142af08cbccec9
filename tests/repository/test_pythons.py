"""The command that tests every supported Python: its pairs, and its message for a version that the machine lacks."""

import subprocess
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
    monkeypatch.setattr(pythons, "carry_out", lambda one, commit, tests: passes)
    monkeypatch.setattr(sys, "argv", ["pythons", "--only", only])
    assert pythons.main() == status
    said = capsys.readouterr().out
    assert f"Python 3.11, oldest dependencies: {'passed' if passes else 'FAILED'}" in said
    assert ("Python 3.99, newest dependencies: NOT TRIED" in said) == ("3.99" in only)


@pytest.mark.parametrize("here", [True, False])
def test_a_newer_version_is_tried_where_the_machine_has_it_and_may_be_absent(monkeypatch, capsys, here):
    monkeypatch.setattr(pythons, "supported", lambda: ["3.11"])
    monkeypatch.setattr(pythons, "find", {"3.11": Path("/p"), "3.14": Path("/q") if here else None}.get)
    monkeypatch.setattr(pythons, "carry_out", lambda one, commit, tests: True)
    monkeypatch.setattr(sys, "argv", ["pythons"])
    assert pythons.main() == 0
    assert ("Python 3.14, oldest dependencies: passed" in capsys.readouterr().out) == here


def git(folder, *argv):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, "-C", folder, *argv], check=True, capture_output=True)


def test_the_commit_is_tried_and_not_the_checkout_that_somebody_edits(monkeypatch, tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    (checkout / "module.py").write_text("committed\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "first")
    commit = pythons.commit_of(checkout)
    (checkout / "module.py").write_text("edited\n")
    (checkout / "new.py").write_text("not added\n")
    git(checkout, "commit", "--quiet", "--all", "-m", "second, made while the tests run")
    monkeypatch.setattr(pythons, "ROOT", checkout)
    clone = pythons.copy(commit, tmp_path)
    assert (clone / "module.py").read_text() == "committed\n"
    assert not (clone / "new.py").exists()
    assert pythons.commit_of(clone) == commit


def test_the_environment_and_the_tests_are_those_of_the_clone(monkeypatch, tmp_path):
    """The interpreter is a program that records its folder and arguments, and creates an environment with itself as
    Python.
    """
    checkout, log = tmp_path / "checkout", tmp_path / "log"
    (checkout / ".ci").mkdir(parents=True)
    (checkout / ".ci" / "lowest.py").write_text("print('pydantic==2.10.0')\n")
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "first")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$PWD: $*" >> {log}\n'
        '[ "$2" != venv ] || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; }\n[ "$2" != pytest ] || exit 5\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(pythons, "ROOT", checkout)
    assert not pythons.carry_out(Try("3.11", python, "oldest"), pythons.commit_of(checkout), ("-m", "fast"))
    made, installed, tried = log.read_text().splitlines()
    clone = made.partition(":")[0]
    assert clone != str(checkout)
    assert made == f"{clone}: -m venv {clone}/.venv"
    assert installed.endswith(f"lowest.txt -e {clone}[lab,dev]")
    assert tried == f"{clone}: -m pytest -p no:cacheprovider -m fast"
