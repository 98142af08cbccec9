"""The controller's own pulse: it notes when the controller stood still, so that no service is blamed for that.

A process that is starved of its processor, frozen, or held up by one of its own threads hears no answer, however quick
the service was. A thread that wants to run every 20 ms knows how late it is; the journal keeps each time it was late.
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
"""A beat that comes so much late is a stall; an ordinary scheduler takes a fraction of it."""
FLUSH_S = 0.5
KEPT = 4096
"""Stalls that are remembered for probes; the journal keeps all."""


class Pulse:
    """Beats from ``start`` to ``stop``; times are seconds on the run's clock."""

    def __init__(self, journal: Journal) -> None:
        """``journal`` keeps the stalls, and has the run's clock."""
        self.journal = journal
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._due = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._unwritten: list[tuple[float, float]] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to beat; does nothing a second time."""
        if self._thread is None:
            self._due = self._now() + BEAT_S
            self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and write down what was noted; safe to call twice, and without ``start``."""
        self._halt.set()
        if self._thread is not None:
            self._thread.join()
        self._flush()

    def stood(self, start: float, end: float) -> float:
        """Seconds between ``start`` and ``end`` in which the controller stood still, also when it has only just gone on."""
        with self._lock:
            spans, due = tuple(self._recent), self._due
        if self._thread is not None and end - due > STALL_S:  # the beat comes later than whoever asks
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
        except DrillbookError:  # a journal that cannot be written ends the run elsewhere
            with self._lock:
                self._unwritten = [*spans, *self._unwritten]
