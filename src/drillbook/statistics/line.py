"""A straight line fitted to measured points by least squares, with 95 % intervals. The functions are pure.

The intervals are those of ordinary regression (Draper and Smith, Applied Regression Analysis, chapters 1 and 3). The
interval for the x at which the line reaches a value is from Fieller's theorem. The intervals hold for points with
independent errors of equal variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 3
"""Smallest number of points for a fit. Two points always lie exactly on a line, so they give no estimate of the error."""
_Z = 1.959963984540054
# Student's t for a 95 % interval, for 1 to 10 degrees of freedom.
_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


def student(freedom: int) -> float:
    """Return Student's t quantile of 0.975.

    Above 10 degrees of freedom, it is computed from a series with an accuracy of four digits.
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _Z
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return z + sum(term / math.pow(freedom, power) for power, term in enumerate(terms, 1))


@dataclass(frozen=True, slots=True)
class Line:
    """Fitted line y = ``mean_y`` + ``slope`` (x - ``mean_x``).

    ``reach`` is Student's t times the residual standard deviation. It is a factor of the half-widths of all intervals.
    ``spread`` is the sum of the squared deviations of x from their mean.
    """

    count: int
    slope: float
    mean_x: float
    mean_y: float
    spread: float
    reach: float

    @property
    def slope_error(self) -> float:
        """Half-width of the 95 % interval of the slope."""
        return self.reach / math.sqrt(self.spread)

    @property
    def rises(self) -> bool:
        """Return True when the whole 95 % interval of the slope is above zero."""
        return self.slope - self.slope_error > 0

    def at(self, x: float) -> tuple[float, float]:
        """Return the line's value at ``x``, and the half-width of the 95 % interval of that value."""
        away = x - self.mean_x
        return self.mean_y + self.slope * away, self.reach * math.sqrt(1 / self.count + away * away / self.spread)

    def reaches(self, y: float) -> tuple[float, float, float]:
        """Return the x at which the line reaches ``y``, with the bounds of its 95 % interval.

        ``rises`` must be true for the line. The bounds are Fieller's interval: all x at which the line's own 95 % interval
        contains ``y``.
        """
        above = y - self.mean_y
        square = self.reach * self.reach
        a, b, c = self.slope**2 - square / self.spread, -2 * self.slope * above, above**2 - square / self.count
        root = math.sqrt(max(0.0, b * b - 4 * a * c))
        return self.mean_x + above / self.slope, self.mean_x + (-b - root) / (2 * a), self.mean_x + (-b + root) / (2 * a)


def fit(points: Sequence[tuple[float, float]]) -> Line | None:
    """Fit a line through ``points`` (x, y).

    Return None when there are fewer than ``FEWEST`` points, or when all have the same x.
    """
    count = len(points)
    if count < FEWEST:
        return None
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread <= 0:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    scatter = math.sqrt(sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points) / (count - 2))
    return Line(count, slope, mean_x, mean_y, spread, student(count - 2) * scatter)
