"""Marks in the lists of drills and runs: of reservations, and of rehearsals of no routine backup. Their meanings stand below the list."""

import json
from datetime import datetime, timedelta

import pytest

from drillbook.cli import due, overview
from drillbook.journal.run_state import RunStates
from drillbook.plan.schedule import State
from drillbook.project import due as due_rows
from drillbook.project import newest_runs, run_index
from drillbook.project.project import Project
from drillbook.report import publish
from tests.cli.test_overview import Shelf
from tests.cli.test_start_up import imported
from tests.report import samples
from tests.report.rehearsed import view as rehearsed
from tests.report.test_backup_origin import during

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


def passed(shelf, view=None):
    """Folder of a run, by default of one that restored the backup which it took."""
    view = view or samples.passed()
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


NO_ROUTINE = (
    "‖ passed, but restored a backup taken by a drill or during one: proves no routine backup. "
    "Repeat the drill after the next routine backup."
)


def test_the_lists_mark_a_rehearsal_of_a_backup_that_was_taken_while_a_drill_ran(shelf, capsys):
    passed(shelf, during())
    for text in printed(shelf, capsys):
        assert "passed ‖ " in text, text
        assert text.count(NO_ROUTINE) == 1
        assert "RPO met but not proven" not in text, "a rehearsal has no RPO"
    for show, last in (
        (overview.drills, lambda data: next(each["last"] for each in data["drills"] if each["last"])["marks"]),
        (overview.runs, lambda data: data[0]["marks"]),
        (lambda project, as_json: due.show(project, dry=True, as_json=as_json), lambda data: data["rows"][0]["last_marks"]),
    ):
        show(Project(shelf.root), as_json=True)
        assert last(json.loads(capsys.readouterr().out)) == "‖"


def test_the_mark_of_a_rehearsal_leaves_its_schedule_kept(shelf):
    passed(shelf, during())
    shortly_after = datetime.fromisoformat(during().result.started) + timedelta(hours=1)
    (row,) = [row for row in due_rows.read(Project(shelf.root), shortly_after).rows if row.drill == "postgres-lost"]
    assert (row.state, row.last_marks) == (State.OK, "‖")


@pytest.mark.parametrize("change", [{"verdict": "failed"}, {"faults": ["inject.1"]}])
def test_only_a_rehearsal_that_passed_is_marked(shelf, change):
    path = passed(shelf, during()) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    states = RunStates()
    assert newest_runs.result(states.of(path.parent), states).marks == ""


def test_a_rehearsal_of_a_routine_backup_has_no_mark(shelf, capsys):
    passed(shelf, rehearsed())
    for text in printed(shelf, capsys):
        assert "passed " in text
        assert "‖" not in text
