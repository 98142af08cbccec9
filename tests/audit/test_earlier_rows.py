"""Rows that earlier runs of a drill lost stay an alert, until a later run passed twice: the rule of the lists of runs."""

from __future__ import annotations

import pytest

from drillbook.audit import content, html, markdown, summary
from drillbook.audit.alert import AT_ONCE
from drillbook.audit.alert_causes import alerts
from tests.audit.stories import ACKS, DOWN, DRILL, SAMPLES
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain

ROWS = "rows of t in db"


def died_with_loss(book, minute, restored=2):
    """A run whose controller died before its restore, and whose recovery did not bring back all rows."""
    run = book.run(f"2026-02-10T09:{minute:02}:00").availability(*SAMPLES).canary(ACKS, [[1, 400]])
    run.add(9.9, "phase.started", phase="inject")
    undo = {"kind": "restore", "commands": [], "action": "", "params": {}, "why": "only a restore brings it back"}
    run.step(10.0, 10.2, "inject.1", "app-1", effect="fault", undo=undo, removed_data={ROWS: 20})
    run.add(10.2, "phase.ended", phase="inject", status="done").add(11.0, "phase.started", phase="restore")
    run.resumed(f"2026-02-10T09:{minute + 1:02}:00")
    run.add(3.0, "recovery.started", operator="bob@ops", tool="drillbook 0")
    run.step(4.0, 5.0, "restore.1", "app-1", effect="write", restored_data={ROWS: restored})
    return run.add(6.0, "recovery.finished", residue=[]).close()


def of_sample(audit):
    return [alert for alert in alerts(audit) if " earlier run" in alert.text]


def test_rows_of_earlier_runs_are_an_alert_beside_a_later_passed_run(book):
    died_with_loss(book, 1, restored=2)
    newest = died_with_loss(book, 11, restored=13)
    book.run("2026-02-10T10:00:00", text=DRILL).good().close()
    audit = audited(book)
    (alert,) = of_sample(audit)
    assert alert.text == ("sample in lab lost data in 2 earlier runs: at least 7 rows lost, at least 18 rows lost")
    assert (alert.when, alert.run, alert.lost) == (AT_ONCE, newest.id, ("in 2 earlier runs",))
    assert alert.step.startswith("enter the missing data again")
    for page in (html.render(audit), markdown.render(audit).replace("\\", ""), summary.render(audit)):
        assert "lost data in 2 earlier runs" in plain(page)
        assert "nothing is left to undo" not in plain(page) or "left to undo, but at least 7 rows lost" in plain(page)
    assert content.as_data(audit)["runs"][0]["lost"] == "at least 18 rows lost"


def test_they_are_told_beside_the_loss_of_the_newest_run(book):
    died_with_loss(book, 1)
    book.run("2026-02-10T10:00:00", drill="sample", text=DRILL).lossy().close()
    page = plain(summary.render(audited(book)))
    told = page.partition("Needs attention")[2].partition("When:")[0]
    assert ": 15 rows not in the backup; lost data in 1 earlier run" in told


@pytest.mark.parametrize("passed", [0, 2])
def test_a_loss_that_the_newest_run_tells_and_one_before_two_passed_runs_are_none(book, passed):
    died_with_loss(book, 1)
    for minute in range(passed):
        book.run(f"2026-02-10T10:{minute:02}:00", text=DRILL).good().close()
    assert of_sample(audited(book)) == []


def test_a_recovery_without_a_loss_left_nothing(book):
    died_with_loss(book, 1, restored=20)
    book.run("2026-02-10T10:00:00", drill="api-down", text=DOWN).good().close()
    page = plain(html.render(audited(book)))
    assert "nothing is left to undo" in page
    assert "left to undo, but" not in page
