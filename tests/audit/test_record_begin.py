"""Months before the record began: they are no gaps, and nothing is on record from them."""

from __future__ import annotations

import shutil
from datetime import date

import pytest

from drillbook.audit import content, gaps, html, markdown, record_begin, records, summary
from drillbook.audit.alert import Topic
from drillbook.audit.alert_causes import alerts
from drillbook.audit.period import Period
from drillbook.project import schedule_record
from drillbook.project.schedule_record import MISSED, Entry
from tests.judge.story import DRILL
from tests.report.test_agreement import plain

SAID = "Nothing is on record before 2026-04-10: months without a run are counted from this day."


def young(book):
    """A project that began in April: two runs a month apart."""
    book.run("2026-04-10T09:00:00", text=DRILL).good().close()
    book.run("2026-05-10T09:00:00", text=DRILL).good().close()
    return book


def audited(book, since="2026-01-01", until="2026-05-31"):
    found, strays = records.find(book.reports)
    kept = schedule_record.read(book.reports)
    return content.make(found, strays, Period.parse(since, until), today=date(2026, 7, 1), scheduled=kept)


def row(audit):
    (drilled,) = [row for row in audit.coverage if row.runs]
    return drilled


def test_a_young_project_has_no_gap_before_its_first_run(book):
    audit = audited(young(book))
    assert row(audit).gaps == ()
    assert [cell.last for cell in row(audit).cells] == [record_begin.NO_RECORD] * 3 + ["passed"] * 2
    assert [alert for alert in alerts(audit) if alert.topic is Topic.GAPS] == []
    assert (audit.counted_from, content.as_data(audit)["counted_from"]) == (date(2026, 4, 10), "2026-04-10")
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert SAID in plain(page).replace("\\", "")
    assert "nothing is on record from this time" in plain(html.render(audit)), "the key explains the word"
    later = audited(book, until="2026-07-31")
    assert row(later).gaps == ("2026-06", "2026-07"), "after the first run, each month counts"
    assert gaps.months(later, row(later)) == "2026-06, 2026-07 (to 2026-07-01)"
    many = audited(book, until="2026-12-31")
    assert row(many).gaps == ("2026-06", "2026-07")


def test_the_number_of_months_is_that_since_the_record_began(book):
    for day in ("2026-04-10", "2026-09-10"):
        book.run(f"{day}T09:00:00", text=DRILL).good().close()
    found, strays = records.find(book.reports)
    audit = content.make(found, strays, Period.parse("2026-01-01", "2026-12-31"), today=date(2026, 12, 31))
    assert gaps.months(audit, row(audit)) == "7 of 9 months"


def test_a_service_without_a_run_was_never_drilled_since_the_record_began(book):
    audit = audited(young(book))
    texts = [alert.text for alert in alerts(audit) if alert.topic is Topic.NEVER_DRILLED]
    assert texts
    assert all("never drilled from 2026-04-10 to 2026-05-31" in text for text in texts)


def test_a_period_before_the_record_says_that_nothing_is_on_record(book):
    audit = audited(young(book), until="2026-03-31")
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert SAID in plain(page).replace("\\", "")
    assert "nothing was proven" in audit.sentence
    assert "No service is known, so nothing is proven." in plain(summary.render(audit))


def test_a_period_that_the_record_covers_says_nothing_of_its_beginning(book):
    audit = audited(young(book), since="2026-04-10")
    assert audit.counted_from is None
    assert "Nothing is on record before" not in plain(html.render(audit))


def test_an_earlier_line_about_schedules_begins_the_record(book):
    schedule_record.append(young(book).reports, Entry("2026-03-05T09:00:00Z", MISSED, "sample", "api", "lab", "", ""))
    audit = audited(book)
    assert audit.counted_from == date(2026, 3, 5)
    assert row(audit).gaps == ("2026-03",), "a run was asked for then"


@pytest.mark.parametrize("damage", ["missing", "schedules"])
def test_a_record_that_may_have_begun_earlier_hides_no_month(book, damage):
    """Otherwise whoever removes the first journals would also remove the gaps."""
    young(book)
    if damage == "missing":
        shutil.rmtree(sorted(book.reports.glob("2026*"))[0])
    else:
        (book.reports / schedule_record.FILE).write_text("{}\n{}\n")
    audit = audited(book)
    assert audit.counted_from is None
    assert {"2026-01", "2026-02", "2026-03"} <= {*row(audit).gaps}
    assert "Nothing is on record before" not in plain(html.render(audit))


def test_a_project_without_a_run_has_no_beginning(book):
    assert record_begin.of([], ([], "", ""), []) is None
    assert audited(book).counted_from is None
