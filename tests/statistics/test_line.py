"""Least squares with confidence intervals, compared with a worked example and random data."""

import random

import pytest

from drillbook.statistics.line import fit, student


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (10, 2.228), (11, 2.201), (15, 2.131), (30, 2.042), (120, 1.980)])
def test_students_table(freedom, t):
    assert student(freedom) == pytest.approx(t, abs=6e-4)


def test_a_worked_example():
    """x 1..5, y 2 4 5 4 5: slope 0.6, scatter sqrt(0.8), standard error of the slope sqrt(0.08)."""
    line = fit(list(zip([1, 2, 3, 4, 5], [2, 4, 5, 4, 5], strict=True)))
    assert line.slope == pytest.approx(0.6)
    assert line.slope_error == pytest.approx(3.1824 * 0.08**0.5)
    assert not line.rises, "0.6 with an error of 0.9 may be none at all"
    assert line.at(3) == (pytest.approx(4), pytest.approx(3.1824 * 0.8**0.5 / 5**0.5))


def test_exact_points_have_no_error():
    line = fit([(0, 10), (1, 12), (3, 16)])
    assert (line.slope, line.slope_error) == (pytest.approx(2), pytest.approx(0, abs=1e-9))
    assert line.rises
    assert line.reaches(30) == pytest.approx((10, 10, 10))


@pytest.mark.parametrize("points", [[], [(0, 1)], [(0, 1), (1, 2)], [(5, 1), (5, 2), (5, 3)]])
def test_too_few_points_say_nothing(points):
    assert fit(points) is None


def test_the_intervals_hold_as_often_as_they_say():
    chance = random.Random(3)
    slope_held = reach_held = 0
    for _ in range(500):
        line = fit([(x, 2 * x + chance.gauss(0, 3)) for x in range(12)])
        slope_held += abs(line.slope - 2) <= line.slope_error
        _, earliest, latest = line.reaches(60)
        reach_held += earliest <= 30 <= latest
    assert 460 <= slope_held <= 492
    assert 460 <= reach_held <= 492
