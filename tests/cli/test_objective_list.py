"""Objectives of an audit on the screen: at most two lines for each on 80 columns, with state, figure, target and day."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from drillbook.audit import html
from drillbook.audit.objective_states import UncountedFigure
from drillbook.cli import audit as desk
from drillbook.cli.objective_list import Objectives
from tests.audit import stories
from tests.audit.conftest import book
from tests.audit.stories import HOSTS
from tests.audit.test_chain import audited

__all__ = ["book"]


def screen(rows, width=80):
    """Lines of the list of objectives on a terminal, and its legend as one line."""
    out = Console(width=width, file=io.StringIO())
    out.print(Objectives(rows))
    lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    end = lines.index("")
    return lines[:end], " ".join(" ".join(lines[end:]).split())


@pytest.fixture
def rto(book):
    (row,) = [row for row in audited(stories.quiet(book)).proven if row.key == "rto"]
    return replace(row, measured="9.014 s \u00b1 0.1 s", target="5 s")


def test_every_objective_has_its_state_and_only_a_figure_that_counts(rto):
    doubted = replace(rto, proven=False)
    untried = replace(doubted, measured="not proven in the period", at="", run="", newest_verdict="no run")
    figure = UncountedFigure("9.1 s \u2020", "2026-02-01T09:00:00Z", "20260201-run", "the run failed", "not verified")
    shown = [
        rto,
        replace(doubted, reserved=True, mark=" \u2020"),
        replace(doubted, missed=True, measured="at most 9.014 s"),
        doubted,
        replace(doubted, uncounted=figure),
        untried,
    ]
    lines, legend = screen([replace(row, drill=f"drill-{number}") for number, row in enumerate(shown)])
    assert lines == [
        "  drill    objective  figure          target  when",
        "  drill-0  RTO        \u2713 9.014 s       5 s     2026-03-10",
        "  drill-1  RTO        ~ 9.014 s \u2020     5 s     2026-03-10",
        "  drill-2  RTO        \u2717 \u2264 9.014 s     5 s     2026-03-10",
        "  drill-3  RTO        ? not verified  5 s     2026-03-10",
        "      RTO not proven: the run failed before it was measured",
        "  drill-4  RTO        ? (9.1 s \u2020)     5 s     2026-02-01",
        "      RTO not counted: the run failed",
        "  drill-5  RTO        ? none          5 s     -",
        "      RTO not proven: no run in the period",
    ]
    assert legend.startswith(
        "\u2713 met, ~ met with a reservation, \u2717 missed, ? not proven. \u2020 the drill itself took the restored backup. 1 of 6 "
    )


def test_the_reason_is_told_once_for_the_objectives_of_a_drill(rto):
    figure = UncountedFigure("9.1 s", "2026-02-01T09:00:00Z", "run", "the run failed", "not verified")
    doubted = replace(rto, proven=False, uncounted=figure)
    lines, _ = screen([doubted, replace(doubted, key="rpo")])
    assert lines[1].startswith("  sample  RTO  ")
    assert lines[2].startswith("          RPO  ")
    assert lines[3:] == ["      RTO, RPO not counted: the run failed"]


def test_a_known_loss_stands_in_place_of_the_figure_and_tells_for_what_the_objective_is_met(rto):
    row = replace(
        rto,
        key="rpo",
        proven=False,
        reserved=True,
        mark=" \u00a7",
        measured="at least 6 rows lost; 1 s",
        within="met for y only",
    )
    lines, legend = screen([row])
    assert "~ \u2265 6 rows lost \u00a7" in lines[1]
    assert lines[2:] == ["      RPO met for y only"]
    assert "\u00a7 data did not come back." in legend


def test_the_environment_is_named_where_there_are_several(book):
    """On a narrow terminal, neither the drill nor its environment is broken or cut."""
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00", hosts=HOSTS.replace("environment: lab", "environment: pre-production")).good().close()
    lines, _ = screen(audited(book).proven)
    assert [line[:26].rstrip() for line in lines[1:] if line.startswith("  sample")] == [
        "  sample in lab",
        "  sample in pre-production",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_name_has_a_line_of_its_own_and_no_objective_more_than_two(rto, width):
    rows = [replace(rto, drill="a-drill-with-a-very-long-name-of-a-service", environment="lab")]
    rows += [replace(rows[0], key="rpo", environment="pre-production")]
    lines, _ = screen(rows, width)
    if width == 80:
        assert lines[1:] == [
            "  a-drill-with-a-very-long-name-of-a-service in lab",
            "    RTO        \u2713 9.014 s  5 s     2026-03-10",
            "  a-drill-with-a-very-long-name-of-a-service in pre-production",
            "    RPO        \u2713 9.014 s  5 s     2026-03-10",
        ]
    assert len(lines) == (5 if width == 80 else 3)


def test_a_year_fits_80_columns(book, monkeypatch):
    out = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(desk, "console", lambda: out)
    audit = audited(stories.year(book))
    desk._print(audit, Path("out"))
    lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    start = next(number for number, line in enumerate(lines) if line.startswith("  drill "))
    listed = lines[start + 1 : lines.index("", start)]
    assert sum(" RTO " in line or " RPO " in line for line in listed) >= sum(not row.by_probe for row in audit.proven)


def test_the_page_has_the_error_of_the_figure_beside_its_mark(rto, book):
    found = replace(
        audited(book),
        proven=(replace(rto, measured="11.288 s \u00b1 0.039 s", mark=" \u2020", proven=False, reserved=True),),
    )
    assert "11.288\u00a0s\u00a0\u00b1\u00a00.039\u00a0s\u00a0\u2020" in html.render(found)
