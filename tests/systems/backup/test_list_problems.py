"""Problems that the list of the backups shows: age, schedule and sizes, also of backups with an archived log."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.sdk.backup_source import Backup
from drillbook.systems.backup.list_problems import schedule_problems
from tests.systems.estate import Estate

HOUR = timedelta(hours=1)


@pytest.fixture
def source(tmp_path):
    def made(**fields):
        backups = {"daily": {"kind": "tar", "at": str(tmp_path / "backups"), **fields}}
        return Estate(tmp_path, services={}, backups=backups).inventory.services["daily"]

    return made


def backups(*hours, until=None, size=1000):
    """Backups that were taken so many hours ago; all of them can be restored up to ``until`` hours ago."""
    now = datetime.now(UTC)
    moment = None if until is None else now - until * HOUR
    return [
        Backup(id=f"{hour}", taken_at=now - hour * HOUR, basis="test", error_s=1.0, bytes=size, until=moment)
        for hour in hours
    ]


def codes(source, listed):
    return [found.code for found in schedule_problems(source, listed)]


def test_backups_in_time_have_no_problem(source):
    daily = source(max_age="26h", every="24h")
    assert codes(daily, backups(1, 25, 49)) == []
    assert codes(daily, []) == ["backup-too-old"]
    assert codes(daily, backups(27, 51)) == ["backup-too-old"]
    assert codes(daily, backups(1, 49)) == ["backup-gap"]


def test_a_moment_of_the_log_counts_for_the_age_and_the_backups_for_the_schedule(source):
    daily = source(max_age="2h", every="24h")
    assert codes(daily, backups(20, 44)) == ["backup-too-old"]
    assert codes(daily, backups(20, 44, until=1)) == []
    assert codes(daily, backups(20, 44, until=3)) == ["backup-too-old"]
    assert codes(daily, backups(20, 70, until=1)) == ["backup-gap"]


def test_a_small_backup_is_seen_behind_a_log_too(source):
    daily = source(every="24h")
    listed = [*backups(1, until=0.1, size=10), *backups(25, 49, 73, 97, until=0.1)]
    assert codes(daily, listed) == ["backup-shrunken"]


def test_backups_of_an_unknown_time_are_not_judged(tmp_path):
    printed = {"printed": {"kind": "tar", "at": ["cat", str(tmp_path / "a.tar")]}}
    made = Estate(tmp_path, services={}, backups=printed).inventory.services["printed"]
    assert not made.tells_age
    assert codes(made.model_copy(update={"every": 3600.0}), backups(99)) == []
