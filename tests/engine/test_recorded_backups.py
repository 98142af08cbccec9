"""Backups in the journals of a project: each journal is read once."""

from pathlib import Path

from drillbook.engine import recorded_backups
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState
from tests.engine.test_pruning import Bench, bench, place  # noqa: F401  fixtures


def test_each_journal_is_read_once(bench: Bench, monkeypatch):  # noqa: F811
    runs = [bench.passed() for _ in range(3)]
    start, names = Path.open, []

    def counted(path, *how):
        names.append(path)
        return start(path, *how)

    monkeypatch.setattr(Path, "open", counted)
    found = recorded_backups.read(bench.folder.parent / run for run in reversed(runs))
    assert [one.run for one in found.backups.values()] == runs
    assert len(found.proven) == 3
    assert sorted(path.parent.name for path in names if path.name == FILE) == runs


def test_a_journal_that_cannot_be_read_is_damaged(tmp_path):
    (tmp_path / FILE).mkdir()
    assert "cannot be read" in RunState(tmp_path).damage
