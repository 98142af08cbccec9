"""The newest successful step of earlier runs, and the earlier runs to compare a run with."""

from __future__ import annotations

from datetime import UTC, datetime

from drillbook.journal.run_state import RunStates
from drillbook.judge import earlier_runs
from drillbook.judge.earlier_runs import last_step, same_drill
from tests.audit.conftest import Book
from tests.audit.stories import DOWN, REHEARSE, SITE, render_all
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


TAKES = """\
drill: site-lost
title: The site is saved and lost
service: site
objectives: {}
guard: {environments: [lab]}
backup:
  - command.run: {argv: ["save", "it"], effect: write}
    hosts: app-1
verify:
  - command.run: {argv: ["true"], effect: read}
    hosts: app-1
"""


def test_the_drill_that_took_backups_at_a_time_is_found(tmp_path):
    """Only a drill of the same service and environment counts, and only if it does more than read."""
    book = Book(tmp_path)
    for hour, text in enumerate(
        (TAKES, TAKES.replace("effect: write", "effect: read"), TAKES.replace("service: site", "service: copy"))
    ):
        run = book.run(f"2026-03-10T0{hour}:00:00", drill="site-lost", text=text, hosts=SITE)
        run.phase(0.0, 9.0, "backup").phase(9.0, 10.0, "verify").end().close()
    book.run("2026-03-10T03:00:00", drill="site-lost", text=TAKES, hosts=SITE).phase(0.0, 9.0, "backup").close()
    rehearsal = book.run("2026-03-10T09:00:00", drill="rehearse", text=REHEARSE, hosts=SITE).rehearsal().close()
    render_all(book)
    (book.runs[3].folder / "result.json").unlink()  # its controller died
    folders = [run.folder for run in book.runs]

    def drill(hour, second=5, plan=rehearsal.plan):
        return earlier_runs.drill_at(folders, plan, datetime(2026, 3, 10, hour, 0, second, tzinfo=UTC))

    assert drill(0) == "site-lost"
    assert [drill(hour) for hour in (1, 2, 3)] == ["", "", ""]
    assert drill(0, 59) == ""
    assert earlier_runs.drill_at(folders, rehearsal.plan, datetime(2026, 3, 9, tzinfo=UTC)) == ""
    staging = rehearsal.plan.inventory.model_copy(update={"environment": "staging"})
    assert drill(0, plan=rehearsal.plan.model_copy(update={"inventory": staging})) == ""
    book.runs[0].path.write_bytes(b"")
    assert drill(0) == "", "an unreadable record stops no drill"
