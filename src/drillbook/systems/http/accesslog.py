"""Parse lines of HTTP access logs, and find the slowest and the failed requests.

A line must have a method and a path, a status, a duration and a time, in one of these forms:

- ``2026-11-25 14:03:10,123 GET /documents status=200 duration=0.0123``. Other accepted names of the duration are ``took=``,
``elapsed=``, ``latency=``, ``rt=``, ``request_time=`` and ``duration_ms=``. After the number, a unit (``us``, ``ms``,
``s``) may follow. A number without a unit is in seconds.
- the common or combined format of nginx and Apache, with the duration at the end of the line: nginx's ``$request_time``
in seconds (https://nginx.org/en/docs/http/ngx_http_log_module.html), or a number with its unit, such as ``12ms``

The default format of uvicorn has no duration, so a middleware or a proxy must log the duration.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.sdk.host import printable
from drillbook.statistics.quantiles import quantile

_REQUEST = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\S+?)(?: HTTP/[0-9.]+)?(?=[\s\"']|$)")
_STATUS = re.compile(r"\bstatus[=: ]\s*\"?(\d{3})\b|[\"'] (\d{3})\b")
_NAMED = re.compile(
    r"\b(?:duration|took|elapsed|latency|rt|request_time)(_ms|_us|_s)?[=:] ?"
    r"\"?(\d+(?:\.\d+)?) ?(us|µs|ms|s)?\b"
)
_LAST = re.compile(r"\s\"?(\d+(?:\.\d+)?) ?(us|µs|ms|s)\"?$|\s\"?(\d+\.\d+)\"?$")
_ISO = re.compile(r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z\b|[+-]\d\d:?\d\d)?")
_COMMON = re.compile(r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
_VARIABLE = re.compile(r"^\d+$|\d{4}|^[0-9a-f]{16,}$|^[0-9a-f]{8}-[0-9a-f]{4}-|^.{65}", re.IGNORECASE)
MOST_ENDPOINTS = 20
MOST_REQUESTS = 10
_MOST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """A logged request: time of its end (``at``, seconds since 1970), method, path, status, duration and rounding error.

    ``zoned`` is False when the logged time had no time zone. The time zone of the host was then assumed.
    """

    at: float
    method: str
    path: str
    status: int
    seconds: float
    resolution: float
    zoned: bool = True

    @property
    def endpoint(self) -> str:
        """Method and path of the request. Parts that select one of many objects (numbers, digests) are replaced by ``{}``."""
        parts = ("{}" if _VARIABLE.search(part) else part for part in self.path.split("/"))
        return f"{self.method} {'/'.join(parts)}"


def read(line: str, zone: datetime.timezone = datetime.UTC) -> Request | None:
    """Parse a line of the log. The query is removed from the path. Returns None when the line does not describe a request.

    ``zone``: time zone for logged times that have no time zone.
    """
    line = line[:_MOST_LINE].rstrip()
    asked, status, at = _REQUEST.search(line), _STATUS.search(line), _time(line, zone)
    lasted = _lasted(line)
    if not asked or not status or at is None or lasted is None:
        return None
    path = re.split(r"[?#;]", asked[2], maxsplit=1)[0] or "/"
    return Request(at[0], asked[1], printable(path, limit=200), int(status[1] or status[2]), *lasted, zoned=at[1])


def _lasted(line: str) -> tuple[float, float] | None:
    """Return the duration in a log line in seconds, and its rounding error. The error is half a unit of the last digit."""
    if named := _NAMED.search(line):
        figure, unit = named[2], named[3] or (named[1] or "").lstrip("_")
    elif last := _LAST.search(line):
        figure, unit = last[1] or last[3], last[2] or ""
    else:
        return None
    return float(figure) * _UNITS[unit], 0.5 * _UNITS[unit] * 10.0 ** -len(figure.partition(".")[2])


def _time(line: str, zone: datetime.timezone) -> tuple[float, bool] | None:
    """Return the time in a log line as seconds since the epoch, and True when the line has a time zone."""
    try:
        if common := _COMMON.search(line):
            return datetime.datetime.strptime(common[1], "%d/%b/%Y:%H:%M:%S %z").timestamp(), True
        if iso := _ISO.search(line):
            text = f"{iso[1]}T{iso[2]}.{(iso[3] or '0').ljust(6, '0')}{(iso[4] or '').replace('Z', '+00:00')}"
            at = datetime.datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp(), at.tzinfo is not None
    except ValueError:
        return None
    return None


def slowest(requests: Iterable[Request]) -> dict[str, Any]:
    """Return facts: the slowest single requests, statistics of all requests, and statistics of each endpoint, with the
    highest p95 first.
    """
    listed = list(requests)
    by_endpoint: dict[str, list[Request]] = defaultdict(list)
    for request in listed:
        by_endpoint[request.endpoint].append(request)
    rows = sorted(
        ({"endpoint": name, **_figures(those)} for name, those in by_endpoint.items()),
        key=lambda row: (-row["p95_s"], row["endpoint"]),
    )
    worst = sorted(listed, key=lambda request: -request.seconds)[:MOST_REQUESTS]
    return {
        **_figures(listed),
        "slowest": rows[0]["endpoint"] if rows else None,
        "endpoints": rows[:MOST_ENDPOINTS],
        "endpoints_count": len(rows),
        "slowest_requests": [
            {
                "at": _utc(request.at),
                "request": f"{request.method} {request.path}",
                "status": request.status,
                "seconds": round(request.seconds, 6),
            }
            for request in worst
        ],
    }


UNAVAILABLE = (502, 503, 504)
"""Statuses with which a service reports that it is unavailable, or that a service behind it is unavailable (RFC 9110,
15.6).

All other statuses above 499 point to a bug of the service itself.
"""


def errors(requests: Iterable[Request]) -> dict[str, Any]:
    """Return facts: number of requests with server errors (5xx), and their endpoints.

    The endpoint with most failures is first.
    """
    listed = list(requests)
    by_endpoint: dict[str, list[Request]] = defaultdict(list)
    for request in listed:
        by_endpoint[request.endpoint].append(request)
    rows = [{"endpoint": name, **_failures(those)} for name, those in by_endpoint.items()]
    failing = sorted((row for row in rows if row["server_errors"]), key=lambda row: (-row["server_errors"], row["endpoint"]))
    return {**_failures(listed), "endpoints": failing[:MOST_ENDPOINTS], "endpoints_count": len(failing)}


def _failures(requests: Sequence[Request]) -> dict[str, Any]:
    failed = [request for request in requests if request.status >= 500]
    broken = [request for request in failed if request.status not in UNAVAILABLE]
    last = max(failed, key=lambda request: request.at, default=None)
    return {
        "count": len(requests),
        "server_errors": len(failed),
        "broken": len(broken),
        "broken_share": round(len(broken) / len(requests), 4) if requests else None,
        "statuses": {str(status): count for status, count in sorted(Counter(request.status for request in failed).items())},
        "last_failed": last and {"at": _utc(last.at), "request": f"{last.method} {last.path}", "status": last.status},
    }


def _figures(requests: Sequence[Request]) -> dict[str, Any]:
    ordered = sorted(request.seconds for request in requests)
    p50, p95 = quantile(ordered, 0.5), quantile(ordered, 0.95)
    return {
        "count": len(ordered),
        "p50_s": p50 and round(p50.value, 6),
        "p95_s": p95 and round(p95.value, 6),
        "p95_s_low": p95 and p95.low,
        "p95_s_high": p95 and p95.high,
        "max_s": round(ordered[-1], 6) if ordered else None,
        "server_errors": sum(request.status >= 500 for request in requests),
    }


def _utc(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
