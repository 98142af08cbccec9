"""Index that finds the events of a step on a host in a journal.

The index is made only once, because a search through all events for each step takes too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from drillbook.events.event import Event, Events


def by_step(events: Sequence[Event]) -> dict[str, dict[str | None, list[Event]]]:
    """Return the events of each step on each host, in their order.

    The first key is the id of the step, and the second key is the name of the host. The second key is None for events that
    belong to no host.
    """
    return (events if isinstance(events, Events) else Events(events)).by_step


def merged(lists: Sequence[Sequence[Event]]) -> list[Event]:
    """Return the events of several ``lists`` as one list, in the order of the journal."""
    full = [events for events in lists if events]
    return list(full[0]) if len(full) == 1 else sorted(chain.from_iterable(full), key=lambda event: event.seq)
