"""Progress of a campaign: the rate at which sites end, and an estimate of the time at which the campaign ends."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

RECENT = 50
"""Maximum number of drills from which the rate is computed. These are the drills that ended last."""
FEWEST = 8
"""Minimum number of drills that must have ended before the end of the campaign is estimated."""
Z = 1.959963984540054
"""Quantile of the standard normal distribution for the probability 0.975."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Rate of the latest drills, and two limits for the end of the campaign: the last site will end between these two times
    if the rate continues.
    """

    a_minute: float
    drills: int
    """Number of drills from which the rate was computed."""
    first: datetime
    last: datetime


class Progress:
    """Counts the sites that have finished, and estimates when the campaign will finish."""

    def __init__(self, total: int, ended: int) -> None:
        """Start the count. ``ended``: number of sites that have ended already. ``total``: number of all sites."""
        self.total, self.ended = total, ended
        self._recent: deque[datetime] = deque(maxlen=RECENT)

    def saw(self, now: datetime, *, drilled: bool) -> None:
        """Count one more ended site. ``now``: time of the end. This end affects the estimated rate only if the site was
        drilled.
        """
        self.ended += 1
        if drilled:
            self._recent.append(now)

    def estimate(self, now: datetime) -> Estimate | None:
        """Estimate at the time ``now`` when the campaign will end. Returns None while too few drills have ended.

        The estimate treats the moments at which sites end as a Poisson process, with the rate of the latest of these moments.
        The time since the last end also counts. So the rate falls when no site ends for a while. The interval covers only
        random variation. It does not cover closed windows, slower waves or a stop.
        """
        count = len(self._recent) - 1
        span = (max(now, self._recent[-1]) - self._recent[0]).total_seconds() if count > 0 else 0.0
        if count + 1 < FEWEST or span <= 0:
            return None
        rate, left = count / span, self.total - self.ended
        low, high = (left / (rate * (1 + sign * Z / math.sqrt(count))) for sign in (1, -1))
        since = max(now, self._recent[-1])
        return Estimate(rate * 60, count + 1, since + timedelta(seconds=low), since + timedelta(seconds=high))

    def text(self, now: datetime) -> str:
        """Describe the rate and the expected end in one line."""
        done, forecast = f"{self.ended} of {self.total}", self.estimate(now)
        if forecast is None:
            return f"{done}; no estimate of the campaign's end before {FEWEST} drills have ended"
        if self.ended == self.total:
            return f"{done}; {forecast.a_minute:.1f} a minute"
        return (
            f"{done}; {forecast.a_minute:.1f} a minute; end between {clock(forecast.first, now)} and "
            f"{clock(forecast.last, now)} UTC if the rate of the last {forecast.drills} drills stays the same (this does not "
            "take windows, waves and stops into account)"
        )


def clock(when: datetime, now: datetime) -> str:
    """Return the time of day of ``when``. The date is added if ``when`` is on another day than ``now``."""
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"
