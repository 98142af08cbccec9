"""Stopping a run from outside: signals, a stop file, another machine, a guard. The first reason is the one that is told."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from drillbook.errors import JournalError
from drillbook.events.runs import SignalReceived, StopRequested
from drillbook.findings import Finding
from drillbook.journal.journal import Journal

FILE = "stop"
"""A file of this name in a run's folder, or in the folder of all runs, stops the run; its text says who and why."""
LOOK_S = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Stop:
    """Whether the way forward is to end, why, and whether what can wait is to be left out."""

    flag: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    """Set when somebody asked a second time: everything is still put back, what only measures is left out."""
    message: str = "the run was stopped"
    why: str = "aborted"
    """End of the run in the journal: ``aborted``, or ``inconclusive`` where it could not be recorded."""
    findings: tuple[Finding, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, message: str, findings: Sequence[Finding] = (), why: str = "aborted") -> bool:
        """End the way forward; False when that was asked before, and then the first reason stays."""
        with self._lock:
            if self.flag.is_set():
                return False
            self.message, self.findings, self.why = message, tuple(findings), why
            self.flag.set()
            return True


@contextmanager
def by_signals(stop: Stop, journal: Journal) -> Iterator[None]:
    """INT, TERM and HUP stop the run, a second one hurries it; what was broken is put back in both cases."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(number: int) -> None:
        name = signal.Signals(number).name
        first = stop.ask(f"the run was stopped by {name}")
        if not first:
            stop.hurry.set()
        with suppress(JournalError):
            journal.append(SignalReceived(name=name, again=not first))

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        # In a thread, since the flag's lock, or the journal's, may be held right here.
        threading.Thread(target=told, args=(number,), daemon=True).start()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def watching(stop: Stop, *folders: Path, journal: Journal) -> Iterator[None]:
    """Stop the run when a stop file appears in one of ``folders``; notice when its ``journal`` was taken away."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            journal.look()
            for path in (folder / FILE for folder in folders):
                if path.exists():
                    said = _said(path)
                    with suppress(JournalError):
                        if stop.ask(f"the run was stopped by the file {path.name}: {said}"):
                            journal.append(StopRequested(by=said, from_=f"file {path.name}"))
                    return

    thread = threading.Thread(target=look, name="stop-file", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:200] or "it says nothing"
    except OSError:
        return "it cannot be read"
