"""Requests to stop a run. They come from a signal, a stop file, another machine, or the guard.

Only the reason of the first request is reported.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from drillbook.errors import JournalError
from drillbook.events.runs import SignalReceived, StopRequested
from drillbook.findings import Finding
from drillbook.journal.journal import Journal
from drillbook.sdk.host import excerpt

FILE = "stop"
"""Name of the file that stops a run. It lies in the run's folder, or in the folder of all runs.

Its text says who asked, and why.
"""
LOOK_S = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Stop:
    """State of a request to stop: the stop flag, the reason, and a second flag, which tells the run to skip measurements."""

    flag: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    """Flag that is set when a person or a signal asks for the stop a second time. Changes are still undone, but steps that
    only measure are skipped.
    """
    message: str = "the run was stopped"
    why: str = "aborted"
    """Reason for the end of the run. ``inconclusive``: an entry of the journal could not be written to disk. ``aborted``:
    every other reason.
    """
    findings: tuple[Finding, ...] = ()
    signal: int = 0
    """Number of the last signal that the program received in this run, or 0."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, message: str, findings: Sequence[Finding] = (), why: str = "aborted") -> bool:
        """Request a stop of the run.

        When a stop was requested before, return False and keep the first reason.
        """
        with self._lock:
            if self.flag.is_set():
                return False
            self.message, self.findings, self.why = message, tuple(findings), why
            self.flag.set()
            return True


@contextmanager
def by_signals(stop: Stop, journal: Journal) -> Iterator[None]:
    """Stop the run at the signals INT, TERM and HUP. A second signal also skips measurements.

    Changes are undone in both cases. HUP stays ignored if the program ignores it, as under nohup(1).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(number: int) -> None:
        first = _ask(stop, number)
        if not first:
            stop.hurry.set()
        with suppress(JournalError):
            journal.append(SignalReceived(name=signal.Signals(number).name, again=not first))

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        stop.signal = number
        # In a new thread, since the interrupted code may hold the lock of the flag or of the journal.
        threading.Thread(target=told, args=(number,), daemon=True).start()

    before = {number: signal.signal(number, on_signal) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(text: str) -> None:
    del text


@dataclass(slots=True)
class Held:
    """Holder of signals, such as the one of Ctrl-C. A signal takes effect only after the files of a run or of a suite are
    written.

    Otherwise, a signal could end the program when only some of these files are written. A closed terminal, for example,
    sends HUP.
    """

    tell: Callable[[str], object] = _ignore
    """Function that is called once with a message about the signal that is held back."""
    number: int = 0
    """Number of the signal that was held back, or 0."""
    _stop: Stop | None = None
    _stops: list[Stop] = field(default_factory=list)
    _complete: bool = False

    def complete(self) -> None:
        """Note that the work of the outermost ``with`` block is complete. A signal that was held back is then dropped,
        because there is nothing left to stop.
        """
        self._complete = True

    @property
    def stopped(self) -> bool:
        """True when a run in the outermost ``with`` block was asked to stop. A request during the undo of its changes
        counts, too.
        """
        return self.number != 0 or any(stop.flag.is_set() and stop.why == "aborted" for stop in self._stops)

    @property
    def signalled(self) -> bool:
        """True when a signal arrived in the outermost ``with`` block. The value stays true after the block, so that the
        caller begins nothing new.
        """
        return self.number != 0 or any(stop.signal for stop in self._stops)

    @contextmanager
    def back(self, stop: Stop) -> Iterator[None]:
        """Hold back the signals that stop the program, until the ``with`` block ends. Nested blocks hold them back until the
        outermost block ends. After that, the last held-back signal stops the program, unless ``complete`` was called.

        ``stop``: stop request of the run in the block. A signal inside the block sets only this request, so that the run ends
        early and undoes its changes. HUP stays ignored if the program ignores it, as under nohup(1).
        """
        self._stops = [*(self._stops if self._stop else ()), stop]
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        outer, self._stop = self._stop, stop
        self._complete = self._complete and outer is not None
        if self.number:
            _ask(stop, self.number)
        before = {number: signal.signal(number, self._on_signal) for number in _heard()}
        try:
            yield
        finally:
            self._stop = outer
            for number, handler in before.items():
                signal.signal(number, handler)
            if outer is None and self.number:
                stop.signal, self.number = self.number, 0
                if not self._complete:
                    signal.raise_signal(stop.signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        first, self.number = not self.number, number
        # In a new thread, since the interrupted code may hold the lock of the flag or of the terminal.
        threading.Thread(target=self._heard, args=(number, self._stop, first), daemon=True).start()

    def _heard(self, number: int, stop: Stop | None, first: bool) -> None:
        if stop is not None:
            _ask(stop, number)
        if first:
            with suppress(OSError):  # the terminal may be closed
                self.tell(f"{signal.Signals(number).name}: the program ends when the record of the run is complete")


def _heard() -> list[signal.Signals]:
    """Return the signals that stop a run. HUP is left out if the program ignores HUP, as under nohup(1). INT is never left
    out, although a shell makes a program in the background ignore INT.
    """
    return [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]


def _ask(stop: Stop, number: int) -> bool:
    return stop.ask(f"the run was stopped by {signal.Signals(number).name}")


@contextmanager
def watching(stop: Stop, *folders: Path, journal: Journal) -> Iterator[None]:
    """Stop the run when a stop file appears in ``folders``, or when ``journal`` is removed. Both are watched during the
    ``with`` block.
    """
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
        return excerpt(path.read_text(encoding="utf-8", errors="replace").strip(), limit=200) or "the file is empty"
    except OSError:
        return "the file cannot be read"
