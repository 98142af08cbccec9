"""Marks of reservations in the lists of drills and runs, with their meanings below the list."""

import json
from datetime import timedelta

import pytest

from drillbook.cli import due, overview
from drillbook.journal.run_state import RunStates
from drillbook.project import newest_runs, run_index
from drillbook.project.project import Project
from drillbook.report import publish
from tests.cli.test_overview import Shelf
from tests.cli.test_start_up import imported
from tests.report import samples

MEANING = "passed, RPO met but not proven: † the drill itself took the restored backup."


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    made = Shelf(tmp_path)
    made.lab(ago=timedelta(days=1))
    made.drill("postgres-lost", "every: 7d\n")
    return made


def printed(shelf, capsys):
    texts = []
    for show in (overview.drills, overview.runs, lambda project: due.show(project, dry=True)):
        show(Project(shelf.root))
        texts.append(" ".join(capsys.readouterr().out.split()))
    return texts


def passed(shelf):
    """Folder of a run that restored the backup which it took."""
    view = samples.passed()
    folder = Project(shelf.root).reports / view.result.run
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes((samples.JOURNALS / "passed.jsonl").read_bytes())
    publish.write_run(folder, view)
    return folder


def test_the_lists_mark_a_run_whose_rpo_was_met_with_a_reservation(shelf, capsys):
    folder = passed(shelf)
    states = RunStates()
    assert newest_runs.result(states.of(folder), states).marks == "†"
    for text in printed(shelf, capsys):
        assert "passed † " in text or "passed ! † " in text, text
        assert text.count(MEANING) == 1


def test_every_list_shows_open_findings_before_the_marks_of_reservations(shelf, capsys):
    path = passed(shelf) / "result.json"
    result = json.loads(path.read_text())
    result["findings"] = [{"code": "removed-data-missing", "severity": "high", "title": "rows are missing"}]
    path.write_text(json.dumps(result))
    for text in printed(shelf, capsys):
        assert "passed ! † " in text, text


def test_a_list_without_a_mark_explains_none(shelf, capsys):
    shelf.result("postgres-lost", "passed", timedelta(minutes=5))
    for text in printed(shelf, capsys):
        assert "not proven: †" not in text


@pytest.mark.parametrize("own", [True, False])
def test_only_a_run_with_a_reservation_costs_the_import_of_the_remarks(shelf, own):
    path = passed(shelf) / "result.json"
    result = json.loads(path.read_text())
    assert result["objectives"]["rpo"]["met"]
    if not own:
        result["steps"] = [step for step in result["steps"] if not step["id"].startswith("backup.")]
        result["started"] = "2026-11-28T19:30:00Z"
        path.write_text(json.dumps(result))
    run_index.write(Project(shelf.root))  # or the list would write it, and so import the reports
    assert ("drillbook.report.remarks" in imported(shelf.root, "drill.list")) == own
