"""One command on one channel of a connection, without threads of its own unless it has input."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.message import Message

from drillbook.hosts.capture import Capture, MarkedCapture
from drillbook.hosts.ssh.transport import close_channel, send_all, send_eof, steady

TICK = 0.2
"""How often a waiting command looks at its deadline and its flag."""

LINGER = 2.0
"""Seconds of silence after a command's end when something it left behind still holds its output open."""

READ = 4 << 20


class LinkLost(Exception):
    """The connection broke, or ended the channel without saying how the command ended."""


class ExecRefused(Exception):
    """The server would not start a command."""


@dataclass(frozen=True, slots=True)
class End:
    """How a command ended; one of the two is set."""

    exit: int | None
    signal: str | None


class _Wake(threading.Event):
    """Set by either stream; paramiko clears an event when one is empty, which says nothing about the other."""

    def clear(self) -> None:
        """Nothing: ``reset`` clears."""

    def reset(self) -> None:
        """Before looking at the streams."""
        super().clear()


class Exec:
    """A command that runs on ``channel``; ``step`` moves it on, ``close`` lets go of it."""

    def __init__(self, channel: paramiko.Channel, command: bytes, stdin: bytes, out: Capture, err: MarkedCapture) -> None:
        """Start ``command`` and begin to write ``stdin``; nothing is waited for."""
        self._transport = steady(channel)
        self._channel: Any = channel
        self._out, self._err = out, err
        self._wake = _Wake()
        self._silent = 0.0
        self._writer: threading.Thread | None = None
        channel.in_buffer.set_event(self._wake)
        channel.in_stderr_buffer.set_event(self._wake)
        self._request(command, last=not stdin)
        if stdin:
            self._writer = threading.Thread(target=self._write, args=(stdin,), name="drillbook-stdin", daemon=True)
            self._writer.start()

    @property
    def pid(self) -> int | None:
        """The process that leads the command's session, once it has said so."""
        return self._err.pid

    def _request(self, command: bytes, *, last: bool) -> None:
        # Channel.exec_command waits for the answer without a limit, and not at all for a flag; so the request is
        # made by hand, and what follows it is not held back for the answer.
        message = Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self._channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        self._channel._event_pending()
        self._transport._send_user_message(message)  # type: ignore[attr-defined]
        if last:
            send_eof(self._channel)

    def _write(self, stdin: bytes) -> None:
        if send_all(self._channel, stdin):
            send_eof(self._channel)

    def _drain(self) -> bool:
        channel, moved = self._channel, False
        for ready, receive, capture in (
            (channel.recv_ready, channel.recv, self._out),
            (channel.recv_stderr_ready, channel.recv_stderr, self._err),
        ):
            if not ready():
                continue
            with self._transport.sending() as held:  # reading may send a window adjustment
                data = receive(READ) if held else b""
            capture.feed(data)
            moved = True  # what could not be read now is still to come
        return moved

    def step(self, seconds: float) -> End | None:
        """Wait for output or the end, at most ``seconds`` and a tick; the end, once all output is in.

        Raises LinkLost, ExecRefused, and what a sink raises.
        """
        self._wake.wait(min(TICK, seconds))
        self._wake.reset()
        channel = self._channel
        # Looked at first, in the opposite order of their arrival: what came until then is in the status and the buffers.
        closed, alive = channel.closed, self._transport.is_active()
        ended = closed or channel.eof_received
        status, signal = channel.exit_status, self._transport.signals.get(channel.get_id())
        known = status >= 0 or signal is not None
        if self._drain():
            self._silent = 0.0
            self._wake.set()
            return None
        if known and (ended or self._lingered()):
            self._err.flush()
            return End(status if status >= 0 and signal is None else None, self._transport.signal_of(channel))
        if closed or not alive:
            self._raise_lost()
        return None

    def mute(self) -> None:
        """Drop standard output from now on: its sink may be what failed, and the marker is still to come."""
        self._out = Capture(0)

    def _lingered(self) -> bool:
        """Whether the command is long gone and only something that it started keeps its streams open."""
        if not self._silent:
            self._silent = time.monotonic()
        return time.monotonic() - self._silent > LINGER

    def _raise_lost(self) -> None:
        # A connection that breaks closes its channels a moment before it says that it is not active.
        alive = self._transport.is_active() and self._transport.saved_exception is None
        if alive and not self._channel.event_ready:
            raise ExecRefused
        raise LinkLost("the server ended the channel without a status" if alive else "the connection was lost")

    def close(self) -> None:
        """Let go of the channel; the remote process is not touched by that."""
        close_channel(self._channel)
        if self._writer is not None:
            self._writer.join(2 * TICK)
        self._transport.signals.pop(self._channel.get_id(), None)
