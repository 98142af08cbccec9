"""Walking a journal line by line, to name the first one that is not as it was written, and what was done to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from drillbook.events.event import Event
from drillbook.values import canonical, digest


@dataclass(frozen=True, slots=True)
class Walk:
    """A journal as far as it is whole: its events, and what is wrong with the line after them."""

    events: tuple[Event, ...]
    lines: int
    line: int = 0
    """Number of the first wrong line, from 1; 0 when every line is as it was written."""
    wrong: str = ""
    torn: bool = False
    """Does something stand behind the last line end?"""

    @property
    def hashes(self) -> list[str]:
        """Hash of every event up to the first wrong line."""
        return [event.hash for event in self.events]


def walk(data: bytes) -> Walk:
    """Read the lines of ``data`` up to the first that is wrong."""
    raw = data.split(b"\n")
    torn = raw.pop() != b""
    events: list[Event] = []
    for number, line in enumerate(raw):
        event = _event(line)
        if event is None or not _follows(event, events):
            rest = [event, *(_event(later) for later in raw[number + 1 : number + 3])]
            return Walk(tuple(events), len(raw), number + 1, _what(events, rest, number + 1), torn)
        events.append(event)
    if not events:
        return Walk((), 0, 1, "it holds no event", torn)
    return Walk(tuple(events), len(raw), torn=torn)


def _event(line: bytes) -> Event | None:
    """The event of a line that is, byte for byte, one that a journal writes; None for any other."""
    try:
        content: Any = json.loads(line)
        event = Event.model_validate(content)
        if canonical(content) != line:
            return None
        claimed = content.pop("hash")
        return event if digest(canonical(content)) == claimed else None
    except (ValueError, ValidationError, RecursionError, AttributeError, KeyError, TypeError):
        return None


def _follows(event: Event | None, events: Sequence[Event]) -> bool:
    """Does ``event`` come right after ``events``? Before the first stands the head of the run before, whichever it is."""
    if event is None or event.seq != len(events):
        return False
    return not events or event.prev == events[-1].hash


def _what(events: Sequence[Event], rest: Sequence[Event | None], number: int) -> str:
    """What was done at line ``number``; ``rest`` are the events of that line and of the two after it."""
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
        return f"{what} removed: event {len(events)} is missing, event {here.seq} stands there"
    if here.seq < len(events):
        return f"line {number} was added: it is event {here.seq} again"
    return f"line {number} was changed: it does not continue the line before it"
