"""Results of a query: one value or a limited number of series, as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.systems.prometheus.client import Api

MOST_SERIES = 200
"""Maximum number of series that are stored from one answer. The fact ``count`` also counts the series that are not stored."""
MOST_POINTS = 11_000
"""Maximum number of points of one series. Prometheus refuses queries that would return more."""


def instant(api: Api, query: str) -> tuple[str, list[dict[str, Any]]]:
    """Run ``query`` for the present time. Return the type of the answer, and its series.

    Each series has ``labels`` and one ``value``, which is None if it is not finite. Raises CouldNotVerify when the query
    fails, or returns values of a period.
    """
    data = api.post("/api/v1/query", [("query", query)])
    kind, result = _of(data)
    if kind in ("scalar", "string"):
        return kind, [{"labels": {}, "value": _finite(_number(result[1])) if kind == "scalar" else str(result[1])}]
    if kind != "vector":
        raise CouldNotVerify(
            f"the query returns a {kind}; write a query that returns present values, or use prometheus.range"
        )
    return kind, [
        {"labels": dict(row["metric"]), "value": _finite(_number(row["value"][1]))} for row in result if "value" in row
    ]


def over_time(api: Api, query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
    """Return the series of ``query`` from ``start`` to ``end`` (seconds of Unix time), with points ``step`` seconds apart.

    Each series has ``labels`` and ``points``. Raises CouldNotVerify when the query fails.
    """
    data = api.post(
        "/api/v1/query_range", [("query", query), ("start", f"{start:.3f}"), ("end", f"{end:.3f}"), ("step", f"{step:.3f}")]
    )
    _, result = _of(data)
    return [
        {"labels": dict(row["metric"]), "points": [[float(at), _number(value)] for at, value in row.get("values", [])]}
        for row in result
    ]


def summary(points: list[list[float]]) -> dict[str, Any]:
    """Return ``count``, ``first``, ``last``, ``min``, ``max`` and ``mean`` of a series. Values that are not finite are
    included only in ``count``.
    """
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


def finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace values that are not finite by None in the points of all series, so that the series can be written as JSON."""
    return [row | {"points": [[at, _finite(value)] for at, value in row["points"]]} for row in rows]


def _finite(value: float) -> float | None:
    """Replace NaN (such as the result of 0/0) and infinity by None, since JSON cannot represent them."""
    return value if math.isfinite(value) else None


def _of(data: Any) -> tuple[str, list[Any]]:
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise CouldNotVerify("the answer does not have the format of Prometheus' query API")
    return str(data.get("resultType", "")), data["result"]


def _number(text: Any) -> float:
    """Parse a value of Prometheus. Prometheus writes each value as a text, since the value may be NaN or infinity."""
    return float(text)


def mappings(value: Any, key: str) -> Iterator[dict[str, Any]]:
    """Yield the mappings (JSON objects) in the list ``value[key]``. Yield nothing when ``value`` has no such list."""
    listed = value.get(key) if isinstance(value, dict) else None
    return (mapping for mapping in (listed if isinstance(listed, list) else ()) if isinstance(mapping, dict))
