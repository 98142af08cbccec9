"""Reads and sends SSH packets with fewer system calls than paramiko, and limits the size of packets."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import paramiko
from paramiko.message import Message
from paramiko.packet import Packetizer

MOST_PACKET = 1 << 20
"""Largest accepted packet in bytes. OpenSSH sends packets of at most 256 KiB."""
MOST_BANNER = 64 << 10
AHEAD = 64 << 10
"""Maximum number of bytes that are read at once."""
CHECK = 0.5
"""Seconds between two checks of an idle connection, for example whether a keepalive message is due."""


class Packets(Packetizer):
    """Reads and sends packets. Limits the size of packets and the length of banner lines."""

    _line = 0
    _complete = False
    _gathered: list[bytes] | None = None
    heard = 0.0
    """Monotonic time at which the last message of the server was read."""

    def read_message(self) -> tuple[int, Message]:
        """Read a message; see ``Packetizer.read_message``."""
        message: tuple[int, Message] = super().read_message()
        self.heard = time.monotonic()
        return message

    def send_message(self, data: Any) -> None:
        """Send a message. The messages of a tuple are sent in one call, so that they arrive together."""
        if not isinstance(data, tuple):
            super().send_message(data)
            return
        with self._Packetizer__write_lock:  # type: ignore[attr-defined]  # paramiko holds it while it sends a message
            gathered = self._gathered = []
            try:
                for message in data:
                    super().send_message(message)
            finally:
                self._gathered = None
                super().write_all(b"".join(gathered))

    def write_all(self, out: bytes) -> None:  # type: ignore[override]
        """Send the bytes of a packet. If `send_message` sends a tuple of messages, do not send the bytes yet, but collect
        them: `send_message` sends the packets of all messages together.
        """
        if self._gathered is None:
            super().write_all(out)
        else:
            self._gathered.append(out)

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read ``n`` bytes. Raises SSHException when ``n`` is too large, and EOFError at the end of the data."""
        if not 0 <= n <= MOST_PACKET:
            raise paramiko.SSHException(f"the server sends a packet of invalid size: {n} bytes")
        data: bytes = super().read_all(n, check_rekey)
        return data

    def complete_handshake(self) -> None:
        """Remove the time limit of the handshake, because the handshake is complete. Paramiko calls this method after
        every packet, but only the first call has an effect."""
        if not self._complete:
            super().complete_handshake()
            self._complete = True

    def readline(self, timeout: float) -> str:
        """Read a line of the server's banner.

        Raises SSHException when the line does not end, and EOFError at the end of the data.
        """
        self._line = 0
        line: str = super().readline(timeout)
        return line

    def _read_timeout(self, timeout: float) -> bytes:
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # Paramiko's own method
        self._line += len(data)
        if self._line > MOST_BANNER:
            raise paramiko.SSHException("the server sent a line without an end")
        return data


class ReadAhead:
    """Socket that reads all available bytes in one call. Paramiko asks for the parts of a packet one by one, and gets
    them from memory. Only one thread may read from this socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Wrap ``sock``, the socket to read from."""
        self._sock = sock
        self._kept = b""

    def recv(self, n: int) -> bytes:
        """Return at most ``n`` bytes; see ``socket.recv``."""
        data = self._kept or self._sock.recv(max(n, AHEAD))
        if len(data) <= n:
            self._kept = b""
            return data
        self._kept = data[n:]
        return data[:n]

    def close(self) -> None:
        """Close the socket. A thread that waits for data is woken at once."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the socket."""
        return getattr(self._sock, name)
