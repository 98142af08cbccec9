"""A port on the controller's loopback that leads somewhere else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

BLOCK = 64 * 1024


class Far(Protocol):
    """The far end of a forwarded connection."""

    def receive(self) -> bytes:
        """What came next; nothing at the end."""

    def send(self, data: bytes) -> bool:
        """Send all of it; False when the other side has gone."""

    def finish(self) -> None:
        """Nothing more will be sent."""

    def close(self) -> None:
        """End it; a ``receive`` that waits returns."""


class FarSocket:
    """The far end as this machine reaches it."""

    def __init__(self, sock: socket.socket) -> None:
        """A connected socket."""
        self._sock = sock

    def receive(self) -> bytes:
        """What came next."""
        try:
            return self._sock.recv(BLOCK)
        except OSError:
            return b""

    def send(self, data: bytes) -> bool:
        """Send all of it."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True

    def finish(self) -> None:
        """Nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it."""
        # close() alone leaves a recv() in another thread waiting.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class _Pair:
    """One forwarded connection: what comes in at one end goes out at the other."""

    def __init__(self, near: socket.socket, far: Far) -> None:
        self._near, self._far = near, far
        self._out = threading.Thread(target=self._outward, name="drillbook-forward-out", daemon=True)
        self._in = threading.Thread(target=self._inward, name="drillbook-forward-in", daemon=True)
        self._left = 2
        self._lock = threading.Lock()
        self._out.start()
        self._in.start()

    @property
    def over(self) -> bool:
        """Whether both directions have ended."""
        return self._left == 0

    def _outward(self) -> None:
        try:
            while data := self._near.recv(BLOCK):
                if not self._far.send(data):
                    break
        except OSError:
            pass
        self._far.finish()
        self._leave()

    def _inward(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._far.receive():
                self._near.sendall(data)
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_WR)
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._far.close()
            self._near.close()

    def stop(self) -> None:
        """End both directions now and wait until they have."""
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)
        self._far.close()
        self._out.join(2)
        self._in.join(2)


class _Forwarder:
    """Accepts on a loopback port and leads each connection to what ``dial`` reaches."""

    def __init__(self, dial: Callable[[], Far]) -> None:
        self._dial = dial
        self._pairs: list[_Pair] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="drillbook-forward", daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                pair = _Pair(near, self._dial())
            except Exception:  # noqa: BLE001  (whatever keeps the far end away, the near end sees a closed connection)
                near.close()
                continue
            self._pairs = [known for known in self._pairs if not known.over] + [pair]

    def close(self) -> None:
        """Accept nothing more, and end what runs."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        self._accepting.join(15)  # a dial in progress has a limit of its own
        for pair in self._pairs:
            pair.stop()


@contextlib.contextmanager
def forwarded(dial: Callable[[], Far]) -> Iterator[int]:
    """A loopback port whose connections lead to what ``dial`` reaches; it accepts when this is entered."""
    forwarder = _Forwarder(dial)
    try:
        yield forwarder.port
    finally:
        forwarder.close()
