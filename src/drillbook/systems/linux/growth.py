"""Computes how fast the memory of one process grows. The growth is the slope of a straight line that is fitted to measured
sizes of the resident set of the process.
"""

from __future__ import annotations

from typing import Any

from drillbook.statistics.line import fit


def summary(samples: list[tuple[float, int]]) -> dict[str, Any]:
    """Return facts about ``samples``. Each sample is a pair: a time in seconds, and the number of resident bytes then.

    The facts with the prefix ``growth_`` are about the slope of a line through the samples, in bytes a second. ``grows`` is
    true when the whole 95 % interval of the slope is above zero. With fewer than three samples, ``grows`` is null.
    """
    line = fit([(at, float(size)) for at, size in samples])
    sizes = [size for _, size in samples]
    return {
        "samples": len(samples),
        "seconds": round(samples[-1][0] - samples[0][0], 3),
        "rss_bytes": sizes[-1],
        "rss_first_bytes": sizes[0],
        "rss_max_bytes": max(sizes),
        "growth_bytes_per_s": line and round(line.slope),
        "growth_error": line and round(line.slope_error),
        "grows": line and line.rises,
    }
