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
"""Seconds by which the time of a line may be later than the host's clock. A later time is of no use."""
FARTHEST = timezone(timedelta(hours=-12))
"""Time zone that is farthest behind UTC. A time without a zone is at the latest a time in this zone."""
_LEVEL = r"(?:trace|debug|info|notice|warn|warning|error|err|crit|critical|fatal|panic|[tdiwef])"
_WRITTEN = (
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z\b|(?:UTC|GMT)\b(?![+-])|[+-]\d\d:?\d\d\b)?"
)
_FIRST = re.compile(rf"[\[(\"']?(?:{_LEVEL}\b[\])]?[:,| -]*)?[\[(\"']?{_WRITTEN}", re.IGNORECASE)
"""Time at the beginning of a line, perhaps after the level."""
_LOGFMT = re.compile(rf"(?:level=\S+ )?(?:ts|time|timestamp)=\"?{_WRITTEN}", re.IGNORECASE)
_KEYS = ("ts", "time", "timestamp", "@timestamp", "@ts", "@time", "asctime", "datetime")
_CLOCK = re.compile(r"(\d+)(\.\d+)?")


@dataclass(frozen=True, slots=True)
class HostClock:
    """Time of a host's clock, and the time on the controller's monotonic clock right after it was read.

    The host's clock and the clock of the controller need not agree: only ages are compared.
    """

    now: float
    read_at: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log.

    ``age_s``: age by the host's clock in seconds, or None when it is unknown or in doubt. ``older``: true when the line is
    certainly older than the time from which on lines count as evidence.
    """

    text: str
    age_s: float | None
    older: bool


def host_clock(ctx: Context) -> HostClock | None:
    """Read the clock of the step's host. Returns None when the host does not tell it."""
    try:
        told = ctx.run("date", "+%s.%N")
    except HostError:
        return None
    found = _CLOCK.match(told.text) if told.ok else None
    return HostClock(float(found[1] + (found[2] or "")), time.monotonic()) if found else None


def dated(lines: Sequence[str], clock: HostClock | None, since: float | None) -> list[LogLine]:
    """Determine the ages of ``lines``, which are successive lines of one log, oldest first.

    ``since``: time on the controller's monotonic clock; older lines do not count as evidence. None: no line is too old. A
    line without a time is older when the nearest times below and above it, at the beginnings of lines, are older: programs
    write their logs in order. No time above counts as an older one.
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
    """Return for each line the value in ``old`` of the nearest line before it that begins with a time, or ``missing``."""
    found, last = [], missing
    for first, one in zip(firsts, old, strict=True):
        found.append(last)
        last = one if first else last
    return found


def _age(line: str, clock: HostClock) -> tuple[float, bool] | None:
    """Return the least possible age of a line, and True when the time has a zone, so that the line has this age.

    Return None when the line has no time, or one in the future. The newest of several times in a line counts. A time in
    whole seconds may be up to a second later than written.
    """
    found = [one for text in _times(line) if (one := _read(text, clock))]
    return min(found, default=None)


def _times(line: str) -> Iterator[re.Match[str]]:
    """Yield the times at the beginning of a line, in its first keys of logfmt, or in the outermost keys of its JSON."""
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
