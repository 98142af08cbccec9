"""Points of a collection, each with an id, a vector and a payload. This module also computes digests of a point and of a
whole collection.

The same point has the same digest on every server. When a vector is written for the first time, Qdrant rounds its numbers to
32-bit floats. If the collection uses the cosine distance, Qdrant also normalises the vector. A vector that is read from
Qdrant and written again does not change.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel

from drillbook.sdk.host import excerpt

Id = int | str
"""Id of a point: an integer, or a UUID as text in the usual form with hyphens."""

ALGORITHM = (
    "sum modulo 2^256 of a sha256 of each point, over its id, its vector as 32-bit floats, and its payload as JSON "
    "with sorted keys"
)
LARGEST_ID = (1 << 64) - 1
_SPARSE = {"indices", "values"}


def id_of(value: Any) -> Id:
    """Parse the id of a point. The value is a number, a UUID, or a text of a number or of a UUID. Raises ValueError for every
    other value.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not the id of a point, which is a number or a UUID")
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, int):
        if not 0 <= value <= LARGEST_ID:
            raise ValueError(f"{value} is not the id of a point: numbers must be from 0 to 2^64 - 1")
        return value
    try:
        return str(value if isinstance(value, UUID) else UUID(value))
    except (ValueError, TypeError, AttributeError):
        raise ValueError(
            f"{excerpt(str(value), limit=80)!r} is not the id of a point, which is a number or a UUID"
        ) from None


def sample(ids: set[Id], count: int = 10) -> list[str]:
    """Return the first ``count`` of ``ids`` as text: numbers first, then UUIDs."""
    return [str(point_id) for point_id in ordered(ids)[:count]]


def ordered(ids: set[Id]) -> list[Id]:
    """Sort ``ids`` in Qdrant's order: numbers, then UUIDs."""
    return sorted(
        ids, key=lambda point_id: (isinstance(point_id, str), point_id if isinstance(point_id, int) else 0, str(point_id))
    )


@dataclass(frozen=True, slots=True)
class Point:
    """One point. ``vector`` has the form of Qdrant's JSON: a list of numbers, or a mapping of names to lists and sparse
    vectors.
    """

    id: Id
    vector: Any
    payload: dict[str, Any]

    @classmethod
    def of(cls, record: Any) -> Self:
        """Convert a record of qdrant-client to a point."""
        return cls(id_of(record.id), _plain(record.vector), dict(record.payload or {}))

    @classmethod
    def parse(cls, line: str | bytes) -> Self:
        """Parse a point from a line of JSON in the format of ``Point.line``. Raises ValueError when the line has another
        format.
        """
        parsed = json.loads(line)
        if not isinstance(parsed, dict) or parsed.keys() != {"id", "vector", "payload"}:
            raise ValueError("not a point")
        return cls(id_of(parsed["id"]), parsed["vector"], parsed["payload"])

    def line(self) -> str:
        """Return the point as one line of JSON, without a line end."""
        return _json({"id": self.id, "vector": self.vector, "payload": self.payload})

    def digest(self) -> bytes:
        """Return the SHA-256 over id, vector and payload."""
        digest = hashlib.sha256()
        for part in (str(self.id).encode(), _packed(self.vector), _json(self.payload).encode("utf-8", "surrogatepass")):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {name: _plain(field) for name, field in value.items()}
    return value


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _packed(value: Any) -> bytes:
    """Encode a vector as bytes. The same number gives the same bytes, whether JSON has it as `1` or as `1.0`."""
    if value is None:
        return b"-"
    if isinstance(value, dict) and value.keys() == _SPARSE:
        pairs = sorted(zip(value["indices"], value["values"], strict=True))
        return b"s" + b"".join(struct.pack("<If", index, number) for index, number in pairs)
    if isinstance(value, dict):
        parts = [_sized(name.encode()) + _sized(_packed(vector)) for name, vector in sorted(value.items())]
        return b"n" + b"".join(parts)
    if value and isinstance(value[0], list):
        return b"m" + b"".join(_sized(_packed(vector)) for vector in value)
    return b"d" + struct.pack(f"<{len(value)}f", *value)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


@dataclass(slots=True)
class Tally:
    """Running count and digest of points, which may be added in any order. The memory use does not depend on the number of
    points.
    """

    points: int = 0
    total: int = 0

    def add(self, digest: bytes) -> None:
        """Count one more point, and include its digest in the digest of all points."""
        self.points += 1
        self.total = (self.total + int.from_bytes(digest, "big")) % (1 << 256)

    @property
    def digest(self) -> str:
        """Hex digest of all points added so far."""
        return f"{self.total:064x}"
