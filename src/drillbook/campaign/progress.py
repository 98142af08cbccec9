"""Progress of a campaign: the rate at which sites end, and an estimate of the time at which the campaign ends."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

RECENT = 50
"""Number of the latest ends from which the rate is computed."""
FEWEST = 8
"""Minimum number of ends that is needed for an estimate."""
Z = 1.959963984540054
"""Quantile of the standard normal distribution for the probability 0.975."""


class Progress:
    """Counts the ends of sites, and estimates the end of the campaign."""

    def __init__(self, total: int, ended: int) -> None:
        """Begin at the state in which ``ended`` of ``total`` sites have ended."""
        self._total, self._ended = total, ended
        self._recent: deque[datetime] = deque(maxlen=RECENT)

    def saw(self, now: datetime, *, drilled: bool) -> None:
        """Count the end of one site at the time ``now``. The end counts for the rate only when the site was drilled."""
        self._ended += 1
        if drilled:
            self._recent.append(now)

    def text(self) -> str:
        """Describe the rate and the expected end.

        The ends of sites are assumed to be a Poisson process with the rate of the latest ends. The interval therefore
        covers only random variation. It does not cover closed windows, slower waves or a stop.
        """
        left = self._total - self._ended
        done = f"{self._ended} of {self._total}"
        count = len(self._recent) - 1
        span = (self._recent[-1] - self._recent[0]).total_seconds() if count > 0 else 0.0
        if count + 1 < FEWEST or span <= 0:
            return f"{done}; no estimate of the end before {FEWEST} drills have ended"
        rate = count / span
        if not left:
            return f"{done}; {rate * 60:.1f} a minute"
        low, high = (left / (rate * (1 + sign * Z / math.sqrt(count))) for sign in (1, -1))
        first, last = (self._recent[-1] + timedelta(seconds=seconds) for seconds in (low, high))
        return (
            f"{done}; {rate * 60:.1f} a minute; end between {first:%H:%M} and {last:%H:%M} UTC if the "
            f"rate of the last {count + 1} drills stays the same (this does not take windows, waves and "
            "stops into account)"
        )
