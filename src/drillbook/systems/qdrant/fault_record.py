"""Record of the points that a drill will delete. It consists of lines of JSON and a digest. The undo reads this record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from drillbook.systems.qdrant.points import Point, Tally

FORMAT = "drillbook/points/1"


def encoded(points: Sequence[Point]) -> bytes:
    """Encode a record of ``points``. Its first line contains their number and digest, and each further line is one point."""
    head = json.dumps({"format": FORMAT, "points": len(points), "digest": digest(points)})
    return "".join(f"{line}\n" for line in (head, *(point.line() for point in points))).encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> list[Point]:
    """Decode a record. Raises ValueError when it is invalid or was modified."""
    first, *lines = data.splitlines() or [b""]
    head = json.loads(first)
    points = [Point.parse(line) for line in lines]
    if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("digest") != digest(points):
        raise ValueError("the file is not a record of points, or was modified since it was written")
    return points


def digest(points: Iterable[Point]) -> str:
    """Return the digest of points. It does not depend on their order."""
    tally = Tally()
    for point in points:
        tally.add(point.digest())
    return tally.digest
