"""Event of a journal, and functions that select events by their kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from drillbook.events.content import Content, Unknown

Kind = TypeVar("Kind", bound=Content)


class Event(BaseModel):
    """One line of the journal: number, times, kind, content, and hashes."""

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
        """Content as the model of its kind.

        Raises ValueError when a field is invalid. The message names the kind and the field.
        """
        from drillbook.events.kinds import parse  # noqa: PLC0415  slow to load

        return parse(self.kind, self.data)


def readable(event: Event) -> Content:
    """Return the content of ``event`` as its model.

    Other versions may write a field with a wrong type. In this case, return the content as `Unknown`.
    """
    try:
        return event.what
    except ValueError:
        return Unknown(name=event.kind, content=event.data)


class Events(tuple[Event, ...]):
    """Events of one journal in their order, with an index by kind, and an index by step and host. The indexes keep
    searches in a long journal fast.
    """

    @cached_property
    def _by_kind(self) -> dict[type[Content], list[Event]]:
        by_kind: dict[type[Content], list[Event]] = {}
        for event in self:
            by_kind.setdefault(type(event.what), []).append(event)
        return by_kind

    @cached_property
    def by_step(self) -> dict[str, dict[str | None, list[Event]]]:
        """Events of each step on each host, in their order. The key of the outer dictionary is the id of the step, and
        the key of each inner dictionary is the name of the host.
        """
        steps: dict[str, dict[str | None, list[Event]]] = {}
        for event in self:
            if event.step is not None:
                steps.setdefault(event.step, {}).setdefault(event.host, []).append(event)
        return steps

    def of(self, kind: type[Content] | tuple[type[Content], ...]) -> list[Event]:
        """Events whose content is of ``kind``, or of one of several kinds, oldest first."""
        lists = [events for cls, events in self._by_kind.items() if issubclass(cls, kind)]
        return lists[0] if len(lists) == 1 else sorted(chain.from_iterable(lists), key=lambda event: event.seq)


def each(events: Iterable[Event], kind: type[Kind]) -> Iterator[tuple[Event, Kind]]:
    """Return the events of one kind with their contents, oldest first."""
    for event in events.of(kind) if isinstance(events, Events) else events:
        if isinstance(event.what, kind):
            yield event, event.what


def of_kinds(events: Iterable[Event], *kinds: type[Content]) -> list[Event]:
    """Return the events whose content is of one of ``kinds``, oldest first."""
    return events.of(kinds) if isinstance(events, Events) else [event for event in events if isinstance(event.what, kinds)]


def contents(events: Iterable[Event], kind: type[Kind]) -> list[Kind]:
    """Return the contents of the events of one kind, oldest first."""
    return [what for _, what in each(events, kind)]


def last(events: Iterable[Event], kind: type[Kind]) -> tuple[Event, Kind] | None:
    """Return the newest event of one kind with its content. Return None when no event has that kind."""
    return next(iter(reversed(list(each(events, kind)))), None)
