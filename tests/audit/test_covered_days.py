"""Months that an audit covers only in part are named as such: in its tables, in its sentences and on the screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drillbook.audit import covered_days, html, markdown, summary
from drillbook.audit.alert_causes import alerts
from drillbook.cli import audit as desk
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain


def texts(audit):
    return [one.text for one in alerts(audit)]


def test_the_first_day_of_a_month_is_no_whole_month(book, capsys):
    """On the first of December, the fourth quarter is two months and a day old, not three months."""
    book.run("2026-09-10T09:00:00").good().close()
    book.run("2026-11-10T09:00:00").good().close()
    audit = audited(book, since="2026-10-01", until="2026-12-31", today="2026-12-01")
    assert covered_days.heads(audit) == ["2026-10", "2026-11", "2026-12 (to 12-01)"]
    told = texts(audit)
    assert "The service backups was never drilled from 2026-10-01 to 2026-12-01 in lab" in told
    assert "The service api was not drilled in 2026-10, 2026-12 (to 2026-12-01) in lab" in told
    desk._print(audit, Path("out"))
    assert "2026-10, 2026-12 (to 2026-12-01)" in " ".join(capsys.readouterr().out.split())
    assert "| 2026-11 | 2026-12 (to 12-01) |" in markdown.render(audit).replace("\\", "")
    page = html.render(audit)
    assert 'data-head="2026-12 (to 12-01)"' in page
    for shown in (page, summary.render(audit), markdown.render(audit)):
        assert "so far" not in plain(shown)


def test_a_long_list_of_months_is_a_number_and_names_the_partial_months(book):
    book.run("2026-03-10T09:00:00").good().close()
    audit = audited(book, since="2026-01-15", until="2026-12-31", today="2026-11-29")
    told = "not drilled in 8 of 9 months (2026-11 only to 2026-11-29)"
    assert f"The service api was {told} in lab" in texts(audit), "since the record began"
    book.run("2026-03-20T09:00:00").good().close()
    audit = audited(book, since="2026-03-15", until="2026-12-31", today="2026-11-29")
    told = "not drilled in 8 of 9 months (2026-03 only from 2026-03-15, 2026-11 only to 2026-11-29)"
    assert f"The service api was {told} in lab" in texts(audit)


@pytest.mark.parametrize(
    ("since", "until", "today", "heads"),
    [
        ("2026-02-01", "2026-03-31", "2026-04-01", ["2026-02", "2026-03"]),
        ("2026-02-01", "2026-03-31", "2026-03-31", ["2026-02", "2026-03"]),
        ("2026-02-10", "2026-02-12", "2026-12-01", ["2026-02 (02-10 to 02-12)"]),
        ("2026-02-01", "2026-04-30", "2026-03-31", ["2026-02", "2026-03", "2026-04"]),
        ("2025-01-01", "2026-06-30", "2026-05-02", [*(f"2025 Q{q}" for q in range(1, 5)), "2026 Q1", "2026 Q2 (to 05-02)"]),
    ],
)
def test_the_days_of_a_partial_month_are_in_the_head_of_its_column(book, since, until, today, heads):
    assert covered_days.heads(audited(book, since=since, until=until, today=today)) == heads


def test_a_single_day_is_no_range_of_days(book):
    """ "From 2026-12-01 to 2026-12-01" reads like a mistake."""
    book.run("2026-12-01T09:00:00").good().close()
    audit = audited(book, since="2026-12-01", until="2026-12-01", today="2026-12-01")
    assert covered_days.title(audit) == "Recovery drills on 2026-12-01"
    assert covered_days.sentence(audit) == "2026-12-01, a single day."
    assert str(audit.period) == "2026-12-01"
    assert "The service backups was never drilled on 2026-12-01 in lab" in texts(audit)
    for shown in (html.render(audit), summary.render(audit), markdown.render(audit).replace("\\", "")):
        assert not re.search(r"(\d{4}-\d\d-\d\d)\W+to\W+\1", plain(shown))
    middle = audited(book, since="2026-02-10", until="2026-02-10", today="2026-12-01")
    assert covered_days.heads(middle) == ["2026-02 (02-10)"]


def test_the_first_day_of_a_period_that_goes_on_is_named_alone(book):
    book.run("2026-12-01T09:00:00").good().close()
    audit = audited(book, since="2026-12-01", until="2026-12-31", today="2026-12-01")
    assert "The service backups was never drilled on 2026-12-01 in lab" in texts(audit)
    assert covered_days.title(audit) == "Recovery drills from 2026-12-01 to 2026-12-31 (as of 2026-12-01)"
