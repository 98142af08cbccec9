"""Periods of an audit, and their columns."""

from __future__ import annotations

from datetime import date

import pytest

from drillbook.audit.period import Period
from drillbook.errors import UsageError


@pytest.mark.parametrize(
    ("since", "until", "unit", "labels"),
    [
        ("2026-01-15", "2026-03-02", "month", ["2026-01", "2026-02", "2026-03"]),
        ("2025-11-01", "2026-12-31", "quarter", ["2025 Q4", "2026 Q1", "2026 Q2", "2026 Q3", "2026 Q4"]),
        ("2020-06-01", "2026-01-01", "year", ["2020", "2021", "2022", "2023", "2024", "2025", "2026"]),
        ("2024-02-29", "2024-02-29", "month", ["2024-02"]),
    ],
)
def test_columns(since, until, unit, labels):
    period = Period.parse(since, until)
    spans = period.spans()
    assert (period.unit, [span.label for span in spans]) == (unit, labels)
    assert (str(spans[0].first), str(spans[-1].last)) == (since, until)


@pytest.mark.parametrize(
    ("until", "unit", "count"),
    [("2026-12-01", "month", 12), ("2027-01-01", "quarter", 5), ("2029-12-31", "quarter", 16), ("2030-01-01", "year", 5)],
)
def test_the_shortest_unit_whose_columns_fit(until, unit, count):
    period = Period.parse("2026-01-31", until)
    assert (period.unit, len(period.spans())) == (unit, count)


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("2026-13-01", "2026-12-31", "--since '2026-13-01' is not a date"),
        ("2026-01-01", "2026-02-30", "--until '2026-02-30' is not a date"),
        ("20260101", "2026-12-31", "--since '20260101' is not a date"),
        ("", "2026-12-31", "an audit needs both --since and --until"),
        ("２０２６-01-01", "2026-12-31", "is not a date"),
        ("2026-12-31", "2026-01-01", "--until 2026-01-01 lies before --since 2026-12-31"),
    ],
)
def test_dates_that_cannot_be(since, until, message):
    with pytest.raises(UsageError) as caught:
        Period.parse(since, until)
    assert message in caught.value.message
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("day", "since", "until"),
    [
        ("2026-01-01", "2026-01-01", "2026-03-31"),
        ("2026-06-30", "2026-04-01", "2026-06-30"),
        ("2026-08-15", "2026-07-01", "2026-09-30"),
        ("2026-12-31", "2026-10-01", "2026-12-31"),
    ],
)
def test_the_quarter_of_a_day(day, since, until):
    assert Period.quarter(date.fromisoformat(day)) == Period.parse(since, until)
