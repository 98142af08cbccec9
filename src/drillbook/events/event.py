"""One line of a journal, and picking the events of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from drillbook.events.content import Content, Unknown

Kind = TypeVar("Kind", bound=Content)


class Event(BaseModel):
    """One line of the journal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int
    at: str
    clock: float
    kind: str
    step: str | None = None
    host: str | None = None
    data: dict[str, Any]
    prev: str | None
    hash: str

    @cached_property
    def what(self) -> Content:
        """The content as the model of its kind. Raises ValueError that names the kind and the field of a wrong type."""
        from drillbook.events.kinds import parse  # noqa: PLC0415  the models take time to load; most commands read none

        return parse(self.kind, self.data)


def readable(event: Event) -> Content:
    """The content of ``event``; as of an unknown kind where a field has a wrong type, which only another version wrote."""
    try:
        return event.what
    except ValueError:
        return Unknown(name=event.kind, content=event.data)


def each(events: Iterable[Event], kind: type[Kind]) -> Iterator[tuple[Event, Kind]]:
    """The events of one kind, oldest first, each with its content."""
    for event in events:
        if isinstance(event.what, kind):
            yield event, event.what


def contents(events: Iterable[Event], kind: type[Kind]) -> list[Kind]:
    """The contents of the events of one kind, oldest first."""
    return [what for _, what in each(events, kind)]


def last(events: Iterable[Event], kind: type[Kind]) -> tuple[Event, Kind] | None:
    """The newest event of one kind with its content; None when there is none."""
    return next(iter(reversed(list(each(events, kind)))), None)
