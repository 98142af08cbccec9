"""Progress of a campaign: rates, and an estimate of its end with what it is based on."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

RECENT = 50
"""Number of ends from which the rate is taken."""
FEWEST = 8
"""An estimate needs so many ends."""
Z = 1.959963984540054
"""Standard normal quantile of 0.975."""


class Progress:
    """Ends of drilled sites as they come."""

    def __init__(self, total: int, ended: int) -> None:
        """Begin with ``ended`` of ``total`` sites."""
        self._total, self._ended = total, ended
        self._recent: deque[datetime] = deque(maxlen=RECENT)

    def saw(self, now: datetime, *, drilled: bool) -> None:
        """Count an end; only sites that were drilled count for the rate."""
        self._ended += 1
        if drilled:
            self._recent.append(now)

    def text(self) -> str:
        """Describe the rate and the expected end.

        The ends of sites are taken as a Poisson process whose rate stays that of the latest ends, so the interval covers
        chance alone: no closed window, no later wave that is slower, no stop.
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
            f"{done}; {rate * 60:.1f} a minute; end between {first:%H:%M} and {last:%H:%M} UTC if the rate of the last "
            f"{count + 1} drills goes on (windows, waves and a stop are not in it)"
        )
