"""PostgreSQL connection that limits the size of each answer.

libpq keeps each answer in memory as a whole, and also everything that a server sends before the login. Therefore bytes
are counted as they arrive, and the connection is closed as soon as an answer exceeds its limit. Each row of a stream
counts as one answer.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Self, TypeVar

import psycopg

from drillbook.sdk.answer_limits import MOST_BYTES, too_large

T = TypeVar("T")

MOST_GREETING = 1 << 20
"""Maximum number of bytes that a server may send before the login is complete, such as certificates, settings and notices."""
_RECEIVED = 128
"""Offset in bytes of the field `tcpi_bytes_received` in Linux's `struct tcp_info`."""


class Bounded(psycopg.Connection[tuple[Any, ...]]):
    """Connection that is closed when an answer exceeds its limit. CouldNotVerify is then raised."""

    def wait(self, gen: Generator[Any, Any, T], *given: Any, **named: Any) -> T:
        """Wait for one answer, or for one row of a stream. Raises CouldNotVerify when the answer or the row is too
        large, and psycopg.Error when the query fails.
        """
        return super().wait(self._counted(gen), *given, **named)

    def _counted(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        arrived: _Arrived | None = None
        try:
            state = next(gen)
            while True:
                arrived = arrived or _Arrived(self.pgconn.socket)
                ready = yield state
                arrived.look()
                state = gen.send(ready)
                if arrived.bytes > MOST_BYTES:
                    over = too_large(f"an answer of the server at {self.info.host}:{self.info.port}", MOST_BYTES)
                    self.pgconn.finish()
                    raise over
        except StopIteration as done:
            value: T = done.value
            return value

    @classmethod
    def _connect_gen(cls, *given: Any, **named: Any) -> Generator[Any, Any, Self]:
        gen = super()._connect_gen(*given, **named)
        known: dict[int, _Arrived] = {}
        try:
            state = next(gen)
            while True:
                arrived = known.setdefault(state[0], _Arrived(state[0], fresh=True))
                ready = yield state
                arrived.look()
                if arrived.bytes > MOST_GREETING:
                    gen.close()
                    raise too_large("the server's output before the login", MOST_GREETING)
                state = gen.send(ready)
        except StopIteration as done:
            made: Self = done.value
            return made


class _Arrived:
    """Counter of the bytes that a socket has received since the counter was created.

    When ``fresh`` is true, all bytes since the creation of the socket are counted. Only TCP sockets on Linux report such a
    total. For other sockets, the number is an estimate: each call of ``look`` adds the number of bytes that wait to be read.
    """

    def __init__(self, number: int, *, fresh: bool = False) -> None:
        """Start to count. ``number`` is the file descriptor of the socket."""
        self._number, self.bytes = number, 0
        self._before = 0 if fresh else self._total() or 0

    def look(self) -> None:
        """Update ``bytes``, the number of bytes that have arrived so far."""
        total = self._total()
        self.bytes = self.bytes + self._waiting() if total is None else total - self._before

    def _total(self) -> int | None:
        if sys.platform != "linux":
            return None
        with suppress(OSError, struct.error):
            line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=self._number)
            try:
                info = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            finally:
                line.detach()
            return int(struct.unpack_from("=Q", info, _RECEIVED)[0])
        return None

    def _waiting(self) -> int:
        with suppress(OSError):
            return int(struct.unpack("i", fcntl.ioctl(self._number, termios.FIONREAD, b"\0" * 4))[0])
        return 0
