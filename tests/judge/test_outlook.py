"""Forecasts from several runs with synthetic points; the expected values were calculated by hand."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.judge.outlook import outlooks
from drillbook.judge.size_points import Point, of_run
from drillbook.report.growth import growth_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20


def point(day, size, *, free=None, rto=None, restore=None, drill="lost", service="database"):
    at = (START + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Point(
        run=f"run-{day}-{drill}",
        at=at,
        drill=drill,
        service=service,
        bytes=size,
        items=1000,
        unit="rows",
        free_bytes=free,
        rto_s=rto,
        restore_s=restore,
    )


def outlook(points, target=None):
    found = outlooks([points[-1]], points[:-1], target)
    assert len(found) == 1
    json.loads(found[0].model_dump_json())
    return found[0]


def test_steady_growth():
    """Growth of 10 MiB a day from 100 MiB; on day 4, with 140 MiB, 50 MiB are free."""
    found = outlook([point(day, (100 + 10 * day) * MIB, free=50 * MIB) for day in range(5)])
    assert found.growth_bytes_per_day == pytest.approx(10 * MIB)
    assert found.growth_error == pytest.approx(0, abs=1)
    assert (found.full.days, found.full.earliest, found.full.latest) == (
        pytest.approx(5),
        pytest.approx(5),
        pytest.approx(5),
    )
    assert found.full.date == "2026-01-10"
    assert found.outgrows.reason == "the drill sets no RTO"


def test_the_restore_outgrows_the_rto():
    """A restore takes 1 s for 10 MiB, and 6 s for the rest of the RTO: 30 s allow 240 MiB, which is 10 days after 140
    MiB.
    """
    points = [point(day, (100 + 10 * day) * MIB, free=1 << 40, rto=16 + day, restore=10 + day) for day in range(5)]
    found = outlook(points, 30.0)
    assert found.outgrows.days == pytest.approx(10)
    assert found.outgrows.date == "2026-01-15"
    assert found.restore_bytes_per_s == pytest.approx(10 * MIB)
    assert found.restores == 5
    assert (
        outlook(points, 15.0).outgrows.reason == "the restore exceeds the RTO already now, according to the restores so far"
    )


def test_already_now_is_said_only_where_the_restores_agree():
    """The mean of all runs exceeded the RTO, but the newest two were far below it: no certain statement is possible."""
    points = [
        point(day, size, rto=rto, restore=rto)
        for day, size, rto in [(0, 10**10, 240.0), (31, 11 * 10**9, 80.0), (59, 12 * 10**9, 85.0)]
    ]
    found = outlook(points, 120.0)
    assert (found.outgrows.days, found.outgrows.earliest, found.outgrows.latest, found.outgrows.reason) == (0, 0, None, None)
    assert "perhaps never" in growth_rows([found])[0].outgrows
    close = [point(day, (100 + 10 * day) * MIB, rto=16 + day + day % 2, restore=10 + day) for day in range(5)]
    now = outlook(close, 20.2).outgrows
    assert (now.days, now.earliest, now.reason) == (0, 0, None)
    assert 0 < now.latest < 5
    assert (
        outlook(close, 18.0).outgrows.reason == "the restore exceeds the RTO already now, according to the restores so far"
    )


def test_scatter_widens_the_interval():
    sizes = [100, 112, 118, 133, 139, 151, 158]
    restores = [10.0, 11.5, 11.5, 13.0, 14.5, 14.5, 16.0]
    points = [
        point(day, size * MIB, free=100 * MIB, rto=restore + 5 + day % 2, restore=restore)
        for day, (size, restore) in enumerate(zip(sizes, restores, strict=True))
    ]
    found = outlook(points, 60.0)
    for when in (found.full, found.outgrows):
        assert when.earliest < when.days < when.latest
    assert 8 < found.full.days < 12
    assert found.growth_error > 0


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_runs_claim_nothing(count):
    found = outlook([point(day, (100 + day) * MIB, free=1, rto=20, restore=10) for day in range(count)], 60.0)
    assert found.growth_bytes_per_day is None
    assert "at least 3" in found.growth_reason
    assert (found.full.days, found.outgrows.days) == (None, None)
    row = growth_rows([found])[0]
    assert all("not predicted" in text for text in (row.growth, row.full, row.outgrows))


def test_what_does_not_grow_is_never_full():
    for sizes in ([100, 100, 100, 100], [100, 90, 110, 95], [140, 130, 120, 110]):
        found = outlook([point(day, size * MIB, free=MIB, rto=20, restore=10) for day, size in enumerate(sizes)], 60.0)
        assert found.full.reason == found.outgrows.reason == "the runs do not show that the service grows"
        assert found.growth_bytes_per_day is not None


def test_restores_of_other_drills_and_runs_without_one_do_not_count():
    points = [
        point(day, (100 + 10 * day) * MIB, rto=20, restore=10, drill="other" if day < 3 else "lost") for day in range(5)
    ]
    found = outlook(points, 60.0)
    assert (found.restores, found.outgrows.days) == (2, None)
    assert "2 of the runs" in found.outgrows.reason
    assert found.growth_bytes_per_day == pytest.approx(10 * MIB), "its size counts whatever drill measured it"
    assert found.full.reason == "the free space is unknown"


def test_other_services_are_no_points_and_one_time_is_no_line():
    points = [*(point(day, day * MIB, service="other") for day in range(5)), point(5, 100)]
    assert outlook(points).points == 1
    assert outlook([point(1, 5), point(1, 6, drill="a"), point(1, 7, drill="b")]).growth_bytes_per_day is None


def test_a_far_date_is_none():
    assert outlook([point(day, 1000 + day, free=1 << 50) for day in range(3)]).full.reason == "not within 100 years"


def test_of_a_run_only_what_was_done_and_only_its_own_restore():
    facts = {"service": "database", "bytes": 5, "items": 2, "unit": "rows", "free_bytes": 7}
    steps = [
        ("capacity.collect", "done", {**facts, "bytes": 1}),
        ("capacity.collect", "failed", facts),
        ("sql", "done", {"bytes": 9}),
        ("capacity.collect", "done", facts),
        ("capacity.collect", "done", {**facts, "service": "originals", "free_bytes": None}),
    ]
    found = of_run(run="r", at="t", drill="d", service="database", steps=steps, rto_s=9.0, restore_s=4.0)
    assert [(one.service, one.bytes, one.rto_s, one.restore_s) for one in found] == [
        ("database", 5, 9.0, 4.0),
        ("originals", 5, None, None),
    ]
    assert (
        of_run(run="r", at="t", drill="d", service="database", steps=steps, rto_s=None, restore_s=4.0)[0].restore_s is None
    )
