"""Where a Python process allocates memory: what memray and tracemalloc tell of it, brought to one form; pure.

Held is what was allocated while it was watched and not freed by the end: caches that fill and work that is under way are
among it, so what matters is what is on top, and stays there when one looks again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drillbook.sdk.host import excerpt, printable
from drillbook.systems.linux import flamegraph

MOST_STACKS = 2000
MOST_FRAMES = 100
"""Frames of a stack that are read, the innermost ones."""
LARGEST_DRAWING = 5 << 20
NO_FRAME = "(outside of Python)"


@dataclass(frozen=True, slots=True)
class Held:
    """What one stack holds: its frames, outermost first, the bytes, and by how many allocations."""

    stack: tuple[str, ...]
    bytes: int
    allocations: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a process: the largest stacks, and the sums over all of them."""

    held: tuple[Held, ...]
    bytes: int
    allocations: int
    peak_bytes: int
    seconds: float


def of_memray(text: str) -> Seen:
    """What the reader of a capture printed. Raises ValueError."""
    try:
        found = json.loads(text)
        places = [_frame(*place) for place in found["places"]]
        held = tuple(
            Held(tuple(places[number] for number in reversed(row[2])) or (NO_FRAME,), int(row[0]), int(row[1]))
            for row in found["rows"][:MOST_STACKS]
        )
        return Seen(
            held, int(found["held_bytes"]), int(found["held_allocations"]), int(found["peak_bytes"]), float(found["seconds"])
        )
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no list of allocations: {type(error).__name__}") from None


def of_tracemalloc(body: bytes) -> Seen:
    """What an application answers that watches itself. Raises ValueError.

    Expected is ``{"seconds", "held_bytes", "held_allocations", "peak_bytes", "lines": [{"where", "bytes",
    "allocations"}]}``, with growth in bytes and blocks by line since the watching began; ``where`` is ``file:line``.
    """
    try:
        found = json.loads(body)
        held = tuple(
            Held((_place(str(line["where"])),), int(line["bytes"]), int(line["allocations"]))
            for line in found["lines"][:MOST_STACKS]
        )
        return Seen(
            held, int(found["held_bytes"]), int(found["held_allocations"]), int(found["peak_bytes"]), float(found["seconds"])
        )
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no list of allocations: {type(error).__name__}") from None


def _frame(name: object, file: object, line: object) -> str:
    return f"{excerpt(str(name), limit=80)} ({_place(f'{file}:{line}')})"


def _place(text: str) -> str:
    """A file with its line; of a long path the end."""
    return printable(text, limit=120)


def summary(seen: Seen, most: int) -> dict[str, Any]:
    """Facts: the sums, and the ``most`` places that hold most, each with its share of all that is held."""
    sizes, counts = Counter[str](), Counter[str]()
    for one in seen.held:
        sizes[one.stack[-1]] += one.bytes
        counts[one.stack[-1]] += one.allocations
    rows = [
        {"where": where, "bytes": size, "allocations": counts[where], "share": round(size / max(1, seen.bytes), 4)}
        for where, size in sizes.most_common(most)
        if size > 0
    ]
    return {
        "seconds": round(seen.seconds, 3),
        "held_bytes": seen.bytes,
        "held_allocations": seen.allocations,
        "peak_bytes": seen.peak_bytes,
        "largest": rows[0]["where"] if rows else None,
        "places": rows,
    }


def drawing(seen: Seen, title: str) -> str:
    """A flame graph of what is held, at most ``LARGEST_DRAWING`` bytes; of very many stacks only the largest are drawn."""
    count = len(seen.held)
    while True:
        svg = flamegraph.svg(_weights(seen.held[:count]), title, unit="bytes")
        if len(svg.encode()) <= LARGEST_DRAWING or count <= 1:
            return svg
        count //= 4


def _weights(held: tuple[Held, ...]) -> Mapping[tuple[str, ...], int]:
    found = Counter[tuple[str, ...]]()
    for one in held:
        found[one.stack] += max(0, one.bytes)
    return found
