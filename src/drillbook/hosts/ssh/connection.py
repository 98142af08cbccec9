"""Who holds a host's connection: opened when first needed, once for all threads, and again after it broke."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from drillbook.errors import Cancelled, CommandTimedOut, HostError
from drillbook.hosts.ssh.channel import TICK
from drillbook.hosts.ssh.connecting import Link
from drillbook.sdk.host import Deadline


def expired(deadline: Deadline) -> bool:
    """Whether the time is over or the flag is set."""
    return deadline.cancel.is_set() or deadline.remaining() <= 0


class Keeper:
    """The connection of one host."""

    def __init__(self, host: str, opener: Callable[[], Link]) -> None:
        """``opener`` connects; it runs in a thread of its own, so that a flag can end the wait for it."""
        self._host = host
        self._opener = opener
        self._lock = threading.Lock()
        self._closed = False
        self._link: Future[Link] | None = None

    def get(self, deadline: Deadline) -> Link:
        """The open connection. Raises what ``open_link`` raises, CommandTimedOut, Cancelled, and HostError when closed."""
        with self._lock:
            if self._closed:
                raise HostError(f"{self._host}: the connection was closed; it is not opened again", host=self._host)
            link = self._link
            if link is None or (link.done() and not _usable(link)):
                _close(link)
                link = self._link = Future()
                threading.Thread(
                    target=self._open, args=(link,), name=f"drillbook-connect-{self._host}", daemon=True
                ).start()
        while not link.done():
            if deadline.cancel.is_set():
                raise Cancelled(f"{self._host}: stopped while connecting")
            if deadline.remaining() <= 0:
                raise CommandTimedOut(f"{self._host}: not connected when the time was over", host=self._host)
            wait([link], timeout=min(TICK, deadline.remaining()))
        return link.result()

    def _open(self, link: Future[Link]) -> None:
        try:
            opened = self._opener()
        except BaseException as error:  # noqa: BLE001  (handed to those who wait)
            link.set_exception(error)
            return
        with self._lock:
            link.set_result(opened)
            wanted = not self._closed
        if not wanted:
            opened.close()

    def drop(self, link: Link) -> None:
        """``link`` is of no more use; the next ``get`` opens another."""
        link.close()

    def close(self) -> None:
        """Refuse from now on; the connection stays open until ``hang_up``."""
        with self._lock:
            self._closed = True

    def hang_up(self) -> None:
        """End the connection, after ``close``."""
        with self._lock:
            link, self._link = self._link, None
        _close(link)


def _usable(link: Future[Link]) -> bool:
    return link.exception() is None and link.result().alive


def _close(link: Future[Link] | None) -> None:
    # One that is still being opened is closed by the thread that opens it.
    if link is not None and link.done() and link.exception() is None:
        link.result().close()
