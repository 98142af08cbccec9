"""Transport of paramiko, adapted to many concurrent commands on one connection."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import paramiko
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_REQUEST
from paramiko.message import Message

from drillbook.hosts.ssh.early_channels import OpeningTransport
from drillbook.hosts.ssh.packets import CHECK, Packets, ReadAhead

CHUNK = 32 * 1024
MOST_WAITING = 16 << 20
"""Maximum number of unread bytes of a channel. A server that respects the window sends at most 2 MiB."""
STUCK = 1.0
"""Seconds to wait for the lock ``gate``.

A thread that holds the lock for longer counts as stuck. There are two possible reasons: its socket accepts no more data, or
the thread waits for the end of a key exchange.
"""

# Paramiko logs each error that it raises, with a traceback; Drillbook translates these errors itself.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


class SteadyTransport(OpeningTransport):
    """Transport that stores which signal killed a command, disables Nagle's algorithm, and never sends to a closed channel.

    When the server closes a channel, a thread of paramiko answers, and the server then forgets the channel. A packet for a
    forgotten channel makes the server drop the whole connection with all its commands. So no other thread may send to the
    channel after the answer. Therefore every thread holds the lock ``gate`` while it sends, and so does the thread that
    answers.
    """

    # AES-GCM first, as it checks a packet in the same call that decrypts it. Paramiko checks other packets in Python.
    _preferred_ciphers = tuple(sorted(paramiko.Transport._preferred_ciphers, key=lambda name: "gcm" not in name))  # type: ignore[attr-defined]

    def __init__(self, sock: Any, **options: Any) -> None:
        """Open a transport on ``sock``: a socket, or a channel to the host when the host is reached through a gateway."""
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().__init__(ReadAhead(sock), **options)
            sock.settimeout(CHECK)
        else:
            super().__init__(sock, **options)
        self.packetizer.__class__ = Packets
        self.gate = threading.Lock()
        self.signals: dict[int, str] = {}

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Hold the lock ``gate`` during the ``with`` block, and yield True. If the lock is not free within ``STUCK``
        seconds, yield False, and do not hold the lock.

        The time limit prevents a deadlock. Another thread may hold the lock until a key exchange ends. If the thread that
        waits here must perform this exchange, both threads would wait for ever.
        """
        held = self.gate.acquire(timeout=STUCK)
        try:
            yield held
        finally:
            if held:
                self.gate.release()

    def release(self, channel: paramiko.Channel) -> None:
        """Close ``channel``. Nothing is sent to the server if the connection is lost, or if a stuck thread holds
        ``gate``.
        """
        with self.sending() as held, suppress(EOFError, OSError):
            if held:
                channel.close()

    def signal_of(self, channel: paramiko.Channel) -> str | None:
        """Return the signal that killed the command on ``channel``, such as ``TERM``, or None when no signal killed it.

        The transport forgets the signal, so a second call returns None.
        """
        return self.signals.pop(channel.get_id(), None)


def _handle_close(channel: Any, message: Message) -> None:
    """Answer the server when it closes a channel. No answer may be sent during a key exchange, so another thread sends the
    answer after the exchange. The thread that calls this function must not wait for the end of the exchange, because it
    performs the exchange itself. Paramiko's own method waits there, so that the connection stalls for 30 s and breaks.
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
    """Send ``answers`` once the key exchange has finished and no other thread holds the lock ``gate``."""
    with transport.gate, suppress(paramiko.SSHException, OSError, EOFError):
        for answer in answers:
            if answer is not None:
                transport._send_user_message(answer)


def _handle_data(channel: Any, message: Message) -> None:
    """Receive standard output of a channel. Abort the connection when the server sends more than the window allows."""
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > MOST_WAITING:
        raise paramiko.SSHException("the server sends more data than the window of a channel allows")
    paramiko.Channel._feed(channel, message)  # type: ignore[attr-defined]


def _handle_more(channel: Any, message: Message) -> None:
    """Receive standard error of a channel. Abort the connection when the server sends more than the window allows."""
    if len(channel.in_buffer) + len(channel.in_stderr_buffer) > MOST_WAITING:
        raise paramiko.SSHException("the server sends more data than the window of a channel allows")
    paramiko.Channel._feed_extended(channel, message)  # type: ignore[attr-defined]


def _handle_request(channel: Any, message: Message) -> None:
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.transport.signals[channel.get_id()] = message.get_text()
        return
    message.rewind()
    message.get_int()  # skips the channel number, which the caller has read
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]


SteadyTransport._channel_handler_table = {  # type: ignore[attr-defined]
    **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
    MSG_CHANNEL_CLOSE: _handle_close,
    MSG_CHANNEL_DATA: _handle_data,
    MSG_CHANNEL_EXTENDED_DATA: _handle_more,
    MSG_CHANNEL_REQUEST: _handle_request,
}


def steady(channel: paramiko.Channel) -> SteadyTransport:
    """Return the transport of ``channel``. It is a SteadyTransport on every connection of Drillbook."""
    return cast(SteadyTransport, channel.transport)


def send_all(channel: paramiko.Channel, data: bytes, *, wanted: Callable[[], bool] = lambda: True) -> bool:
    """Send all of ``data``. Returns False when the channel closes, or when ``wanted`` returns False.

    The window of a channel is the number of bytes that the server still accepts. Only one thread sends to a channel, so a
    window that was found open is still open when this function sends. The lock ``gate`` is never held during a wait for an
    open window.
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
    """Tell the other side that no more data follows."""
    transport = steady(channel)
    with transport.sending() as held:
        if held:
            channel.shutdown_write()


def close_channel(channel: paramiko.Channel) -> None:
    """Close ``channel``; see ``SteadyTransport.release``."""
    steady(channel).release(channel)
