"""Quantiles with confidence intervals, compared with statistical tables."""

import math
import random

import pytest

from drillbook.statistics.quantiles import quantile, share


def test_a_quantile_and_its_interval_are_values_of_the_sample():
    # Median of 10 values: the ranks 2 and 9 enclose it with 97.9 %, 3 and 8 only with 89 %.
    found = quantile(range(1, 11), 0.5)
    assert (found.value, found.low, found.high) == (5, 2, 9)


def test_a_small_sample_has_no_upper_bound_of_its_tail():
    found = quantile(range(100), 0.99)
    assert found.value == 98
    assert found.high is None
    assert found.low is not None
    assert quantile(range(1000), 0.99).high is not None


def test_what_was_never_answered_makes_a_quantile_unknown():
    assert quantile([1.0] * 9 + [math.inf], 0.95) is None
    assert quantile([1.0] * 99 + [math.inf], 0.95).value == 1.0
    assert quantile([], 0.5) is None


def test_the_interval_holds_as_often_as_it_says():
    chance = random.Random(7)
    held = 0
    for _ in range(400):
        found = quantile(sorted(chance.expovariate(1) for _ in range(200)), 0.9)
        held += found.low <= -math.log(0.1) <= found.high
    assert held >= 370


def test_a_large_sample_is_quick_and_close():
    found = quantile(range(100_000), 0.95)
    assert found.value == 94_999
    assert 94_999 - 200 < found.low < found.value < found.high < 94_999 + 200


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1.0)]
)
def test_shares_against_wilsons_table(part, whole, low, high):
    found = share(part, whole)
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)
    assert share(0, 0) is None
