"""Each row of the table of controls counts the runs with evidence, and lists the drills without any."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from drillbook.audit import controls, html, markdown
from drillbook.audit.controls import FEW, MOST_DRILLS
from drillbook.audit.records import Record
from tests.audit import stories
from tests.audit.test_chain import audited
from tests.audit.test_rendering import Text
from tests.report import samples
from tests.report.test_agreement import plain


def control(audit, id_):
    return next(one for one in audit.controls if one.id == id_)


@pytest.fixture
def mixed(book):
    """Real runs: one that restored and compared a backup, one whose comparison failed, and some without a backup."""
    for name in ("passed", "failed"):
        folder = book.reports / samples.recorded(name).result.run
        folder.mkdir()
        shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / "journal.jsonl")
    stories.year(book)
    return audited(book)


def test_each_control_counts_the_runs_that_have_its_evidence(mixed):
    runs = {row.run: row.verdict for row in mixed.runs}
    for one in mixed.controls:
        begun = {run for run, verdict in runs.items() if verdict != "refused"}
        assert set(one.runs) | set(one.without) == begun
        assert not set(one.runs) & set(one.without)
        nothing = "Nothing: no run of the period "
        assert one.shows.startswith(f"{len(one.runs)} of {len(begun)} runs " if one.runs else nothing)
        assert not one.runs or one.shows.endswith(" Not counted: 1 run refused."), "a refused run tried nothing"
        assert bool(one.runs and one.without) == one.lacks.startswith("Without this evidence: ")
    assert control(mixed, "A1.2").runs == (samples.passed().result.run,)
    assert "restored content: postgres-lost (1 of 2 runs)." in control(mixed, "A1.2").shows
    assert {runs[run] for run in control(mixed, "CP-10").runs} == {"passed"}
    assert {runs[run] for run in control(mixed, "CP-4").runs} == {"passed", "failed"}
    assert {runs[run] for run in control(mixed, "CP-4").without} == {"aborted", "inconclusive"}
    assert samples.failed().result.run in control(mixed, "A1.3").runs
    assert samples.failed().result.run not in control(mixed, "A.8.13").runs


def test_a_run_with_a_reserved_rpo_is_counted_apart_in_the_rows_of_met_objectives(mixed):
    """The run `passed` restored a backup that it took itself: only its RTO was met without a reservation."""
    for id_ in ("A.5.30", "Art. 12"):
        one = control(mixed, id_)
        assert samples.passed().result.run in one.without
        assert "1 more run met an objective only with a reservation: postgres-lost." in one.shows
    assert samples.passed().result.run in control(mixed, "CP-10").runs


def test_no_run_is_offered_as_a_test_of_redundancy(mixed):
    """A recovered service does not tell if a redundant component took over."""
    one = control(mixed, "A.8.14")
    assert (one.runs, one.shows) == (
        (),
        "Nothing: no run of the period shows that a redundant component took over.",
    )
    assert not one.lacks


def test_both_formats_show_the_counts_and_what_lacks_the_evidence(mixed):
    page = Text()
    page.feed(html.render(mixed))
    words = plain(markdown.render(mixed))
    for one in mixed.controls:
        for text in (one.shows, one.lacks):
            assert text in page.text
            assert text in words


def test_a_period_without_runs_shows_nothing(book):
    assert all(one.shows.startswith("Nothing: no run of the period ") for one in audited(book).controls)


def test_many_drills_are_counted(book):
    for number in range(MOST_DRILLS + FEW + 1):
        name = f"d{number:02}"
        text = stories.DOWN.replace("drill: api-down", f"drill: {name}")
        book.run(f"2026-01-{number + 1:02}T09:00:00", drill=name, text=text).good().close()
    shows = control(audited(book), "CP-10").shows
    assert shows.endswith("d06, d07 and 4 more drills.")
    few = [SimpleNamespace(drill=f"d{number:02}") for number in range(MOST_DRILLS + FEW)]
    assert controls._drills(few).endswith("d08, d09, d10"), "a few more are named"


def test_runs_are_told_apart_by_their_folder(book, monkeypatch):
    """Comparing every run with every other one would take seconds for a year with many runs."""
    stories.year(book)
    monkeypatch.setattr(Record, "__eq__", lambda *_: pytest.fail("the content of two runs was compared"))
    assert control(audited(book), "CP-4").without
