"""First event of a run's journal."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.errors import JournalError
from drillbook.events.event import Event
from drillbook.events.runs import RunStarted


def opening(events: Sequence[Event]) -> RunStarted:
    """Return the content of the first event.

    Raises JournalError when the journal does not belong to a run.
    """
    first = events[0]
    if not isinstance(first.what, RunStarted):
        raise JournalError(f"the journal begins with the event {first.kind!r}, not with {RunStarted.KIND}")
    return first.what
