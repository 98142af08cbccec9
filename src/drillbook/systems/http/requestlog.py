"""Reads the recent requests of an HTTP service from the end of its access log, on the host of the service."""

from __future__ import annotations

import datetime
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import printable
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Http
from drillbook.systems.http import accesslog
from drillbook.systems.linux.process_selection import as_root

MOST_BYTES = 4 << 20
"""Maximum number of bytes read from the end of the log."""
MOST_LINES = 3_000
"""Maximum number of lines requested from a service manager's log."""
ZONES_S = 900
"""Smallest difference between the offsets of two time zones, in seconds (IANA time zone database)."""
FARTHEST_S = 26 * 3600
"""Largest difference between the offsets of two time zones, in seconds: from -12:00 to +14:00."""
FRESH_S = 60.0
"""Maximum age, in seconds, of the newest logged request of a service that is in use."""
AHEAD_S = 60.0
"""Seconds by which a logged time may be later than the host's clock.

The clock is read before the log, and a request may be logged between these two readings.
"""
OLDER = 200
"""The log is searched backwards. The search ends after this number of consecutive requests that are older than the period.

One older request is not enough, because workers log their requests slightly out of order.
"""
_FORMATS = (
    "each line of the log must contain the duration of the request; `invoke actions http.slowest` "
    "shows the supported formats"
)

# BYTES FILE: print the end of the log, preceded by the end of the rotated log if the log is shorter than BYTES.
_TAIL = """
size=$(wc -c < "$2") || exit 1
if test -r "$2.1" && test "$size" -lt "$1"; then tail -c "$(($1 - size))" -- "$2.1"; fi
tail -c "$1" -- "$2"
"""


def readable(ctx: Context, service: Http) -> None:
    """Raise CouldNotVerify unless the log can be read."""
    _text(ctx, service, 256)


def _text(ctx: Context, service: Http, most: int) -> str:
    if not service.access_log:
        return _of_unit(ctx, service, MOST_LINES if most > 256 else 1)
    sink = Answer(f"{ctx.host.name}: {service.access_log}", most)
    output = ctx.run(*as_root(ctx), "sh", "-c", _TAIL, "sh", str(most), service.access_log, sink=sink)
    if not output.ok:
        raise CouldNotVerify(
            f"{ctx.host.name}: the access log {service.access_log} cannot be read: "
            f"{printable(output.stderr, limit=200).strip()}",
            hint="correct `access_log` of the service, or give the SSH user read permission",
        )
    return sink.getvalue().decode("utf-8", "replace")


def _of_unit(ctx: Context, service: Http, lines: int) -> str:
    if not service.unit:
        raise CouldNotVerify(
            f"the service {service.name!r} has neither `access_log` nor `unit` in the inventory",
            hint="set `access_log` of the service to the path of its access log on the host",
        )
    outputs = [ctx.run(*argv) for argv in manager_of(ctx.host).tail(service.unit, lines)]
    if not any(output.ok for output in outputs):
        raise CouldNotVerify(
            f"{ctx.host.name}: the log of {service.unit} cannot be read: "
            f"{printable(outputs[0].stderr or outputs[0].stdout, limit=200).strip()}",
            hint="check that `unit` in the inventory is correct, and that the user may read the log of this unit",
        )
    return "\n".join(output.text for output in outputs if output.ok)


def slowest(ctx: Context, service: Http, last: float) -> dict[str, Any]:
    """Return facts about the slowest requests of the last ``last`` seconds.

    Raises CouldNotVerify when the log's lines or time zone cannot be parsed.
    """
    of_late, how = _of_late(ctx, service, last)
    return (
        accesslog.slowest(of_late) | how | {"resolution_s": max((request.resolution for request in of_late), default=None)}
    )


def errors(ctx: Context, service: Http, last: float) -> dict[str, Any]:
    """Return facts about the failed requests of the last ``last`` seconds.

    Raises CouldNotVerify when the log's lines or time zone cannot be parsed.
    """
    of_late, how = _of_late(ctx, service, last)
    return accesslog.errors(of_late) | how


def _of_late(ctx: Context, service: Http, last: float) -> tuple[list[accesslog.Request], dict[str, Any]]:
    """Return the requests of the last ``last`` seconds, and facts about the part of the log in which they were found."""
    now, zone = _clock(ctx)
    text = _text(ctx, service, MOST_BYTES)
    lines, requests = _newest(text.splitlines(), zone, now - last)
    if lines and not requests:
        raise CouldNotVerify(
            f"{ctx.host.name}: none of the last {len(lines)} lines of the access log of {service.name!r} contains a "
            f"request with its duration; the last line: {printable(lines[-1], limit=200)}",
            hint=_FORMATS,
        )
    of_late = [request for request in requests if now - last <= request.at <= now + AHEAD_S]
    if not of_late and (hours := _astray(requests, now, last)):
        raise CouldNotVerify(
            f"{ctx.host.name}: the times in the access log of {service.name!r} have no time zone, and the newest differs "
            f"by {hours:+g} h from the host's clock: they seem to be in another time zone",
            hint="configure the service to log times with their zone, such as 2026-01-31T12:00:00+00:00, or "
            "in the host's zone",
        )
    whole = len(text) < MOST_BYTES * 0.9 or min(request.at for request in requests) < now - last
    return of_late, {"last_s": last, "complete": whole, "other_lines": len(lines) - len(requests)}


def _newest(lines: list[str], zone: datetime.timezone, since: float) -> tuple[list[str], list[accesslog.Request]]:
    """Return the lines of the log from the time ``since`` to the end, and the requests in these lines. Some older lines may
    come first.

    The lines are read from the end backwards, until ``OLDER`` consecutive requests are older than ``since``.
    """
    requests: list[accesslog.Request] = []
    older = 0
    for count, line in enumerate(reversed(lines), 1):
        if request := accesslog.read(line, zone):
            requests.append(request)
            older = older + 1 if request.at < since else 0
        if older >= OLDER:
            return lines[-count:], requests[::-1]
    return lines, requests[::-1]


def _astray(requests: list[accesslog.Request], now: float, last: float) -> float:
    """Return the number of hours by which the time zone of the log seems to differ from the host's time zone.

    Returns 0 when the two time zones seem to be equal.
    """
    if not requests or any(request.zoned for request in requests):
        return 0.0
    away = max(request.at for request in requests) - now
    quarters = round(away / ZONES_S)
    near = -min(last, FRESH_S) <= away - quarters * ZONES_S <= 1.0
    return quarters * ZONES_S / 3600 if near and abs(away) <= FARTHEST_S else 0.0


def _clock(ctx: Context) -> tuple[float, datetime.timezone]:
    """Return the time of the host's clock, and the host's time zone."""
    now, zone = ctx.run("date", "+%s %z").check().text.split()
    minutes = int(zone[0] + "1") * (int(zone[1:3]) * 60 + int(zone[3:5]))
    return float(now), datetime.timezone(datetime.timedelta(minutes=minutes))
