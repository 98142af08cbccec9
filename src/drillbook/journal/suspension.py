"""Measures for how long this machine was suspended, by comparing two of its clocks."""

from __future__ import annotations

import time

READS = 5
"""Number of attempts to read the two clocks; the fastest attempt counts."""


def suspended() -> float | None:
    """Seconds that this machine was suspended since it booted; None when the system has no clock for that.

    On Linux CLOCK_BOOTTIME runs while the machine is suspended, CLOCK_MONOTONIC does not; see clock_gettime(2).
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return None
    found = []
    for _ in range(READS):
        before = time.monotonic()
        boot = time.clock_gettime(clock)
        after = time.monotonic()
        found.append((after - before, boot - (before + after) / 2))
    return min(found)[1]
