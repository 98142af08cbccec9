"""The duration of a run ends with its own last event, and not with a recovery hours later."""

from __future__ import annotations

import json
from pathlib import Path

from drillbook.cli import overview
from drillbook.events.runs import RecoveryFinished, RecoveryStarted, RunFinished
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunStates
from drillbook.project import newest_runs
from drillbook.report import own_end, publish
from tests.audit import stories
from tests.audit.stories import Book
from tests.judge.story import SAMPLES
from tests.report.test_agreement import plain


def test_lists_show_how_long_the_run_itself_took_and_the_recovery_apart(tmp_path: Path) -> None:
    book = Book(tmp_path)
    run = book.run("2026-05-03T09:00:00").availability(*SAMPLES).fault()
    assert own_end.of(run.folder) == "", "it is not recovered"
    run.resumed("2026-05-05T08:00:00").close()
    book.run("2026-05-06T09:00:00").good().close()
    stories.render_all(book)
    assert own_end.of(run.folder) == "2026-05-03T09:00:10.200000Z"
    assert own_end.of(book.runs[1].folder) == ""
    assert own_end.of(tmp_path) == "", "no journal"
    publish.write_index(book.reports)
    rows = plain((book.reports / "index.html").read_text().split('id="runs"')[1])
    assert "10.2 s" in rows
    assert "recovered 2026-05-05 08:00" in rows
    assert rows.count("recovered 2026") == 1
    states = RunStates()
    states.of(run.folder).forget_events()
    publish.write_index(book.reports, runs=states)
    after_audit = plain((book.reports / "index.html").read_text().split('id="runs"')[1])
    assert after_audit == rows, "an audit, which frees the memory of journals, writes the index again"
    states = RunStates()
    assert overview._took(newest_runs.result(states.of(run.folder), states)) == "10.2 s"


def test_messages_after_the_end_of_a_run_do_not_make_it_longer() -> None:
    kinds = ("run.started", "run.finished", "contact.told", "recovery.started", "recovery.finished")
    lines = [
        json.dumps({"kind": kind, "at": f"2026-05-03T09:00:0{n}Z"}, separators=(",", ":")).encode()
        for n, kind in enumerate(kinds)
    ]
    assert own_end.of_lines(lines) == "2026-05-03T09:00:01Z"
    assert own_end.of_lines([lines[0], *lines[2:]]) == "2026-05-03T09:00:02Z"
    assert own_end.of_lines(lines[:3]) == ""


def test_an_aborted_run_without_its_journal_stays_in_the_index(tmp_path: Path) -> None:
    """So does an aborted suite, which has no journal."""
    book = Book(tmp_path)
    run = book.run("2026-05-03T09:00:00").availability(*SAMPLES).fault()
    run.resumed("2026-05-05T08:00:00").close()
    stories.render_all(book)
    (run.folder / FILE).unlink()
    publish.write_index(book.reports)
    rows = plain((book.reports / "index.html").read_text().split('id="runs"')[1])
    assert "aborted" in rows
    assert "recovered 2026" not in rows


def test_the_kinds_that_are_searched_are_those_of_a_recovery() -> None:
    assert [f'"{event.KIND}"'.encode() for event in (RecoveryStarted, RecoveryFinished, RunFinished)] == [
        own_end.STARTED,
        own_end.FINISHED,
        own_end.END,
    ]


def test_the_index_names_the_service_of_a_run_that_did_not_end(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.run("2026-05-03T09:00:00").good().close()
    book.run("2026-05-04T09:00:00", drill="api-down", text=stories.DOWN).fault().close()
    stories.render_all(book)
    publish.write_index(book.reports)
    page = plain((book.reports / "index.html").read_text()).replace("\N{NO-BREAK SPACE}", " ")
    assert page.count("api in lab") == 2, "of both drills"
