"""Deadlines for libraries that limit only the time of a single read. The connections of such a library are closed at the
step's deadline.
"""

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
    """Within the ``with`` block, use ``deadline`` for the connections that this thread opens: ``current`` returns it."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Deadline:
    """Return the deadline that ``under`` set for this thread. Outside ``under``, the deadline is ten years ahead."""
    return _CURRENT.get() or Deadline.after(ENDLESS_S)


class Lines:
    """Connections that are closed when ``deadline`` passes or the run is cancelled, so that blocked reads return.

    The timeout of a library is not enough, because it starts again with each read. While a server sends one byte a
    second, such a timeout never expires.
    """

    def __init__(self, deadline: Deadline) -> None:
        """Start with no connections. The method ``add`` adds a connection, and the connection is watched until ``close`` is
        called.
        """
        self.deadline = deadline
        self._ends: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        _WATCHER.watch(self)

    def add(self, connection: Any) -> None:
        """Close ``connection`` (a socket or an SSH channel) when the deadline passes or the run is cancelled. If this has
        already happened, close it at once.
        """
        self.ended_by(lambda: _end(connection))

    def ended_by(self, end: Callable[[], object]) -> None:
        """Call the function ``end`` when the deadline passes or the run is cancelled."""
        with self._lock:
            self._ends.append(end)
        if self.over:
            self.cut()

    @property
    def over(self) -> bool:
        """True when the deadline has passed or the run was cancelled."""
        return self.deadline.cancel.is_set() or self.deadline.remaining() <= 0

    def cut(self) -> None:
        """Close every connection immediately."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(Exception):  # the connection may already be closed
                end()

    def close(self) -> None:
        """Stop watching the connections, and leave them open."""
        _WATCHER.forget(self)
        with self._lock:
            self._ends = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _end(connection: Any) -> None:
    if hasattr(
        connection, "in_buffer"
    ):  # an SSH channel: only this side is closed, since closing could block while the host hangs
        connection.in_buffer.close()
        return
    connection.shutdown(2)


class _Watcher:
    """The single thread that watches all connections. It runs only while there are connections to watch."""

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
    """Wait for the result of ``work`` until ``deadline``. A result that arrives later is passed to ``late``.

    ``work`` cannot be stopped: after the deadline it may continue in the background. ``what``: name of the work in
    messages. Raises the errors of ``work``, TimeoutError at the deadline, and Cancelled when the run is stopped.
    """
    done, lock = threading.Event(), threading.Lock()
    results: list[T] = []
    errors: list[BaseException] = []
    given_up: list[bool] = []

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
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
