"""The part of a journal that this very process wrote: only for that can it vouch by itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from drillbook.events.event import Event


@dataclass(slots=True)
class Written:
    """An observer of a journal that remembers the first and the last event it saw; safe from several threads."""

    first: int = -1
    """Number of the first event; -1 while there is none."""
    events: int = 0
    """Number of events in the journal up to the last one written."""
    head: str = ""
    """Hash of the last event written."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, event: Event) -> None:
        """Take in an event that was just written; one that found no room has the number of the one after it."""
        with self._lock:
            if self.first < 0:
                self.first = event.seq
            if event.seq >= self.events - 1:
                self.events, self.head = event.seq + 1, event.hash

    def now(self) -> tuple[int, str]:
        """Number of events and head as of the last one written."""
        with self._lock:
            return self.events, self.head
