"""Times of log lines: tells which lines of a log are too old to explain a present incident. Reads only the host's clock."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from drillbook.errors import HostError
from drillbook.sdk.context import Context

AHEAD_S = 60.0
"""Seconds by which the time of a line may be later than the host's clock. A later time is in another time zone."""
_LEVEL = r"(?:trace|debug|info|notice|warn|warning|error|err|crit|critical|fatal|panic|[tdiwef])"
_TIME = re.compile(
    rf"(?:^[\[({{\"' ]*(?:{_LEVEL}\b[\])]?[:,| -]*)?[\[(\"']?"  # at the beginning, perhaps after the level
    r"|\"@?(?:ts|time|timestamp|asctime|datetime)\"\s*:\s*\"|(?:^|\s)(?:ts|time|timestamp)=\"?)"  # or a key of JSON or logfmt
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d+)(\.\d+)?\S* ([+-])(\d\d)(\d\d)\b")


@dataclass(frozen=True, slots=True)
class HostClock:
    """Time of a host's clock, its time zone, and the time on the controller's monotonic clock right after it was read.

    The host's clock and the clock of the controller need not agree: only ages are compared.
    """

    now: float
    zone: timezone
    read_at: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a log.

    ``age_s``: age by the host's clock in seconds, or None when it is unknown. ``older``: true when the line is certainly
    older than the time from which on lines count as evidence.
    """

    text: str
    age_s: float | None
    older: bool


def host_clock(ctx: Context) -> HostClock | None:
    """Read the clock of the step's host. Returns None when the host does not tell it."""
    try:
        told = ctx.run("date", "+%s.%N %z")
    except HostError:
        return None
    found = _CLOCK.search(told.text) if told.ok else None
    if not found:
        return None
    offset = timedelta(hours=int(found[4]), minutes=int(found[5]))
    zone = timezone(-offset if found[3] == "-" else offset)
    return HostClock(float(found[1] + (found[2] or "")), zone, time.monotonic())


def dated(lines: Sequence[str], clock: HostClock | None, since: float | None) -> list[LogLine]:
    """Determine the ages of ``lines``, which are successive lines of one log, oldest first.

    ``since``: time on the controller's monotonic clock; older lines do not count as evidence. None: no line is too old. A
    line without a time is older when a later line is: programs write their logs in order.
    """
    found: list[LogLine] = []
    older = False
    for line in reversed(lines):
        ages = _ages(line, clock) if clock else ()
        if ages and clock and since is not None:
            older = older or min(ages) > clock.read_at - since
        found.append(LogLine(line, ages[0] if len(ages) == 1 else None, older))
    return found[::-1]


def _ages(line: str, clock: HostClock) -> tuple[float, ...]:
    """Return the possible ages of a line: one for each time zone in which its time may be.

    A time without a zone may be in the host's zone or in UTC. A time in the future excludes its zone. A time in whole
    seconds may be up to a second later than written.
    """
    written = _TIME.search(line)
    if not written:
        return ()
    year, month, day, clock_time, fraction, zone = written.groups()
    try:
        at = datetime.fromisoformat(f"{year}-{month}-{day}T{clock_time}.{(fraction or '0').ljust(6, '0')}")
        zones = {clock.zone, UTC} if zone is None else {_zone(zone)}
    except ValueError:
        return ()
    latest = at if fraction else at + timedelta(seconds=1)
    ages = {clock.now - latest.replace(tzinfo=one).timestamp() for one in zones}
    return tuple(sorted(max(0.0, age) for age in ages if age >= -AHEAD_S))


def _zone(text: str) -> timezone:
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    return timezone(timedelta(hours=int(text[:3]), minutes=int(text[0] + text[-2:])))
