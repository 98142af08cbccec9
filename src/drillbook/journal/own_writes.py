"""Records which part of a journal this process itself wrote. The process may sign only this part."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from drillbook.events.event import Event


@dataclass(slots=True)
class Written:
    """Observer of a journal that remembers the first event and the last event that it received. It is thread-safe."""

    first: int = -1
    """Number of the first event received. It is -1 while no event was received."""
    events: int = 0
    """Number of events in the journal, up to the last event received."""
    head: str = ""
    """Hash of the last event received."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, event: Event) -> None:
        """Record an event that was just written.

        If an event cannot be written to the disk, the journal removes it again and gives its number to the next event.
        Therefore this method may receive the same number twice.
        """
        with self._lock:
            if self.first < 0:
                self.first = event.seq
            if event.seq >= self.events - 1:
                self.events, self.head = event.seq + 1, event.hash

    def now(self) -> tuple[int, str]:
        """Return the number of events in the journal up to the last event received, and the hash of that event."""
        with self._lock:
            return self.events, self.head
