"""The newest successful step of earlier runs, and the earlier runs to compare a run with."""

from __future__ import annotations

from drillbook.journal.run_state import RunStates
from drillbook.judge import earlier_runs
from drillbook.judge.earlier_runs import last_step, same_drill
from tests.audit.conftest import Book
from tests.audit.stories import DOWN
from tests.audit.test_capacity_section import MIB, sized
from tests.plan.test_planner import HOSTS

ACTION = "capacity.collect"


def test_the_newest_run_that_can_be_read_counts(tmp_path):
    book = Book(tmp_path)
    for day in (1, 2, 3):
        sized(book, day, day * MIB)
    plan, folders = book.runs[0].plan, [run.folder for run in book.runs]
    newest = last_step(folders, plan, ACTION, "backups")
    assert newest is not None
    assert (newest.run, newest.started, newest.facts["bytes"]) == (folders[2].name, "2026-01-03T09:00:00.000000Z", 3 * MIB)
    path = book.runs[2].path
    path.write_bytes(path.read_bytes().replace(b'"items":4', b'"items":5'))
    older = last_step([*folders, tmp_path / "nowhere"], plan, ACTION, "backups")
    assert older is not None
    assert older.run == folders[1].name


def test_another_action_service_or_environment_is_no_earlier_step(tmp_path):
    book = Book(tmp_path)
    sized(book, 1, MIB)
    run = book.runs[0]
    other = run.plan.model_copy(update={"inventory": run.plan.inventory.model_copy(update={"environment": "staging"})})
    assert last_step([run.folder], run.plan, ACTION, "backups") is not None
    assert last_step([run.folder], other, ACTION, "backups") is None
    assert last_step([run.folder], run.plan, ACTION, "database") is None
    assert last_step([run.folder], run.plan, "postgres.compare", "backups") is None


def test_runs_of_the_other_lab_are_not_compared(tmp_path):
    """In older projects, both labs have the environment `lab`."""
    book = Book(tmp_path)
    sized(book, 1, MIB, hosts=f"lab: embedded\n{HOSTS}")
    run = book.runs[0]
    labs = [
        run.plan.model_copy(update={"inventory": run.plan.inventory.model_copy(update={"lab": lab})})
        for lab in ("embedded", "docker", "")
    ]
    assert run.plan.inventory.lab == "embedded"
    assert [len(same_drill([run.folder], plan, RunStates())) for plan in labs] == [1, 0, 1]
    assert [last_step([run.folder], plan, ACTION, "backups") is None for plan in labs] == [False, True, False]
    assert [len(earlier_runs.capacity([run.folder], plan)) > 0 for plan in labs] == [True, False, True]


def test_the_newest_runs_of_the_drill_are_compared(tmp_path, monkeypatch):
    """Runs of other drills, and refused, damaged or unfinished runs, do not count."""
    book = Book(tmp_path)
    for day in (1, 2, 3):
        book.run(f"2026-01-0{day}T09:00:00").good().close()
    book.run("2026-01-04T09:00:00", drill="api-down", text=DOWN).good().close()
    book.run("2026-01-05T09:00:00").refused().close()
    book.run("2026-01-06T09:00:00").fault().close()
    plan, folders = book.runs[0].plan, [run.folder for run in book.runs]
    assert [one["started"][:10] for one in same_drill(folders, plan, RunStates())] == [
        "2026-01-03",
        "2026-01-02",
        "2026-01-01",
    ]
    path, states = book.runs[1].path, RunStates()
    assert states.of(book.runs[1].folder).events
    path.write_bytes(path.read_bytes().replace(b"T09:00:12", b"T09:00:11", 1))
    assert len(same_drill(folders, plan, states)) == 3, "what was read before is not read again"
    assert [one["started"][:10] for one in same_drill(folders, plan, RunStates())] == ["2026-01-03", "2026-01-01"]
    monkeypatch.setattr(earlier_runs, "MOST_COMPARED", 1)
    assert [one["started"][:10] for one in same_drill(folders, plan, RunStates())] == ["2026-01-03"]
    monkeypatch.setattr(earlier_runs, "MOST_BYTES", 10)
    assert same_drill(folders, plan, RunStates()) == []
