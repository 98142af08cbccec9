"""Capture of the output of a command. It stores the first bytes or passes all of them to a sink, and counts every byte."""

from __future__ import annotations

import time
from typing import BinaryIO

from drillbook.sdk.host import Output

PIECE = 256 * 1024
"""Maximum size in bytes of one piece of output passed to a sink."""

NOISE = 64 * 1024
"""Maximum number of bytes that a login shell may write before the marker line. When more bytes come before the marker line, all
of them count as output of the command.
"""


class Capture:
    """Capture of one output stream.

    It keeps the first ``limit`` bytes or passes all bytes to ``sink``, and counts every byte.
    """

    def __init__(self, limit: int, sink: BinaryIO | None = None) -> None:
        """Start an empty capture. If a ``sink`` is given, all bytes go to the sink, and none are kept in memory."""
        self.total = 0
        self._limit = limit
        self._sink = sink
        self._kept = bytearray()

    @property
    def has_sink(self) -> bool:
        """True when all bytes go to a sink."""
        return self._sink is not None

    @property
    def kept(self) -> bytes:
        """The first ``limit`` bytes of the stream. The value is empty if there is a sink."""
        return bytes(self._kept)

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream. Raises the errors of the sink."""
        self.total += len(data)
        if self._sink is not None:
            for start in range(0, len(data), PIECE):
                self._sink.write(data[start : start + PIECE])
        elif len(self._kept) < self._limit:
            self._kept += data[: self._limit - len(self._kept)]


class MarkedCapture(Capture):
    """Capture of a stream whose first line is a marker line. The marker line is removed from the output.

    The marker line contains a token, the process id of the command, and the path of the login shell.
    """

    def __init__(self, limit: int, token: str) -> None:
        """Expect a marker line with ``token``. The token is a random text, so that no program prints it by chance."""
        super().__init__(limit)
        self.pid: int | None = None
        self.shell = ""
        self._token = token.encode()
        self._held: bytes | None = b""

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream. They are held back until the marker line is complete. When more than NOISE bytes
        came without a complete marker line, all of them become output.
        """
        if self._held is None:
            super().feed(data)
            return
        self._held += data
        before, token, after = self._held.partition(self._token)
        line, end, rest = after.partition(b"\n")
        if token and end:
            pid, _, shell = line.partition(b" ")
            self.pid = int(pid) if pid.isdigit() else None
            self.shell = shell.decode("utf-8", "replace")
            self._held = None
            super().feed(before + rest)
        elif len(self._held) > NOISE:
            self.flush()

    def flush(self) -> None:
        """Handle the end of the stream. If no marker line came, the bytes that were held back become output."""
        held, self._held = self._held, None
        if held:
            super().feed(held)


def captured(
    host: str,
    argv: tuple[str, ...],
    exit_status: int | None,
    signal: str | None,
    *,
    out: Capture,
    err: Capture,
    since: float,
) -> Output:
    """Return the Output of a finished command. ``since``: time on the monotonic clock when the command started, in seconds."""
    return Output(
        host=host,
        argv=argv,
        exit=exit_status,
        signal=signal,
        stdout=out.kept,
        stderr=err.kept,
        seconds=time.monotonic() - since,
        stdout_bytes=out.total,
        stderr_bytes=err.total,
    )
