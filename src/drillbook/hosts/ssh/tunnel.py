"""The far end of a forwarded connection, where that is behind SSH."""

from __future__ import annotations

import paramiko

from drillbook.hosts.forward import BLOCK
from drillbook.hosts.ssh.transport import close_channel, send_all, send_eof


class FarChannel:
    """The far end behind an SSH connection."""

    def __init__(self, channel: paramiko.Channel) -> None:
        """A ``direct-tcpip`` channel."""
        self._channel = channel

    def receive(self) -> bytes:
        """What came next."""
        try:
            return self._channel.recv(BLOCK)
        except OSError:
            return b""

    def send(self, data: bytes) -> bool:
        """Send all of it."""
        return send_all(self._channel, data)

    def finish(self) -> None:
        """Nothing more will be sent."""
        send_eof(self._channel)

    def close(self) -> None:
        """End it."""
        close_channel(self._channel)
