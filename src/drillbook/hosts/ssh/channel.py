"""Runs one command on one channel of a connection. A separate thread is used only to write to the command's standard input."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.message import Message

from drillbook.hosts.capture import Capture, MarkedCapture
from drillbook.hosts.ssh.transport import close_channel, send_all, send_eof, steady

TICK = 0.2
"""Seconds between two checks for the deadline and for the cancel flag while a command runs."""

LINGER = 2.0
"""Seconds to wait for more output after a command has terminated, since a background process may still write to the same
output.
"""

READ = 4 << 20
MUCH = 32 << 10
"""Number of bytes. Output is read at once when at least this many bytes are unread. A smaller amount is read at the next
tick. Output for a sink is always read at once, because a sink may measure the time at which a byte arrives.
"""


class LinkLost(Exception):
    """Raised when the connection broke, or the channel closed without an exit status."""


class NotSent(LinkLost):
    """Raised when the channel was closed before the command was sent. The command then certainly does not run."""


class ExecRefused(Exception):
    """Raised when the server refuses to start a command."""


@dataclass(frozen=True, slots=True)
class End:
    """Exit status or signal of a finished command. One of them is set, and the other is None."""

    exit: int | None
    signal: str | None


class Wake(threading.Event):
    """Event that paramiko sets when data of a stream arrives, and when the stream ends.

    Paramiko calls ``clear`` when one of the streams is empty, although the other stream may have data. Therefore ``clear``
    does nothing here, and ``reset`` clears the event.
    """

    def clear(self) -> None:
        """Do nothing. ``reset`` clears the event."""

    def reset(self) -> None:
        """Clear the event. Called before the streams are read."""
        super().clear()


class _Wake(Wake):
    """Event that is set in two cases: the output of the command has ended, or much output is unread.

    A small amount of output does not set the event, and is read at the next tick. To wake the thread for a small amount
    would double the time of a short command.
    """

    def __init__(self, channel: Any, much: int = MUCH) -> None:
        """Wake the thread that waits for the command on ``channel``. ``much``: number of unread bytes that is needed to
        wake the thread. With 0, any data wakes the thread.
        """
        super().__init__()
        self._channel = channel
        self._much = much

    def set(self) -> None:
        """Wake the waiting thread if the output has ended, or if much output is unread.

        Paramiko calls this method while it holds the lock of one stream, and before it adds new data to this stream. So the
        new data is not counted. The sizes of both streams are read without their locks.
        """
        channel = self._channel
        waiting = len(channel.in_buffer._buffer) + len(channel.in_stderr_buffer._buffer)
        if waiting >= self._much or channel.eof_received or channel.closed:
            super().set()

    def now(self) -> None:
        """Wake the waiting thread."""
        super().set()


class Fed(Protocol):
    """Receiver of the bytes of a stream, such as a capture."""

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream."""


def drain(channel: Any, out: Fed, err: Fed) -> bool:
    """Pass the output that has arrived on ``channel`` to ``out`` and ``err``. Returns True when there was output.

    Reading may also send a message to the server, so it needs the lock that each sending thread holds. When another thread is
    stuck and does not release this lock, this call reads nothing. A later call then reads the output.
    """
    moved = False
    for ready, receive, stream in (
        (channel.recv_ready, channel.recv, out),
        (channel.recv_stderr_ready, channel.recv_stderr, err),
    ):
        if not ready():
            continue
        with steady(channel).sending() as held:  # while reading, paramiko may send a window adjustment
            data = receive(READ) if held else b""
        stream.feed(data)
        moved = True
    return moved


def request_command(channel: Any, command: bytes, *, last: bool) -> None:
    """Send ``command`` on ``channel``, without waiting for it to start. ``last``: True when the command gets no input.

    ``Channel.exec_command`` waits for the answer without a time limit, and ignores the cancel flag. So this function builds
    the request itself. Raises NotSent when the command was certainly not sent.
    """
    message = Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(command)
    channel._event_pending()
    transport = steady(channel)
    with transport.sending() as held:
        if not held:
            raise NotSent("another thread is stuck while it sends")
        if channel.closed:  # the server closed it before it was used
            raise NotSent("the server closed the channel before the command was sent")
        with channel.lock:
            end = channel._send_eof() if last else None
        transport.send_and_open_ahead([message, end] if end else [message])


class Exec:
    """A command that runs on a channel. ``step`` reads its output, and ``close`` releases the channel."""

    def __init__(self, channel: paramiko.Channel, command: bytes, stdin: bytes, out: Capture, err: MarkedCapture) -> None:
        """Start ``command``, and start to write ``stdin``. Do not wait until the command runs, or until ``stdin`` is
        written.
        """
        self._transport = steady(channel)
        self._channel: Any = channel
        self._out, self._err = out, err
        self._wake = _Wake(channel, 0 if out.has_sink else MUCH)
        self._silent = 0.0
        self._writer: threading.Thread | None = None
        channel.in_buffer.set_event(self._wake)
        channel.in_stderr_buffer.set_event(self._wake)
        request_command(channel, command, last=not stdin)
        if stdin:
            self._writer = threading.Thread(target=self._write, args=(stdin,), name="drillbook-stdin", daemon=True)
            self._writer.start()

    @property
    def pid(self) -> int | None:
        """Process id of the command. This process leads the command's session. The id is None until the marker line has
        arrived.
        """
        return self._err.pid

    def _write(self, stdin: bytes) -> None:
        if send_all(self._channel, stdin):
            send_eof(self._channel)

    def _drain(self) -> bool:
        return drain(self._channel, self._out, self._err)

    def step(self, seconds: float) -> End | None:
        """Wait for output, at most ``seconds`` and at most ``TICK``. Return the exit status or the signal when all output was
        read.

        Returns None while the command runs, or while more output may come. Raises LinkLost when the connection broke,
        ExecRefused when the server refuses to start the command, and the errors of the objects that receive the output.
        """
        self._wake.wait(min(TICK, seconds))
        self._wake.reset()
        channel = self._channel
        # These flags are read before the data: if they are set, all data that arrived before is already in the buffers.
        closed, alive = channel.closed, self._transport.is_active()
        ended = closed or channel.eof_received
        status, signal = channel.exit_status, self._transport.signals.get(channel.get_id())
        known = status >= 0 or signal is not None
        if self._drain():
            self._silent = 0.0
            self._wake.now()
            return None
        if known and (ended or self._lingered()):
            self._err.flush()
            return End(status if status >= 0 and signal is None else None, self._transport.signal_of(channel))
        if closed or not alive:
            self._raise_lost()
        return None

    def mute(self) -> None:
        """Discard further standard output, for example after its sink failed. Standard error is still read."""
        self._out = Capture(0)

    def _lingered(self) -> bool:
        """Return True when it is time to stop waiting for more output. The caller asks this after the command has
        terminated, while a background process still holds the output open. The wait ends when no output has come for 2 s.
        """
        if not self._silent:
            self._silent = time.monotonic()
        return time.monotonic() - self._silent > LINGER

    def _raise_lost(self) -> None:
        # When a connection breaks, its channels close a moment before it is marked inactive.
        alive = self._transport.is_active() and self._transport.saved_exception is None
        if alive and not self._channel.event_ready:
            raise ExecRefused
        raise LinkLost("the server closed the channel without an exit status" if alive else "the connection was lost")

    def close(self) -> None:
        """Release the channel. The process on the host continues."""
        close_channel(self._channel)
        if self._writer is not None:
            self._writer.join(2 * TICK)
        self._transport.signals.pop(self._channel.get_id(), None)
