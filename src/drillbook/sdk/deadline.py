"""The deadline of a step for libraries that know only timeouts of one read: it ends the connections that they wait on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar

from drillbook.sdk.host import Deadline

T = TypeVar("T")

TICK_S = 0.1
ENDLESS_S = 10 * 366 * 86400.0
_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def under(deadline: Deadline) -> Iterator[None]:
    """Put connections that this thread makes meanwhile under ``deadline``; see ``current``."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Deadline:
    """The deadline of the step that this thread carries out; without one it is years away."""
    return _CURRENT.get() or Deadline.after(ENDLESS_S)


class Lines:
    """Connections that are ended when ``deadline`` is over or its flag is set, so that whoever waits on one returns.

    A timeout of a library holds for each read anew: a server that sends a byte a second would never reach it.
    """

    def __init__(self, deadline: Deadline) -> None:
        """No connection yet; from now on they are watched until ``close``."""
        self.deadline = deadline
        self._ends: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        _WATCHER.watch(self)

    def add(self, connection: Any) -> None:
        """End ``connection``, a socket or an SSH channel, when the time is over; at once when it is over now."""
        self.ended_by(lambda: _end(connection))

    def ended_by(self, end: Callable[[], object]) -> None:
        """Call ``end`` when the time is over."""
        with self._lock:
            self._ends.append(end)
        if self.over:
            self.cut()

    @property
    def over(self) -> bool:
        """Is the time over, or the flag set?"""
        return self.deadline.cancel.is_set() or self.deadline.remaining() <= 0

    def cut(self) -> None:
        """End every connection now."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(Exception):  # one that is closed already
                end()

    def close(self) -> None:
        """Watch no more; the connections are left as they are."""
        _WATCHER.forget(self)
        with self._lock:
            self._ends = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _end(connection: Any) -> None:
    if hasattr(connection, "in_buffer"):  # an SSH channel, on this side alone: sending to a host that hangs could wait
        connection.in_buffer.close()
        return
    connection.shutdown(2)


class _Watcher:
    """One thread for all lines, which lives while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: set[Lines] = set()
        self._runs = False

    def watch(self, lines: Lines) -> None:
        with self._lock:
            self._lines.add(lines)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

    def forget(self, lines: Lines) -> None:
        with self._lock:
            self._lines.discard(lines)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(TICK_S):
            with self._lock:
                over = [lines for lines in self._lines if lines.over]
                if not self._lines:
                    self._runs = False
                    return
            for lines in over:
                lines.cut()


_WATCHER = _Watcher()


def bounded(work: Callable[[], T], deadline: Deadline, *, late: Callable[[T], object], what: str = "") -> T:
    """Wait for the result of ``work`` until ``deadline``; a result that comes after it is handed to ``late``.

    For what can be left to itself, such as a connection that is being made; ``what`` names who is waited for. Raises
    what ``work`` raises, TimeoutError, Cancelled.
    """
    done, lock = threading.Event(), threading.Lock()
    results: list[T] = []
    errors: list[BaseException] = []
    given_up: list[bool] = []

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  handed to the one who waits
            errors.append(error)
            done.set()
            return
        with lock:
            results.append(result)
            done.set()
            unwanted = bool(given_up)
        if unwanted:
            with suppress(Exception):
                late(result)

    threading.Thread(target=run, name="bounded", daemon=True).start()
    while not done.wait(min(TICK_S, deadline.remaining())):
        with lock:
            if not done.is_set() and (deadline.cancel.is_set() or deadline.remaining() <= 0):
                given_up.append(True)
                break
    if given_up:
        deadline.check(what)
    if errors:
        raise errors[0]
    return results[0]
