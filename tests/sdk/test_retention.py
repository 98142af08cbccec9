"""The rule `keep` of a store: the kept backups, and rules without effect."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from drillbook.sdk.retention import Aged, Keep, expired

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


def series(name, *days, proven=()):
    """Backups that are ``days`` old, by series and age."""
    return [Aged(f"{name}{age}", name, NOW - timedelta(days=age), age in proven) for age in days]


def gone(backups, **rule):
    return [one.key for one in expired(backups, Keep(**rule), NOW)]


def test_the_last_of_each_series_stay():
    backups = series("a", *range(8)) + series("b", 100, 200)
    assert gone(backups, last=5) == gone(backups[::-1], last=5) == ["a7", "a6", "a5"]


def test_any_part_of_the_rule_keeps_a_backup():
    backups = series("a", 1, 29, 31, 40, 50)
    assert gone(backups, days=30) == ["a50", "a40", "a31"]
    assert gone(backups, last=4, days=30) == ["a50"]
    assert gone(backups, last=1, days=45) == ["a50"]
    assert gone(backups, last=5, days=1) == []


def test_the_newest_stays_however_old_it_is():
    assert gone(series("a", 400, 500) + series("b", 300), days=30) == ["a500"]


def test_the_newest_proven_one_stays():
    backups = series("a", 1, 2, 3, 4, 5, proven=(3, 5))
    assert gone(backups, last=1) == ["a5", "a4", "a2"]


def test_a_backup_from_the_future_stays_and_takes_no_place():
    """A backup made with a wrong clock must not displace the newest backups."""
    backups = series("a", -400, 1, 2, 3)
    assert gone(backups, last=2) == ["a3"]
    assert gone(series("a", -400, 40), days=30) == []


@pytest.mark.parametrize("rule", [{}, {"last": 0}, {"days": 0}, {"last": None}, {"last": 5, "weeks": 3}, {"last": "all"}])
def test_a_rule_that_says_nothing_is_refused(rule):
    with pytest.raises(ValidationError):
        Keep(**rule)


def test_a_rule_says_what_it_keeps():
    assert (
        str(Keep(last=5, days=30))
        == "the last 5 backups of each series (service, kind, folder) and all backups of the last 30 days"
    )
    assert str(Keep(days=30)) == "all backups of the last 30 days"
