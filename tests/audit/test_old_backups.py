"""Alerts about routine backups that are older than an RPO permits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.audit import rehearsal_figures, summary
from drillbook.audit.alert_causes import alerts
from tests.audit.stories import Book
from tests.audit.test_told_of_runs import kept


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


@pytest.mark.parametrize(
    ("loss", "words"), [(129.2, "more than"), (120.5, "perhaps more than"), (118.9, "")], ids=["more", "perhaps", "less"]
)
def test_a_routine_backup_that_is_older_than_an_rpo_permits_needs_attention(book, loss, words):
    """The drill met its RPO with a backup that it took itself. The routine backup is the one that production has."""
    passed = kept(book, "passed")
    goal = next(row for row in passed.proven if row.key == "rpo")
    rehearsal = rehearsal_figures.RehearsedRow(
        goal.environment, goal.service, "routine", "dumps", "postgres", 1, 1, "r", "", 4.0, None, loss, 1.0, "", ()
    )
    assert goal.target_s == 120.0
    audit = replace(passed, rehearsed=(rehearsal,))
    told = [one.text for one in alerts(audit) if "that routine restored" in one.text]
    text = f"The backup of {goal.service} in lab that routine restored was {rehearsal.figure} old, {words} the RPO of {goal.drill}"
    assert told == ([f"{text} permits ({goal.target})"] if words else [])
    assert [one for one in alerts(replace(audit, rehearsed=(replace(rehearsal, taken="x"),))) if "routine" in one.text] == [
        one for one in alerts(passed) if "routine" in one.text
    ], "the age of a backup of a drill is no age of a routine backup"
    (row,) = [row for row in summary.service_rows(audit) if row.service == goal.service]
    assert row.would_lose == f"rehearsed: {rehearsal.figure} would be lost{f', {words} the RPO permits' if words else ''}"
