"""Findings about a series of backups: ages, gaps in the schedule, sizes, clocks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from drillbook.sdk.backup_history import Moment, judge

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
DAY = 86400.0


def nightly(*sizes, newest_h=5.0, every_h=24.0):
    """Series, oldest first: one backup for each interval, the newest ``newest_h`` hours old."""
    last = len(sizes) - 1
    return [Moment(NOW - timedelta(hours=newest_h + every_h * (last - number)), size) for number, size in enumerate(sizes)]


def codes(moments, max_age=None, every=DAY):
    return [one.code for one in judge(moments, now=NOW, max_age=max_age, every=every)]


def test_a_healthy_schedule_gives_no_finding_in_any_order_of_its_backups():
    moments = nightly(*range(1000, 1030))
    assert codes(moments, max_age=26 * 3600) == codes(moments[::-1], max_age=26 * 3600) == []


def test_a_schedule_that_retention_thins_out_gives_no_finding():
    """Seven daily and four weekly backups, a common retention."""
    days = nightly(*[1000] * 7)
    weeks = [Moment(days[0].taken_at - timedelta(days=7 * number), 1000) for number in range(1, 5)]
    assert codes(days + weeks, max_age=26 * 3600) == []


@pytest.mark.parametrize("limits", [{"max_age": 26 * 3600}, {"max_age": 26 * 3600, "every": None}, {}, {"every": None}])
def test_no_backup_at_all_is_too_old(limits):
    assert codes([], **limits) == ["backup-too-old"]


@pytest.mark.parametrize(
    ("hours", "max_age", "every", "wanted"),
    [
        (26, 26 * 3600, None, []),
        (26.01, 26 * 3600, None, ["backup-too-old"]),
        (26.01, 26 * 3600, DAY, ["backup-too-old"]),
        (36, None, DAY, []),
        (36.01, None, DAY, ["backup-too-old"]),
        (36.01, 48 * 3600, DAY, ["backup-gap"]),
        (10_000, None, None, []),
    ],
)
def test_the_age_of_the_newest_against_the_limit_and_the_schedule(hours, max_age, every, wanted):
    assert codes(nightly(1000, newest_h=hours), max_age, every) == wanted


def test_an_age_says_what_was_wanted_and_measured():
    (one,) = judge(nightly(1000, newest_h=30), now=NOW, max_age=26 * 3600, every=DAY)
    assert (one.wanted, one.measured) == ("at most 26h old", "1 d 6 h old")
    assert one.title.endswith("2026-11-27T03:00:00Z")


@pytest.mark.parametrize(("missing", "wanted"), [(1, ["backup-gap"]), (2, ["backup-gap"]), (3, []), (5, [])])
def test_a_missing_backup_is_a_gap_while_it_is_recent(missing, wanted):
    """Gaps older than four intervals are caused by retention."""
    moments = nightly(*[1000] * 10)
    del moments[-1 - missing]
    assert codes(moments) == wanted


def test_the_latest_gap_is_reported_however_long_it_lasted():
    moments = nightly(*[1000] * 10)
    (one,) = judge([moments[0], moments[-1]], now=NOW, max_age=None, every=DAY)
    assert (one.code, one.measured) == ("backup-gap", "9 d apart")


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([1000, 1000, 1000, 700], []),
        ([1000, 1000, 1000, 699], ["backup-shrunken"]),
        ([1000, 1000, 1000, 2000], []),
        ([1000, 1000, 1000, 2001], ["backup-grown"]),
        ([1000, 1000, 10], []),
        ([10], []),
        ([0], ["backup-shrunken"]),
        ([1000, 1000, 1000, 0], ["backup-shrunken"]),
        ([1000, 1000, 1000, None], []),
        ([1000, None, 1000, None, 1000, 10], ["backup-shrunken"]),
        ([1000, None, 1000, None, 10], []),
        ([0, 0, 0, 10], ["backup-grown"]),
    ],
)
def test_the_newest_size_against_the_median_before_it(sizes, wanted):
    assert codes(nightly(*sizes)) == wanted


def test_a_shrunken_series_is_reported_until_the_larger_ones_are_half_of_those_before_it():
    """A weekly look at a nightly schedule must detect the gap as well."""
    reported = [number for number in range(1, 15) if codes(nightly(*[1000] * 14, *[100] * number)) == ["backup-shrunken"]]
    assert reported == list(range(1, 8))


def test_a_series_that_grows_steadily_is_healthy_and_a_drop_in_it_is_seen():
    growing = [1000 + 70 * number for number in range(15)]
    assert codes(nightly(*growing)) == []
    assert codes(nightly(*growing, 600)) == ["backup-shrunken"]


def test_a_series_whose_sizes_always_vary_gives_no_finding():
    """Increments among full backups."""
    varied = [10, 90, 40, 75, 20, 100, 55, 30, 85, 60]
    assert all(codes(nightly(*varied, newest)) == [] for newest in (10, 12, 100, 110))


def test_a_backup_from_the_future_is_told_and_does_not_pass_as_the_newest():
    ahead = Moment(NOW + timedelta(days=400), 1000)
    assert codes([*nightly(1000, newest_h=5), ahead]) == ["backup-ahead"]
    assert codes([*nightly(1000, newest_h=100), ahead], max_age=26 * 3600) == ["backup-ahead", "backup-too-old"]
    assert codes([ahead]) == ["backup-ahead", "backup-too-old"]
    assert codes([Moment(NOW + timedelta(minutes=5), 1000)]) == [], "clocks differ a little"


def test_times_of_several_time_zones_are_compared_as_moments():
    east = timezone(timedelta(hours=8))
    moments = [Moment(one.taken_at.astimezone(east), one.bytes) for one in nightly(1000, 1000, 1000)]
    assert codes([*moments, *nightly(1000, newest_h=1)], max_age=26 * 3600) == []
