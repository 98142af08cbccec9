"""Screen of an audit: title first, and one column for the state of every objective."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from drillbook.cli import audit as desk
from tests.audit import stories
from tests.audit.test_chain import audited


def rows(found):
    """Cells of the table of objectives, without spaces."""
    return [[str(cell).strip() for cell in column.cells] for column in desk._proven(found).columns]


def test_every_objective_has_its_state_in_one_column_and_only_a_figure_that_counts(book):
    audit = audited(stories.quiet(book))
    (rto,) = [row for row in audit.proven if row.key == "rto"]
    doubted = replace(rto, proven=False, measured="9.014 s")
    untried = replace(doubted, measured="not proven in the period", at="", run="")
    missed = replace(doubted, missed=True)
    reserved = replace(doubted, reserved=True, mark=" \u2020")
    found = replace(audit, proven=(rto, reserved, missed, doubted, untried))
    _, _, _, figures, states, days = rows(found)
    assert figures == [rto.measured, "9.014 s \u2020", "9.014 s", "not verified", "none"]
    assert states == ["\u2713 met", "~ reserved", "\u2717 missed", "? not proven", "? not proven"]
    assert days == ["2026-03-10"] * 4 + ["-"]


def test_the_title_stands_first_and_the_state_of_the_record_last(book, capsys):
    desk._print(audited(stories.quiet(book)), Path("out"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Recovery drills from 2026-01-01 to 2026-12-31"
    assert lines[-1].startswith("The record is complete")
