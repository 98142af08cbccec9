"""Points that a drill is about to delete, kept as lines of JSON under a digest: what brings them back when it dies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from drillbook.systems.qdrant.points import Point, Tally

FORMAT = "drillbook/points/1"


def encoded(points: Sequence[Point]) -> bytes:
    """The record of ``points``: a line that says how many and their digest, then a line a point."""
    head = json.dumps({"format": FORMAT, "points": len(points), "digest": digest(points)})
    return "".join(f"{line}\n" for line in (head, *(one.line() for one in points))).encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> list[Point]:
    """The points of a record. Raises ValueError when it is none, or when they are not those that it was made of."""
    first, *lines = data.splitlines() or [b""]
    head = json.loads(first)
    points = [Point.parse(line) for line in lines]
    if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("digest") != digest(points):
        raise ValueError("not a record of points, or another than was written")
    return points


def digest(points: Iterable[Point]) -> str:
    """Digest of points in whatever order."""
    tally = Tally()
    for one in points:
        tally.add(one.digest())
    return tally.digest
