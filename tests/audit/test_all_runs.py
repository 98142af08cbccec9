"""The list of all runs in an audit: the marks of each figure, the figures of rehearsals, and the names of runs."""

from __future__ import annotations

import re

import pytest

from drillbook.audit import html
from drillbook.report.remarks import RESERVED
from tests.audit.test_chain import audited
from tests.audit.test_rehearsal_figures import rehearse
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain


@pytest.fixture
def recorded(book):
    return kept(book, "passed", "failed")


@pytest.fixture
def rows(recorded):
    return pairs(recorded)


def pairs(audit):
    """Return the rows of the table in pairs: a run, and the line with its name."""
    body = html.render(audit).split('id="table-runs"')[1].split("</table>")[0].split("<tbody>")[1]
    lines = re.findall(r"<tr.*?</tr>", body, flags=re.DOTALL)
    return list(zip(lines[::2], lines[1::2], strict=True))


def test_the_name_of_a_run_has_a_line_of_its_own_over_the_whole_row(recorded, rows):
    assert len(rows) == len(recorded.runs)
    for run, (row, name) in zip(recorded.runs, rows, strict=True):
        assert run.folder in plain(name).replace(" ", "")
        assert 'colspan="6"' in name
        assert run.folder not in plain(row).replace(" ", "")


def test_figures_have_the_marks_that_they_have_everywhere(recorded, rows):
    shown = {run.run: row for run, (row, _) in zip(recorded.runs, rows, strict=True)}
    for run in recorded.runs:
        if run.rto_state == "met":
            assert '<span class="state met"><span class="shape" aria-hidden="true">✓</span> met</span>' in shown[run.run]
        if run.rpo_state == RESERVED:
            assert "~</span> met, not proven: " in shown[run.run]
            assert f"{run.rpo_mark}</span>" in shown[run.run].replace("\N{NO-BREAK SPACE}", " ")
        if run.rto.startswith("("):
            assert "?</span> does not count: the " in shown[run.run]
    assert {run.rto_state for run in recorded.runs} >= {"met", "not verified"}


def test_a_rehearsal_shows_its_figures(book):
    rehearse(book)
    audit = audited(book)
    ((row, _),) = pairs(audit)
    (run,) = audit.runs
    assert run.rto.endswith(" to restore (no sampling error); no objective")
    assert " would be lost" in run.rpo
    assert plain(row).count("no objective") == 2
    assert run.rto.split(" to")[0] in plain(row)


def test_a_second_line_of_a_figure_stands_under_the_figure(recorded):
    style = html.render(recorded).split("</style>")[0]
    rule, *_ = re.findall(r"\.goal-line \{([^}]*)\}", style)
    assert "padding-left: 5.2em; text-indent: -5.2em" in rule
    assert ".goal-line abbr { text-decoration: none; display: inline-block; min-width: 5.2em; }" in style
