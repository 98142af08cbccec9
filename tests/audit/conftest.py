"""Records of runs, and signed and anchored runs, for the tests of the audit."""

from __future__ import annotations

import pytest

from drillbook.cli import audit as desk
from drillbook.project.project import Project
from tests.attestation.test_sign_runs import SAMPLE
from tests.audit.stories import Book
from tests.engine.test_runner import Bench
from tests.needs import need


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Three signed runs, each recorded in the test's own anchor."""
    need("ssh-keygen")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "project").mkdir()
    bench = Bench(tmp_path / "project")
    bench.folders = []
    for _ in range(3):
        bench.run(SAMPLE)
        bench.folders.append(bench.folder)
    return bench


@pytest.fixture
def audit(bench, capsys):
    """Exit status and output of an audit without limits of time."""

    def audit(**how):
        capsys.readouterr()
        status = desk.audit(Project(bench.root), "2000-01-01", "2999-12-31", str(bench.root / "audit"), **how)
        return status, " ".join(capsys.readouterr().out.split())

    return audit
