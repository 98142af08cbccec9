"""Opens session channels before they are needed. The request for the next channel is sent together with each command. So a
command need not wait until the server has opened its channel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN
from paramiko.message import Message

FEW = 4
"""Limit for opening a channel before a command needs it: this is done only while fewer channels than this number are open. A
server usually allows 10 channels, and some servers allow only 2.
"""
FRESH_S = 1.0
"""Maximum age in seconds of the server's last message. After a longer silence, the next command is sent on a new channel, not
on a channel that was opened ahead, and not in the open shell.

The reason is that the server may hang. A command that is sent to such a server could start later, when nobody waits for it.
The request for a new channel is harmless, and its answer shows that the server works.
"""


@dataclass(slots=True)
class Opening:
    """A session channel that the server was asked to open."""

    channel: Any
    answered: threading.Event
    request: Message


class OpeningTransport(paramiko.Transport):
    """Transport that can keep one session channel ready. The next caller that opens a session gets this channel."""

    def __init__(self, sock: Any, **options: Any) -> None:
        """Open a transport on ``sock``."""
        super().__init__(sock, **options)
        self.opens_ahead = True
        """True while a channel may be opened ahead, before a caller needs it. False after the server has refused a channel that
        was opened ahead.
        """
        self._ahead: Opening | None = None
        self._ahead_lock = threading.Lock()

    @property
    def heard_lately(self) -> bool:
        """True when a message of the server arrived in the last ``FRESH_S`` seconds."""
        return time.monotonic() - self.packetizer.heard < FRESH_S  # type: ignore[attr-defined,no-any-return]

    def open_session(
        self, window_size: int | None = None, max_packet_size: int | None = None, timeout: float | None = None
    ) -> paramiko.Channel:
        """Return the channel that was opened ahead, or open a channel.

        Raises SSHException when the server refuses, when the connection is lost, and after ``timeout`` seconds.
        """
        ahead = self._taken()
        if ahead is not None:
            try:
                return self._opened(ahead, timeout)
            except paramiko.ChannelException:
                self.opens_ahead = False
        opening = self._opening(window_size, max_packet_size)
        self._send_user_message(opening.request)  # type: ignore[attr-defined]
        return self._opened(opening, timeout)

    def send_and_open_ahead(self, messages: Iterable[Message]) -> None:
        """Send ``messages`` together with the request for the next channel. The request is left out when a channel is ready, or
        when many channels are open.
        """
        opening = None
        with self._ahead_lock:
            if self._ahead is None and self.opens_ahead and len(self._channels) < FEW:  # type: ignore[attr-defined]
                opening = self._ahead = self._opening()
        try:
            requests = (*messages, opening.request) if opening else tuple(messages)
            self._send_user_message(requests)  # type: ignore[attr-defined]
        except BaseException:
            with self._ahead_lock:
                if self._ahead is opening:
                    self._ahead = None
            raise

    def release(self, channel: paramiko.Channel) -> None:
        """Close ``channel``."""
        channel.close()

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._ahead = None

    def _taken(self) -> Opening | None:
        with self._ahead_lock:
            ahead, self._ahead = self._ahead, None
        if ahead is None or not ahead.answered.is_set():
            return ahead  # its answer is still awaited
        if not ahead.channel.closed and self.heard_lately:
            return ahead
        self.release(ahead.channel)
        return None

    def _opening(self, window_size: int | None = None, max_packet_size: int | None = None) -> Opening:
        """Make a session channel that is not open yet. Return the channel, the request that opens it, and an event that is
        set when the server has answered the request.
        """
        transport: Any = self
        window = transport._sanitize_window_size(window_size)
        packet = transport._sanitize_packet_size(max_packet_size)
        with self.lock:
            number = transport._next_channel()
            channel: Any = paramiko.Channel(number)
            transport._channels.put(number, channel)
            answered = transport.channel_events[number] = threading.Event()
            transport.channels_seen[number] = True
            channel._set_transport(self)
            channel._set_window(window, packet)
        request = Message()
        request.add_byte(cMSG_CHANNEL_OPEN)
        request.add_string("session")
        for value in (number, window, packet):
            request.add_int(value)
        return Opening(channel, answered, request)

    def _opened(self, opening: Opening, timeout: float | None) -> paramiko.Channel:
        """Wait for the answer to ``opening``."""
        begun, limit = time.time(), self.channel_timeout if timeout is None else timeout
        while not opening.answered.wait(0.1) and self.is_active():
            if begun + limit < time.time():
                raise paramiko.SSHException("the server did not open a channel in time")
        channel: paramiko.Channel = opening.channel
        if opening.channel.active:
            return channel
        raise self.get_exception() or paramiko.SSHException("the connection was lost")

    def _parse_channel_open_failure(self, message: Message) -> None:
        """Forget a refused channel if no caller waits for it. The refusal of such a channel is no error."""
        number = message.get_int()
        message.rewind()
        with self._ahead_lock:
            refused = self._ahead is not None and self._ahead.channel.chanid == number
            if refused:
                self._ahead, self.opens_ahead = None, False
        if not refused:
            super()._parse_channel_open_failure(message)  # type: ignore[misc]
            return
        with self.lock:
            self._channels.delete(number)  # type: ignore[attr-defined]
            self.channel_events.pop(number, None)
