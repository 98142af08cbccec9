"""Examines a journal line by line, to name the first manipulated line and the kind of manipulation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from drillbook.events.event import Event
from drillbook.journal import canonical_lines
from drillbook.journal.collection import paused
from drillbook.values import canonical_again, digest

AT_ONCE = 40
"""Number of lines that are read together. If one of these lines is wrong, or contains for example a number that encoders
write in different ways, the lines are read one by one.
"""
WRONG = (ValueError, ValidationError, RecursionError, AttributeError, KeyError, TypeError)
"""Errors that are raised when a line does not have the form of a journal line."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Verified chain of hashes of a journal, without the events. This chain is compared with two things: the signatures, and
    the copies of hashes that are stored in other places (anchors)."""

    hashes: tuple[str, ...]
    """Hashes of the events up to the first wrong line."""
    intact: bool
    """True when every line is intact and complete."""
    prev: str | None = None
    """Hash of the last event of the previous run, as the first event records it."""


NO_CHAIN = Chain((), intact=False)
"""Empty chain that stands for the chain of a journal that cannot be read."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Result of reading a journal up to its first wrong line: the events before that line, and the problem of the line."""

    events: tuple[Event, ...]
    lines: int
    line: int = 0
    """Number of the first wrong line, counted from 1. It is 0 when every line is intact."""
    wrong: str = ""
    torn: bool = False
    """True when the journal does not end with a line feed. Its last line is then incomplete."""

    @property
    def hashes(self) -> list[str]:
        """Hashes of the events up to the first wrong line."""
        return [event.hash for event in self.events]

    @property
    def chain(self) -> Chain:
        """Chain of hashes up to the first wrong line."""
        prev = self.events[0].prev if self.events else None
        return Chain(tuple(self.hashes), not self.line and not self.torn, prev)


def walk(data: bytes) -> Walk:
    """Read the lines of ``data`` up to the first line that is damaged or does not continue the chain of hashes."""
    with paused():
        return _walk(data)


def _walk(data: bytes, at_once: int = AT_ONCE) -> Walk:
    raw = data.split(b"\n")
    torn = raw.pop() != b""
    events: list[Event] = []
    for start in range(0, len(raw), at_once):
        lines = raw[start : start + at_once]
        if intact := _intact(lines, events):
            events += intact
            continue
        for number, line in enumerate(lines, start):
            event = _event(line)
            if event is None or not _follows(event, events):
                rest = [event, *(_event(later) for later in raw[number + 1 : number + 3])]
                return Walk(tuple(events), len(raw), number + 1, _what(events, rest, number + 1), torn)
            events.append(event)
    if not events:
        return Walk((), 0, 1, "the journal contains no event", torn)
    return Walk(tuple(events), len(raw), torn=torn)


def _intact(lines: Sequence[bytes], before: Sequence[Event]) -> list[Event]:
    """Parse ``lines`` together, which is faster than one by one, and return their events. ``before``: events of all
    earlier lines.

    Returns an empty list when a line is wrong, or when the lines must be read one by one.
    """
    number, prev = (before[-1].seq + 1, before[-1].hash) if before else (0, None)
    try:
        events = _events().validate_python(canonical_lines.parsed(lines))
        for event, line in zip(events, lines, strict=True):
            if event.seq != number or (number and event.prev != prev) or _digest(line, event) != event.hash:
                return []
            number, prev = number + 1, event.hash
    except WRONG:
        return []
    return events


@cache
def _events() -> TypeAdapter[list[Event]]:
    return TypeAdapter(list[Event])


def _event(line: bytes) -> Event | None:
    """Parse a journal line. Return None if the line differs from the form in which Drillbook writes lines, or has a wrong hash."""
    try:
        content: Any = json.loads(line.decode())
        event = Event.model_validate(content)
        return event if canonical_again(content) == line and _digest(line, event) == event.hash else None
    except WRONG:
        return None


def _digest(line: bytes, event: Event) -> str:
    """Return the digest of the canonical ``line`` of ``event`` without its entry ``hash``.

    The content of the event may also contain an entry ``hash``, which comes earlier in the line. So the last entry ``hash`` of
    the line is removed. A malformed hash is not removed, but then the line counts as wrong anyway.
    """
    before, _, after = line.rpartition(b',"hash":"%s"' % event.hash.encode())
    return digest(before + after)


def _follows(event: Event | None, events: Sequence[Event]) -> bool:
    """Return True when ``event`` has the next number, and its ``prev`` is the hash of the last of ``events``."""
    if event is None or event.seq != len(events):
        return False
    return not events or event.prev == events[-1].hash


def _what(events: Sequence[Event], rest: Sequence[Event | None], number: int) -> str:
    """Describe the manipulation at line ``number``.

    ``rest``: the events of that line and of the two lines after it.
    """
    here, after = rest[0], rest[1] if len(rest) > 1 else None
    if _follows(after, events):
        if here and after and here.prev == after.hash:
            return f"line {number} was changed: lines {number} and {number + 1} were swapped"
        return f"line {number} was added"
    if here is None:
        return f"line {number} was changed"
    missing = here.seq - len(events)
    if missing > 0:
        what = f"line {number} was" if missing == 1 else f"lines {number} to {number + missing - 1} were"
        return f"{what} removed: the former line {here.seq + 1} is now line {number}"
    if here.seq < len(events):
        return f"line {number} was added: it repeats line {here.seq + 1}"
    return f"line {number} was changed: it does not continue the previous line"
