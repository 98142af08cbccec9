"""What a query gives: one value or many series, bounded, as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.systems.prometheus.client import Api

MOST_SERIES = 200
"""Series that are kept of an answer; the count of all is told."""
MOST_POINTS = 11_000
"""Points of one series: more Prometheus refuses."""


def instant(api: Api, query: str) -> tuple[str, list[dict[str, Any]]]:
    """Type and series of ``query`` now: ``labels`` and ``value`` of each, None for no number. Raises CouldNotVerify."""
    data = api.post("/api/v1/query", [("query", query)])
    kind, result = _of(data)
    if kind in ("scalar", "string"):
        return kind, [{"labels": {}, "value": _finite(_number(result[1])) if kind == "scalar" else str(result[1])}]
    if kind != "vector":
        raise CouldNotVerify(f"the query gives a {kind}; ask for a value, or use prometheus.range")
    return kind, [
        {"labels": dict(one["metric"]), "value": _finite(_number(one["value"][1]))} for one in result if "value" in one
    ]


def over_time(api: Api, query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
    """Series of ``query`` from ``start`` to ``end``, in seconds of Unix time, a point each ``step`` seconds.

    ``labels`` and ``points`` of each. Raises CouldNotVerify.
    """
    data = api.post(
        "/api/v1/query_range", [("query", query), ("start", f"{start:.3f}"), ("end", f"{end:.3f}"), ("step", f"{step:.3f}")]
    )
    _, result = _of(data)
    return [
        {"labels": dict(one["metric"]), "points": [[float(at), _number(value)] for at, value in one.get("values", [])]}
        for one in result
    ]


def summary(points: list[list[float]]) -> dict[str, Any]:
    """``count first last min max mean`` of a series; what is no finite number is left out of all but ``count``."""
    values = [value for _, value in points if math.isfinite(value)]
    if not values:
        return {"count": len(points), "first": None, "last": None, "min": None, "max": None, "mean": None}
    return {
        "count": len(points),
        "first": values[0],
        "last": values[-1],
        "min": min(values),
        "max": max(values),
        "mean": sum(values) / len(values),
    }


def finite(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Series whose points are JSON: one that is no number, or without end, is null."""
    return [one | {"points": [[at, _finite(value)] for at, value in one["points"]]} for one in found]


def _finite(value: float) -> float | None:
    """JSON has neither NaN, such as 0/0 gives, nor infinity."""
    return value if math.isfinite(value) else None


def _of(data: Any) -> tuple[str, list[Any]]:
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise CouldNotVerify("the answer is none of Prometheus' query API")
    return str(data.get("resultType", "")), data["result"]


def _number(text: Any) -> float:
    """Prometheus writes values as text, so that NaN and infinity can be told."""
    return float(text)


def mappings(value: Any, key: str) -> Iterator[dict[str, Any]]:
    """The mappings in the list ``value[key]``; none when it is something else."""
    found = value.get(key) if isinstance(value, dict) else None
    return (one for one in (found if isinstance(found, list) else ()) if isinstance(one, dict))
