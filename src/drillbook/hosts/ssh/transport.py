"""Paramiko's transport with what many commands at once on one connection need."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import paramiko
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_REQUEST
from paramiko.message import Message
from paramiko.packet import Packetizer

CHUNK = 32 * 1024
MOST_PACKET = 1 << 20
"""Bytes of a packet; OpenSSH sends up to 256 KiB."""
MOST_BANNER = 64 << 10
MOST_WAITING = 16 << 20
"""Bytes of a channel that nobody has taken yet: a server that heeds the window sends no more than 2 MiB."""
STUCK = 1.0
"""Seconds after which a sender that holds the gate is taken to be stuck in a full socket."""

# Paramiko logs what it also raises, traceback included; what is raised here is translated.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


class _Packets(Packetizer):
    """Packets as paramiko reads them, none larger than a server has reason to send."""

    _line = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read ``n`` bytes. Raises SSHException, EOFError."""
        if not 0 <= n <= MOST_PACKET:
            raise paramiko.SSHException(f"the server sends a packet of {n} bytes")
        data: bytes = super().read_all(n, check_rekey)
        return data

    def readline(self, timeout: float) -> str:
        """Read a line of what the server says before the keys. Raises SSHException, EOFError."""
        self._line = 0
        line: str = super().readline(timeout)
        return line

    def _read_timeout(self, timeout: float) -> bytes:
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # of its own
        self._line += len(data)
        if self._line > MOST_BANNER:
            raise paramiko.SSHException("the server says no line that ends")
        return data


class SteadyTransport(paramiko.Transport):
    """A transport that knows signals, does not wait for Nagle, and never sends to a channel that has ended.

    Paramiko answers a channel's end from its own thread while another may be about to send to that channel. A server
    that then gets a packet for a channel it has forgotten drops the whole connection, with all that runs on it. So
    whoever sends to a channel holds ``gate``, and so does the answer.
    """

    def __init__(self, sock: Any, **options: Any) -> None:
        """``sock`` is a socket or, through a gateway, a channel."""
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, **options)
        self.packetizer.__class__ = _Packets
        self.gate = threading.Lock()
        self.signals: dict[int, str] = {}

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Hold the gate; gives False, without it, when another sender is stuck.

        The wait is bounded, since a sender may hold the gate until a key exchange is over that the thread which waits
        here has to carry on.
        """
        held = self.gate.acquire(timeout=STUCK)
        try:
            yield held
        finally:
            if held:
                self.gate.release()

    def signal_of(self, channel: paramiko.Channel) -> str | None:
        """The signal that ended the command on ``channel``, such as ``TERM``; asked once."""
        return self.signals.pop(channel.get_id(), None)


def _handle_close(channel: Any, message: Message) -> None:
    """Answer the end of a channel; while keys are exchanged, from another thread.

    Until the exchange is over nothing may be sent, and the thread that this runs in is the one that carries it on: did
    it wait here, as paramiko has it, the connection would stand still for 30 s and then break.
    """
    transport = channel.transport
    if transport.clear_to_send.is_set():
        with transport.sending():
            paramiko.Channel._handle_close(channel, message)  # type: ignore[attr-defined]
        return
    with channel.lock:
        answers = channel._close_internal()
        transport._unlink_channel(channel.get_id())
    threading.Thread(target=_answer, args=(transport, answers), name="drillbook-close", daemon=True).start()


def _answer(transport: Any, answers: Iterable[Message | None]) -> None:
    """Send ``answers`` once the keys are exchanged and whoever was about to send has sent."""
    with transport.gate, contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        for answer in answers:
            if answer is not None:
                transport._send_user_message(answer)


def _handle_data(channel: Any, message: Message) -> None:
    """Take what came for a channel, or end the connection of a server that sends more than it was let."""
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > MOST_WAITING:
        raise paramiko.SSHException("the server sends more than the window of a channel allows")
    paramiko.Channel._feed(channel, message)  # type: ignore[attr-defined]


def _handle_more(channel: Any, message: Message) -> None:
    """The same for the error stream."""
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > MOST_WAITING:
        raise paramiko.SSHException("the server sends more than the window of a channel allows")
    paramiko.Channel._feed_extended(channel, message)  # type: ignore[attr-defined]


def _handle_request(channel: Any, message: Message) -> None:
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.transport.signals[channel.get_id()] = message.get_text()
        return
    message.rewind()
    message.get_int()  # the channel's number, which the caller had read
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]


SteadyTransport._channel_handler_table = {  # type: ignore[attr-defined]
    **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
    MSG_CHANNEL_CLOSE: _handle_close,
    MSG_CHANNEL_DATA: _handle_data,
    MSG_CHANNEL_EXTENDED_DATA: _handle_more,
    MSG_CHANNEL_REQUEST: _handle_request,
}


def steady(channel: paramiko.Channel) -> SteadyTransport:
    """The transport of ``channel``; every connection that Drillbook opens has one of this kind."""
    return cast(SteadyTransport, channel.transport)


def send_all(channel: paramiko.Channel, data: bytes, *, wanted: Callable[[], bool] = lambda: True) -> bool:
    """Send ``data`` while the other side takes it; False when the channel ended or ``wanted`` says no.

    One thread at a time sends to a channel: then a window that is open stays open, and the gate is never held by
    somebody who waits for one.
    """
    transport = steady(channel)
    view = memoryview(data)
    while view:
        if not wanted() or channel.closed or not transport.is_active():
            return False
        if not channel.send_ready():
            with channel.lock:
                channel.out_buffer_cv.wait(0.1)
            continue
        try:
            with transport.sending() as held:
                sent = channel.send(bytes(view[:CHUNK])) if held else 0
        except OSError:
            return False
        view = view[sent:]
    return True


def send_eof(channel: paramiko.Channel) -> None:
    """Tell the other side that nothing more comes."""
    transport = steady(channel)
    with transport.sending() as held:
        if held:
            channel.shutdown_write()


def close_channel(channel: paramiko.Channel) -> None:
    """End ``channel``; does nothing when a stuck sender has the connection, which then is beyond saving."""
    transport = steady(channel)
    with transport.sending() as held:
        if held:
            channel.close()
