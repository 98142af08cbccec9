"""Port forwarding. Connections to a port on the controller's loopback address are relayed to a remote address."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

BLOCK = 64 * 1024


class Far(Protocol):
    """Far end of a forwarded connection. It exchanges data with the remote address."""

    def receive(self) -> bytes:
        """Receive the next bytes. The result is empty at the end of the stream."""

    def send(self, data: bytes) -> bool:
        """Send all of ``data``. Returns False when the other side has closed the connection."""

    def finish(self) -> None:
        """Tell the other side that no more data follows."""

    def close(self) -> None:
        """Close the connection, so that a waiting ``receive`` returns."""


class FarSocket:
    """Far end of a forwarded connection that is a socket of this machine."""

    def __init__(self, sock: socket.socket) -> None:
        """Wrap the connected socket ``sock``."""
        self._sock = sock

    def receive(self) -> bytes:
        """Receive the next bytes. The result is empty at the end of the stream."""
        try:
            return self._sock.recv(BLOCK)
        except OSError:
            return b""

    def send(self, data: bytes) -> bool:
        """Send all of ``data``. Returns False when the other side has closed the connection."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True

    def finish(self) -> None:
        """Tell the other side that no more data follows."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection, so that a waiting ``receive`` returns."""
        # without shutdown(), close() would leave a recv() in another thread waiting
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class _Pair:
    """One forwarded connection. It relays data between the connection on loopback (``near``) and the far end."""

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
        """Return True when both directions have ended and their threads have finished."""
        return not (self._out.is_alive() or self._in.is_alive())

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
        """Stop relaying in both directions, and wait for the two threads."""
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)
        self._far.close()
        self._out.join(2)
        self._in.join(2)


class _Forwarder:
    """Accepts connections at ``listener``. ``dial`` opens a far end for each connection."""

    def __init__(self, dial: Callable[[], Far], listener: socket.socket) -> None:
        self._dial = dial
        self._pairs: list[_Pair] = []
        self._listener = listener
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
            except Exception:  # noqa: BLE001  (after any error of dial, the near end is closed)
                near.close()
                continue
            self._pairs = [known for known in self._pairs if not known.over] + [pair]

    def close(self) -> None:
        """Stop accepting connections, and close all open connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # makes accept() return in the other thread
        self._listener.close()
        self._accepting.join(15)  # a connection attempt in progress ends at its own timeout
        for pair in self._pairs:
            pair.stop()


@contextlib.contextmanager
def forwarded(dial: Callable[[], Far]) -> Iterator[int]:
    """Open a loopback port until the `with` block ends. Each connection to it is forwarded to a far end, which ``dial``
    opens.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    forwarder = _Forwarder(dial, listener)
    try:
        yield int(listener.getsockname()[1])
    finally:
        forwarder.close()


@contextlib.contextmanager
def forwarded_privately(dial: Callable[[], Far], name: str) -> Iterator[str]:
    """Open the Unix socket ``name`` in a new folder that only this user can enter, and yield the folder.

    Connections to the socket are forwarded until the `with` block ends.
    """
    with tempfile.TemporaryDirectory(prefix="drillbook-") as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/{name}")
        listener.listen(64)
        forwarder = _Forwarder(dial, listener)
        try:
            yield folder
        finally:
            forwarder.close()
