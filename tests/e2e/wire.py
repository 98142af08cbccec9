"""TCP relay between the controller and a target, which a test can cut, or let swallow all data."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)
PIECE = 1 << 16


class Wire:
    """Relays connections from ``port`` to ``target``, a port on loopback, by ``mode``.

    ``open`` relays. ``cut`` resets existing and new connections. ``hang`` relays nothing and answers nobody, as when
    packets are lost; data sent meanwhile arrives as soon as the mode is open again, as after a retransmission of TCP.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.mode = "open"
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._over = False
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        return socket.create_server(("127.0.0.1", port), backlog=16)

    def set(self, mode: str) -> None:
        """Switch to ``mode``."""
        with self._lock:
            self.mode = mode
            self._changed.set()
            if mode == "cut":
                for pair in self._pairs:
                    for one in pair:
                        _reset(one)
                self._pairs.clear()

    def close(self) -> None:
        """Stop the relay and all its connections."""
        self.set("cut")
        self._over = True
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        self._listener.settimeout(0.05)
        while not self._over:
            if self.mode == "hang":
                self._wait()
                continue
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with self._lock:
                self._take(near)

    def _take(self, near: socket.socket) -> None:
        """Relay a new connection, or refuse it; called with the lock held."""
        near.settimeout(None)
        if self.mode == "cut":
            _reset(near)
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            _reset(near)
            return
        far.settimeout(None)
        self._pairs.append((near, far))
        thread = threading.Thread(target=self._carry, args=(near, far), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        try:
            with selectors.DefaultSelector() as ready:
                for one in other:
                    ready.register(one, selectors.EVENT_READ)
                while ready.get_map() and near.fileno() >= 0 and not self._over:
                    if self.mode == "hang":
                        self._wait()
                        continue
                    for key, _ in ready.select(0.05):
                        if self.mode == "hang":
                            break
                        data = key.fileobj.recv(PIECE)
                        if data:
                            other[key.fileobj].sendall(data)
                        else:
                            ready.unregister(key.fileobj)
                            other[key.fileobj].shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass
        finally:
            for one in other:
                one.close()

    def _wait(self) -> None:
        """Wait until the mode may have changed."""
        self._changed.wait(0.1)
        self._changed.clear()


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
