"""Times of log lines: tells which lines of a log are too old to explain a present incident. Reads only the host's clock."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from drillbook.errors import HostError
from drillbook.sdk.context import Context

AHEAD_S = 60.0
"""Seconds by which the time of a line may be later than the host's clock. A line with a later time has no known age."""
FARTHEST = timezone(timedelta(hours=-12))
"""Time zone that is farthest behind UTC. If a time has no zone, this zone gives the latest time that may be meant."""
_LEVEL = r"(?:trace|debug|info|notice|warn|warning|error|err|crit|critical|fatal|panic|[tdiwef])"
_WRITTEN = (
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z\b|(?:UTC|GMT)\b(?![+-])|[+-]\d\d:?\d\d\b)?"
)
_FIRST = re.compile(rf"[\[(\"']?(?:{_LEVEL}\b[\])]?[:,| -]*)?[\[(\"']?{_WRITTEN}", re.IGNORECASE)
"""Pattern for the time at the beginning of a log line. A log level, such as `error`, may come before the time."""
_LOGFMT = re.compile(rf"(?:level=\S+ )?(?:ts|time|timestamp)=\"?{_WRITTEN}", re.IGNORECASE)
_KEYS = ("ts", "time", "timestamp", "@timestamp", "@ts", "@time", "asctime", "datetime")
_CLOCK = re.compile(r"(\d+)(\.\d+)?")


@dataclass(frozen=True, slots=True)
class HostClock:
    """Two clocks at one moment: the time of a host's clock, and right after it the time of the controller's monotonic clock.

    With these two times, the age of a log line by the host's clock is converted to a time of the controller's clock. This
    works even if the clocks differ.
    """

    now: float
    read_at: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log.

    ``age_s``: age by the host's clock in seconds, or None when the age is unknown or uncertain. ``older``: True when the
    line is certainly too old to count as evidence.
    """

    text: str
    age_s: float | None
    older: bool


def host_clock(ctx: Context) -> HostClock | None:
    """Read the clock of the step's host. Returns None when the clock cannot be read."""
    try:
        told = ctx.run("date", "+%s.%N")
    except HostError:
        return None
    match = _CLOCK.match(told.text) if told.ok else None
    return HostClock(float(match[1] + (match[2] or "")), time.monotonic()) if match else None


def dated(lines: Sequence[str], clock: HostClock | None, since: float | None) -> list[LogLine]:
    """Determine the ages of ``lines``, which are successive lines of one log, oldest first.

    ``since``: time on the controller's monotonic clock. Lines from before this time are too old to count as evidence. When
    ``since`` is None, no line is too old.

    A line without a time is judged by two neighbours: of the lines that begin with a time, the nearest line above and the
    nearest line below. Programs write their logs in order, so the line is too old when both neighbours are too old. If there
    is no neighbour above, the neighbour below decides. If there is no neighbour below, the line is not too old.
    """
    limit = clock.read_at - since if clock and since is not None else math.inf
    ages = [_age(line, clock) if clock else None for line in lines]
    firsts = [age is not None and _FIRST.match(line) is not None for line, age in zip(lines, ages, strict=True)]
    old = [age is not None and age[0] > limit for age in ages]
    below = _nearest(firsts[::-1], old[::-1], missing=False)[::-1]
    above = _nearest(firsts, old, missing=True)
    return [
        LogLine(line, age[0] if age and age[1] else None, is_old if age else under and over)
        for line, age, is_old, under, over in zip(lines, ages, old, below, above, strict=True)
    ]


def _nearest(firsts: Sequence[bool], old: Sequence[bool], *, missing: bool) -> list[bool]:
    """Return one value for each line: the value in ``old`` that belongs to the nearest earlier line that begins with a time.

    ``firsts``: True for each line that begins with a time. ``missing``: value for lines without such an earlier line.
    """
    nearest, last = [], missing
    for first, flag in zip(firsts, old, strict=True):
        nearest.append(last)
        last = flag if first else last
    return nearest


def _age(line: str, clock: HostClock) -> tuple[float, bool] | None:
    """Return the smallest possible age of a line, and whether this age is exact. It is exact when the time has a zone.

    Return None when the line contains no time, or only a time in the future. If the line contains several times, the newest
    time is used. A time in whole seconds counts as one second later, because its fraction was cut off.
    """
    ages = [age for text in _times(line) if (age := _read(text, clock))]
    return min(ages, default=None)


def _times(line: str) -> Iterator[re.Match[str]]:
    """Yield the time at the beginning of a line. The time may follow keys of logfmt, such as ``ts=``. For a line of JSON, yield
    the times in its outermost keys."""
    if written := _FIRST.match(line) or _LOGFMT.match(line):
        yield written
    if line.startswith("{"):
        with suppress(ValueError, RecursionError):
            told = json.loads(line)
            values = [value for key, value in told.items() if key.lower() in _KEYS and isinstance(value, str)]
            yield from filter(None, (re.match(_WRITTEN, value, re.IGNORECASE) for value in values))


def _read(written: re.Match[str], clock: HostClock) -> tuple[float, bool] | None:
    year, month, day, clock_time, fraction, zone = written.groups()
    try:
        at = datetime.fromisoformat(f"{year}-{month}-{day}T{clock_time}.{(fraction or '0').ljust(6, '0')}")
        latest = at.replace(tzinfo=_zone(zone) if zone else FARTHEST).timestamp() + (0 if fraction else 1)
    except (ValueError, OverflowError):
        return None
    age = clock.now - latest
    if zone is None:
        return max(0.0, age), False
    return (max(0.0, age), True) if age >= -AHEAD_S else None


def _zone(text: str) -> timezone:
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    return timezone(timedelta(hours=int(text[:3]), minutes=int(text[0] + text[-2:])))
