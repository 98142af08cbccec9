"""Quantiles and shares of a sample, each with an interval for the true value. The functions are pure.

The interval of a quantile comes from order statistics and the binomial distribution, so it holds for any distribution of the
values (David and Nagaraja, Order Statistics, 3rd ed., section 7.1). The interval of a share is Wilson's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
_Z = 1.959963984540054
"""Standard normal quantile of 0.975."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % interval. A bound of the interval is None when the sample is too small to give one."""

    value: float
    low: float | None
    high: float | None


def quantile(ordered: Sequence[float], q: float) -> Estimate | None:
    """Return the ``q`` quantile (nearest rank) of ascending values.

    Return None for an empty sample, or when the quantile is infinite. Infinity stands for a value that is only known to be
    large.
    """
    count = len(ordered)
    if not count:
        return None
    value = ordered[min(count, max(1, math.ceil(q * count - 1e-9))) - 1]
    if math.isinf(value):
        return None
    below, above = _ranks(count, q)
    low = ordered[below - 1] if below >= 1 else None
    high = ordered[above - 1] if above <= count and not math.isinf(ordered[above - 1]) else None
    return Estimate(value, low, high)


def _ranks(count: int, q: float) -> tuple[int, int]:
    """Return the ranks of the two sample values that bound the interval of the ``q`` quantile. Ranks begin with 1.

    The rank 0 or ``count`` + 1 means that the sample is too small to bound the interval on this side. The number of sample
    values below the true quantile has a binomial distribution. If fewer than r sample values are below the quantile, the
    quantile is at most the value of rank r. The ranks follow from this.
    """
    tail = (1 - CONFIDENCE) / 2
    spread = 8 * math.sqrt(count * q * (1 - q)) + 10
    first, last = max(0, math.floor(count * q - spread)), min(count, math.ceil(count * q + spread))
    below, above, reached = 0, count + 1, 0.0
    for number in range(first, last + 1):
        reached += _probability(number, count, q)
        if reached <= tail:
            below = number + 1
        if reached >= 1 - tail:
            above = number + 1
            break
    return below, above


def _probability(number: int, count: int, q: float) -> float:
    """Return the probability that exactly ``number`` of ``count`` values lie below the quantile."""
    ways = math.lgamma(count + 1) - math.lgamma(number + 1) - math.lgamma(count - number + 1)
    return math.exp(ways + number * math.log(q) + (count - number) * math.log(1 - q))


def share(part: int, whole: int) -> Estimate | None:
    """Return the ratio of ``part`` to ``whole`` with Wilson's 95 % interval. Returns None when ``whole`` is zero."""
    if not whole:
        return None
    p, square = part / whole, _Z * _Z
    middle = (p + square / (2 * whole)) / (1 + square / whole)
    half = _Z * math.sqrt(p * (1 - p) / whole + square / (4 * whole * whole)) / (1 + square / whole)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))
