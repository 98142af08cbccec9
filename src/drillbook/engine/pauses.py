"""Detects stalls of the controller itself, so that a slow controller is not mistaken for a slow service.

A controller may have no CPU time, be frozen, or be blocked by one of its own threads. Then it reads no answer, however fast
the service was. To detect this, a thread wakes up every 20 ms and measures its delay. Long delays are journalled.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from drillbook.errors import DrillbookError
from drillbook.events.runs import ControllerStalled
from drillbook.journal.journal import Journal
from drillbook.judge.samples import Stalls

BEAT_S = 0.02
STALL_S = 0.1
"""Delay of a wake-up, in seconds, that counts as a stall. Normal scheduling causes far shorter delays."""
FLUSH_S = 0.5
KEPT = 4096
"""Number of stalls that are kept in memory for probes. Only the newest stalls are kept, but the journal records every stall.
"""


class Pulse:
    """Thread that wakes up every 20 ms and records late wake-ups as stalls. Its times are seconds on the run's clock."""

    def __init__(self, journal: Journal) -> None:
        """Prepare the thread. ``journal``: records the stalls, and supplies the run's clock."""
        self.journal = journal
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._due = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._unwritten: list[tuple[float, float]] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._due = self._now() + BEAT_S
            self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and journal the remaining stalls.

        It is safe to call this twice, or without ``start``.
        """
        self._halt.set()
        if self._thread is not None:
            self._thread.join()
        self._flush()

    def stood(self, start: float, end: float) -> float:
        """Return how many seconds between ``start`` and ``end`` were stalls. A stall that is still going on is included."""
        with self._lock:
            spans, due = tuple(self._recent), self._due
        if self._thread is not None and end - due > STALL_S:  # the wake-up is late: a stall that is not recorded yet
            spans = (*spans, (due, end))
        return Stalls(spans).during(start, end)

    def _now(self) -> float:
        return time.monotonic() - self.journal.origin

    def _beat(self) -> None:
        flushed = self._now()
        while not self._halt.wait(max(0.0, self._due - self._now())):
            now = self._now()
            with self._lock:
                if now - self._due > STALL_S:
                    self._recent.append((self._due, now))
                    self._unwritten.append((round(self._due, 6), round(now, 6)))
                self._due = now + BEAT_S
            if now - flushed > FLUSH_S:
                self._flush()
                flushed = now

    def _flush(self) -> None:
        with self._lock:
            spans, self._unwritten = self._unwritten, []
        try:
            if spans:
                self.journal.append(ControllerStalled(spans=tuple(spans)))
        except DrillbookError:  # if the run's journal cannot be written, another check ends the run
            with self._lock:
                self._unwritten = [*spans, *self._unwritten]
