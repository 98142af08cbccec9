"""Forwards connections over channels of an SSH connection."""

from __future__ import annotations

import paramiko

from drillbook.hosts.forward import BLOCK
from drillbook.hosts.ssh.transport import close_channel, send_all, send_eof


class FarChannel:
    """Far end of a forwarded connection. It is a channel of an SSH connection."""

    def __init__(self, channel: paramiko.Channel) -> None:
        """Store a channel of the type ``direct-tcpip``."""
        self._channel = channel

    def receive(self) -> bytes:
        """Receive the next bytes. The result is empty at the end of the stream."""
        try:
            return self._channel.recv(BLOCK)
        except OSError:
            return b""

    def send(self, data: bytes) -> bool:
        """Send all of ``data``. Returns False when the other side has closed the connection."""
        return send_all(self._channel, data)

    def finish(self) -> None:
        """Tell the other side that no more data follows."""
        send_eof(self._channel)

    def close(self) -> None:
        """Close the channel, so that a waiting ``receive`` returns."""
        close_channel(self._channel)
