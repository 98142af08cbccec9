"""Memory allocations of a Python process. The output of memray and the output of tracemalloc are converted to the same
form.

Held memory is memory that was allocated during the trace, and was not freed by its end. It includes growing caches and work
in progress, so held memory alone proves no leak. A place in the code may leak memory if it is at the top of the list in one
trace, and again in a second trace.
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
"""Maximum number of frames that are read from one stack. In a deeper stack, only the innermost frames are read."""
LARGEST_DRAWING = 5 << 20
NO_FRAME = "(outside of Python)"


@dataclass(frozen=True, slots=True)
class Held:
    """Memory held by one call stack: its frames (outermost first), its size in bytes, and its number of allocations."""

    stack: tuple[str, ...]
    bytes: int
    allocations: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Memory held by a process: the call stacks that hold the most memory, and the sums over all call stacks."""

    held: tuple[Held, ...]
    bytes: int
    allocations: int
    peak_bytes: int
    seconds: float


def of_memray(text: str) -> Seen:
    """Parse the output of the program that reads memray's capture. Raises ValueError when the text is not such an output."""
    try:
        capture = json.loads(text)
        places = [_frame(*place) for place in capture["places"]]
        held = tuple(
            Held(tuple(places[number] for number in reversed(row[2])) or (NO_FRAME,), int(row[0]), int(row[1]))
            for row in capture["rows"][:MOST_STACKS]
        )
        return Seen(
            held,
            int(capture["held_bytes"]),
            int(capture["held_allocations"]),
            int(capture["peak_bytes"]),
            float(capture["seconds"]),
        )
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a list of allocations: {type(error).__name__}") from None


def of_tracemalloc(body: bytes) -> Seen:
    """Parse the answer of an application that traces itself. Raises ValueError when the answer has another form.

    The answer must be ``{"seconds", "held_bytes", "held_allocations", "peak_bytes", "lines": [{"where", "bytes",
    "allocations"}]}``. ``where`` is a line of source code, as ``file:line``. ``bytes`` and ``allocations`` are the
    growth of the memory that this line holds, since the trace began.
    """
    try:
        answer = json.loads(body)
        held = tuple(
            Held((_place(str(line["where"])),), int(line["bytes"]), int(line["allocations"]))
            for line in answer["lines"][:MOST_STACKS]
        )
        return Seen(
            held,
            int(answer["held_bytes"]),
            int(answer["held_allocations"]),
            int(answer["peak_bytes"]),
            float(answer["seconds"]),
        )
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a list of allocations: {type(error).__name__}") from None


def _frame(name: object, file: object, line: object) -> str:
    return f"{excerpt(str(name), limit=80)} ({_place(f'{file}:{line}')})"


def _place(text: str) -> str:
    """Return the file and the line of an allocation in printable form. Only the end of a long path is shown."""
    return printable(text, limit=120)


def summary(seen: Seen, most: int) -> dict[str, Any]:
    """Return the facts of a measurement: its duration, the amount of held memory, the number of held allocations, and the peak
    of the memory. ``places`` lists the places in the code that hold the most memory, at most ``most`` of them, each with its
    share of all held memory.
    """
    sizes, counts = Counter[str](), Counter[str]()
    for held in seen.held:
        sizes[held.stack[-1]] += held.bytes
        counts[held.stack[-1]] += held.allocations
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
    """Draw a flame graph of held memory.

    If the SVG would exceed ``LARGEST_DRAWING`` bytes, the smallest stacks are left out.
    """
    count = len(seen.held)
    while True:
        svg = flamegraph.svg(_weights(seen.held[:count]), title, unit="bytes")
        if len(svg.encode()) <= LARGEST_DRAWING or count <= 1:
            return svg
        count //= 4


def _weights(held: tuple[Held, ...]) -> Mapping[tuple[str, ...], int]:
    bytes_by_stack = Counter[tuple[str, ...]]()
    for part in held:
        bytes_by_stack[part.stack] += max(0, part.bytes)
    return bytes_by_stack
