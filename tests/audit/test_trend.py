"""Axes of the charts of an audit: round steps, and labels that do not overlap."""

from datetime import date
from itertools import pairwise

import pytest

from drillbook.audit import trend
from drillbook.audit.period import Period
from drillbook.report.labels import text_width
from tests.audit import stories
from tests.audit.test_chain import audited


def labels(highest):
    step = trend._nice(highest / 3)
    period = Period.parse("2026-01-01", "2026-12-31")
    return trend._y_ticks(trend._Frame(period, step * -(-highest // step)))


@pytest.mark.parametrize(
    ("highest", "wanted"),
    [
        (0.9, ["0 s", "0.5 s", "1 s"]),
        (30.0, ["0 s", "10 s", "20 s", "30 s"]),
        (60.0, ["0 s", "20 s", "40 s", "1 min"]),
        (120.0, ["0 s", "1 min", "2 min"]),
        (150.0, ["0 s", "1 min", "2 min", "3 min"]),
        (5000.0, ["0 s", "30 min", "1 h", "1 h 30 min"]),
        (7 * 86400.0, ["0 s", "3 d", "6 d", "9 d"]),
    ],
)
def test_steps_are_round_in_the_units_that_people_count_in(highest, wanted):
    assert [tick.text for tick in labels(highest)] == wanted


@pytest.mark.parametrize("highest", [0.01, 0.3, 4, 59, 61, 90, 119, 181, 700, 4000, 8000, 90000, 40 * 86400, 400 * 86400])
def test_every_label_has_room_at_the_left_of_its_axis(highest):
    for tick in labels(float(highest)):
        assert text_width(tick.text) <= trend.LEFT - 8, tick.text


def point(x, y, kind="met"):
    return trend.Point(x, y, y, y, kind, "")


def test_several_runs_of_a_day_are_points_and_the_line_passes_the_longest_of_them():
    one, other, third = (date(2026, 1, day) for day in (1, 2, 3))
    days = [one, one, one, other, third]
    points = [point(10, 50), point(11, 20, "missed"), point(12, 60), point(20, 30), point(30, 40)]
    assert trend._lines(days, points) == ("11.0,20.0 20.0,30.0 30.0,40.0",)
    assert trend._lines(days[:3], points[:3]) == (), "a day alone is no trend"
    points[3] = point(20, 90, "unverified")
    assert trend._lines(days, points) == ()
    assert trend._lines(days, [*points[:2], point(12, 10, "unverified"), point(20, 30), points[4]]) == (
        "11.0,20.0 20.0,30.0 30.0,40.0",
    )


def test_marks_at_the_same_spot_stand_side_by_side():
    same = [point(300, 162, "none"), point(300.2, 162, "none"), point(301, 160, "unverified"), point(301, 60)]
    moved = trend._apart(same)
    assert [round(one.x, 1) for one in moved] == [300, 311, 322, 301], "no mark moves before its month"
    assert [(one.y, one.kind) for one in moved] == [(one.y, one.kind) for one in same]
    free = [point(100, 162), point(100 + trend.GAP, 162, "missed")]
    assert trend._apart(free) == tuple(free)


def test_marks_that_are_moved_stay_in_the_chart():
    last = trend.WIDTH - trend.RIGHT
    assert [one.x for one in trend._apart([point(last, 9), point(last, 9, "missed")])] == [last - trend.GAP, last]
    assert [one.x for one in trend._apart([point(trend.LEFT, 9)] * 2)] == [trend.LEFT, trend.LEFT + trend.GAP]


def test_many_marks_are_not_moved_far_from_their_days():
    crowd = [one.x for one in trend._apart([point(200 + n / 10, 9) for n in range(40)])]
    assert crowd == sorted(crowd)
    assert round(crowd[-1] - crowd[0], 6) == trend.SPREAD
    daily = [point(90.0 + number, 9) for number in range(300)]
    assert trend._apart(daily) == tuple(daily)


def test_a_killed_run_does_not_cover_the_runs_of_its_day(tmp_path):
    audit = audited(stories.one_day(stories.Book(tmp_path)))
    (plot,) = [one for one in audit.plots if (one.drill, one.key) == ("table-dropped", "rpo")]
    assert [one.kind for one in plot.points] == ["none", "none", "unverified"]
    assert [round(b.x - a.x, 6) for a, b in pairwise(plot.points)] == [trend.GAP, trend.GAP]
