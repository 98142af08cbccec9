"""Screen of an audit: title first, and one column for the state of every objective."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from drillbook.audit.proven import UncountedFigure
from drillbook.cli import audit as desk
from tests.audit import stories
from tests.audit.stories import HOSTS
from tests.audit.test_chain import audited


def rows(found):
    """Cells of the table of objectives, without spaces."""
    return [[str(cell).strip() for cell in column.cells] for column in desk._proven(found).columns]


def test_every_objective_has_its_state_in_one_column_and_only_a_figure_that_counts(book):
    audit = audited(stories.quiet(book))
    (rto,) = [row for row in audit.proven if row.key == "rto"]
    doubted = replace(rto, proven=False, measured="9.014 s")
    untried = replace(doubted, measured="not proven in the period", at="", run="")
    figure = UncountedFigure("9.1 s \u2020", "2026-02-01T09:00:00Z", "20260201-run", "the run failed", "not verified")
    uncounted = replace(doubted, uncounted=figure)
    missed = replace(doubted, missed=True)
    reserved = replace(doubted, reserved=True, mark=" \u2020")
    found = replace(audit, proven=(rto, reserved, missed, doubted, uncounted, untried))
    _, _, _, figures, states, days = rows(found)
    assert figures == [rto.measured, "9.014 s \u2020", "9.014 s", "not verified", "(9.1 s \u2020)", "none"]
    assert states == ["\u2713 met", "~ reserved", "\u2717 missed", "? not proven", "? not proven", "? not proven"]
    assert days == ["2026-03-10"] * 4 + ["2026-02-01", "-"]
    assert desk._uncounted(found) == ["sample, RTO: the run failed. 20260201-run"]


def test_the_environment_is_a_column_where_there_are_several(book):
    """On a narrow terminal, neither the drill nor its environment is broken or cut."""
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00", hosts=HOSTS.replace("environment: lab", "environment: pre-production")).good().close()
    table = desk._proven(audited(book))
    assert [column.header for column in table.columns][:3] == ["drill", "environment", "objective"]
    assert sorted(set(rows(audited(book))[1])) == ["lab", "pre-production"]
    out = Console(width=80, file=io.StringIO())
    out.print(table)
    assert out.file.getvalue().count("pre-production") == 3
    assert max(map(len, out.file.getvalue().splitlines())) <= 80


def test_the_title_stands_first_and_the_state_of_the_record_last(book, capsys):
    desk._print(audited(stories.quiet(book)), Path("out"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Recovery drills from 2026-01-01 to 2026-12-31"
    assert lines[-1].startswith("The record is complete")
