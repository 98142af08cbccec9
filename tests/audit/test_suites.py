"""Suites in an audit: they only show that something is missing."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

from drillbook.audit import absences, content, html, markdown, records, suites
from drillbook.audit.alert_causes import alerts
from drillbook.audit.period import Period
from tests.audit.quarterly import SUITE, made, quarterly
from tests.report.test_agreement import plain


def test_a_suite_that_recorded_no_end_stands_with_the_runs_that_did_not_pass(book):
    quarterly(book, ended=False)
    audit = made(book)
    (row,) = audit.absent
    assert (row.kind, row.run, row.drill, row.at[:10]) == ("no end", SUITE, "quarterly", "2026-02-10")
    assert audit.whole
    for page in (html.render(audit), markdown.render(audit)):
        section = plain(re.split(r'id="not-passed">|\n## Runs that did not', page)[1].split("All runs")[0])
        assert SUITE in section
        assert "the suite has no recorded end" in section
        assert "Every run of the period passed" not in section
    assert content.as_data(audit)["absent"][0]["kind"] == "no end"
    assert "the suite quarterly of 2026-02-10 has no recorded end" in [one.text for one in alerts(audit)]


def test_a_suite_that_ended_is_not_among_them(book):
    quarterly(book)
    assert made(book).absent == ()


def test_a_suite_that_ended_before_the_period_is_not_told(book):
    quarterly(book, ended=False)
    found, strays = records.find(book.reports)
    known = suites.find(book.reports, found, strays)
    assert content.make(found, strays, Period.parse("2026-03-01", "2026-12-31"), suites=known).absent == ()


def test_a_missing_run_is_told_with_the_suite_that_names_it(book):
    _, last = quarterly(book)
    shutil.rmtree(last.folder)
    audit = made(book)
    assert [(one.code, one.run, one.lost) for one in audit.problems] == [("suite-run", last.id, True)]
    assert not audit.whole
    (row,) = audit.absent
    assert (row.kind, row.run, row.drill, row.named_by) == ("missing", last.id, "api-down", f"the suite {SUITE}")
    for page in (html.render(audit), markdown.render(audit)):
        words = plain(page)
        assert f"Missing: {last.id} (the suite {SUITE} names it, but the folder of this run is missing)." in words


def test_a_suite_without_an_end_that_was_run_again_needs_nobody(book):
    quarterly(book, ended=False)
    died = suites.Suite(SUITE, False)
    for later, repeated in ((None, ""), (False, ""), (True, "20260211T090000.000Z-quarterly-00bb")):
        others = [] if later is None else [suites.Suite("20260211T090000.000Z-quarterly-00bb", later)]
        other = suites.Suite("20260212T090000.000Z-monthly-00cc", True)
        rows = absences.absences((), [died, *others, other], Period.parse("2026-01-01", "2026-12-31"))
        assert rows[0].repeated == repeated
        told = [alert.text for alert in alerts(replace(made(book), absent=tuple(rows)))]
        assert ("the suite quarterly of 2026-02-10 has no recorded end" in told) is not bool(repeated)
