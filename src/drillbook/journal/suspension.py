"""Measures for how long this machine was suspended. It compares two clocks of the machine."""

from __future__ import annotations

import time

READS = 5
"""Number of attempts to read CLOCK_BOOTTIME and CLOCK_MONOTONIC. The values of the fastest attempt are used."""


def suspended() -> float | None:
    """Return the seconds for which this machine was suspended since it booted.

    Return None when the system has no clock that measures this time. On Linux, CLOCK_BOOTTIME runs while the machine is suspended, and
    CLOCK_MONOTONIC does not; see clock_gettime(2).
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return None
    readings = []
    for _ in range(READS):
        before = time.monotonic()
        boot = time.clock_gettime(clock)
        after = time.monotonic()
        readings.append((after - before, boot - (before + after) / 2))
    return min(readings)[1]
