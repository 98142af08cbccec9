"""Capture of a command's output: stores the first bytes or passes all to a sink, and counts every byte."""

from __future__ import annotations

import time
from typing import BinaryIO

from drillbook.sdk.host import Output

PIECE = 256 * 1024
"""Maximum size in bytes of one piece of output passed to a sink."""

NOISE = 64 * 1024
"""Maximum number of bytes that a login shell may print before the marker line; if there are more, all bytes count as output."""


class Capture:
    """Capture of one output stream: keeps the first ``limit`` bytes or passes all to ``sink``; counts every byte."""

    def __init__(self, limit: int, sink: BinaryIO | None = None) -> None:
        """Start an empty capture. With a ``sink``, all bytes go there, and none are kept in memory."""
        self.total = 0
        self._limit = limit
        self._sink = sink
        self._kept = bytearray()

    @property
    def kept(self) -> bytes:
        """The first ``limit`` bytes of the stream; empty with a sink."""
        return bytes(self._kept)

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream. Raises any exception of the sink."""
        self.total += len(data)
        if self._sink is not None:
            for start in range(0, len(data), PIECE):
                self._sink.write(data[start : start + PIECE])
        elif len(self._kept) < self._limit:
            self._kept += data[: self._limit - len(self._kept)]


class MarkedCapture(Capture):
    """Capture of a stream that begins with a marker line, which is removed from the output.

    The line holds a token, the process id of the command, and the path of the login shell.
    """

    def __init__(self, limit: int, token: str) -> None:
        """Set up to expect a marker line with ``token``, a random text, so that no program prints it by chance."""
        super().__init__(limit)
        self.pid: int | None = None
        self.shell = ""
        self._token = token.encode()
        self._held: bytes | None = b""

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream; bytes are held back until the marker line is complete."""
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
        """Handle the end of the stream: bytes held back in search of the marker line become output."""
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
    """Build the Output of a finished command; ``since`` is its start in seconds on the monotonic clock."""
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
