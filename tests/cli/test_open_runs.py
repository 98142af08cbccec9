"""Runs that still go on, or that need a recovery, in the lists of drills and runs, with the command for each."""

import time
from types import SimpleNamespace

from drillbook.cli import open_runs, overview
from drillbook.journal.journal import Journal
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report import publish
from tests.cli.test_overview import DAY, listed, row_of
from tests.cli.test_overview import shelf as shelf
from tests.judge.story import killed_before_its_restore


def test_an_unfinished_run_and_one_that_left_something_name_their_command(shelf, capsys):
    shelf.lab(ago=DAY)
    dead, left, fine = shelf.open("sample"), shelf.result("sample", "failed", status=5), shelf.result("sample")
    text = listed(shelf, capsys)
    assert f"unfinished: {dead.name}" in text
    assert f"changes not undone: {left.name}" in text
    for run in (dead, left):
        assert f"drillbook drill.recover {run.name}" in text
    assert fine.name not in text
    text = listed(shelf, capsys, overview.runs)
    assert "unfinished" in row_of(text, dead.name)
    assert "failed + residue" in row_of(text, left.name)
    assert "passed" in row_of(text, fine.name)


def test_the_drill_of_an_unfinished_run_comes_first_and_is_not_counted_as_passed(shelf, capsys):
    shelf.lab(ago=9 * DAY)
    for number in range(12):
        shelf.drill(f"other-{number}", "every: 30d\n")
        shelf.result(f"other-{number}")
    shelf.drill("sample", "every: 30d\n")
    shelf.result("sample", ago=2 * DAY)
    dead = shelf.open("sample", ago=DAY)
    lines = listed(shelf, capsys).splitlines()
    assert lines[1].split()[0] == "sample"
    assert " unfinished " in lines[1]
    text = "\n".join(lines)
    assert "not listed: 4 passed and not due;" in text
    assert "last run passed: 12 of 13 drills and suites; 1 unfinished" in text
    assert f"  undo its changes: drillbook drill.recover {dead.name}" in lines


def test_a_run_that_is_going_on_is_no_dead_one(shelf, capsys):
    folder = shelf.open("sample")
    journal = Journal.resume(folder, Redactor([]), origin=time.monotonic())
    try:
        assert f"running: {folder.name}" in listed(shelf, capsys)
        publish.write_index(folder.parent)
        assert "in progress when" in (folder.parent / "index.html").read_text()
    finally:
        journal.close()


def test_a_diagnosis_names_the_host_of_the_data_that_was_changed_from_the_controller(tmp_path, capsys):
    story = killed_before_its_restore(tmp_path)
    plan = story.plan.model_dump(mode="json")
    assert open_runs._places(plan)["inject.1", "controller"] == "db-1"
    assert open_runs._places({}) == {}, "a damaged journal"
    first = {"data": {"plan": plan}}
    state = SimpleNamespace(first_line=first, events=story.events, folder=tmp_path / "20260101T000000.000Z-sample-0000")
    assert open_runs._changed(state).hosts == ("db-1",)
    assert story.judge().places == {"inject.1": "db-1", "verify.1": "db-1"}


def test_the_commands_of_the_newest_runs_come_first_and_are_few(shelf):
    shelf.lab(ago=9 * DAY)
    runs = [shelf.open("sample", ago=ago * DAY).name for ago in (1, 2, 3, 4)]
    commands = open_runs.to_recover(open_runs.dead(Project(shelf.root), RunStates()))
    assert [command for _, command in commands] == [f"drillbook drill.recover {run}" for run in runs[: open_runs.MOST]]
