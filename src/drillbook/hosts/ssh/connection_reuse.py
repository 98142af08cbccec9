"""Shares one connection to a host among all threads. The connection is opened when the host is first used, and opened
again after it broke.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from drillbook.errors import Cancelled, CommandTimedOut, HostError
from drillbook.hosts.ssh.channel import TICK
from drillbook.hosts.ssh.login import Link
from drillbook.sdk.host import Deadline


def expired(deadline: Deadline) -> bool:
    """Return True when the deadline has passed or its cancel flag is set."""
    return deadline.cancel.is_set() or deadline.remaining() <= 0


class Keeper:
    """Holder of the connection to one host. All threads share it."""

    def __init__(self, host: str, opener: Callable[[], Link]) -> None:
        """Store ``opener`` without connecting.

        ``get`` calls ``opener`` in another thread, so that the cancel flag can end the wait.
        """
        self._host = host
        self._opener = opener
        self._lock = threading.Lock()
        self._closed = False
        self._link: Future[Link] | None = None

    def get(self, deadline: Deadline) -> Link:
        """Return the open connection. If no connection is open, open one.

        Raises the errors of ``open_link``, CommandTimedOut at the deadline, Cancelled when the run is stopped, and
        HostError when the keeper is closed.
        """
        with self._lock:
            if self._closed:
                raise HostError(f"{self._host}: the connection is closed, and cannot be opened again", host=self._host)
            link = self._link
            if link is None or (link.done() and not _usable(link)):
                _close(link)
                link = self._link = Future()
                threading.Thread(
                    target=self._open, args=(link,), name=f"drillbook-connect-{self._host}", daemon=True
                ).start()
        while not link.done():
            if deadline.cancel.is_set():
                raise Cancelled(f"{self._host}: the run was stopped while connecting")
            if deadline.remaining() <= 0:
                raise CommandTimedOut(f"{self._host}: no connection before the deadline", host=self._host)
            wait([link], timeout=min(TICK, deadline.remaining()))
        return link.result()

    def _open(self, link: Future[Link]) -> None:
        try:
            opened = self._opener()
        except BaseException as error:  # noqa: BLE001  (raised again in the waiting threads)
            link.set_exception(error)
            return
        with self._lock:
            link.set_result(opened)
            wanted = not self._closed
        if not wanted:
            opened.close()

    def drop(self, link: Link) -> None:
        """Close the broken connection ``link``. The next ``get`` opens a new connection."""
        link.close()

    def close(self) -> None:
        """Refuse further calls of ``get``. An open connection stays open until ``hang_up``."""
        with self._lock:
            self._closed = True

    def hang_up(self) -> None:
        """Close the connection. Called after ``close``."""
        with self._lock:
            link, self._link = self._link, None
        _close(link)


def _usable(link: Future[Link]) -> bool:
    return link.exception() is None and link.result().alive


def _close(link: Future[Link] | None) -> None:
    # If a connection is still being opened, the opening thread closes it.
    if link is not None and link.done() and link.exception() is None:
        link.result().close()
