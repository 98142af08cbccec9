"""What is kept of a command's output while it runs: bounded, counted, or streamed on."""

from __future__ import annotations

from typing import BinaryIO

PIECE = 256 * 1024
"""The most that a sink is given at once."""

NOISE = 64 * 1024
"""How much a login shell may say before the marker; more, and the marker is given up."""


class Capture:
    """One stream of a command: the first ``limit`` bytes, or all of them to ``sink``, and the count of all."""

    def __init__(self, limit: int, sink: BinaryIO | None = None) -> None:
        """With ``sink`` nothing is kept."""
        self.total = 0
        self._limit = limit
        self._sink = sink
        self._kept = bytearray()

    @property
    def kept(self) -> bytes:
        """The bytes that were kept."""
        return bytes(self._kept)

    def feed(self, data: bytes) -> None:
        """Take what the stream gave next. Raises what the sink raises."""
        self.total += len(data)
        if self._sink is not None:
            for start in range(0, len(data), PIECE):
                self._sink.write(data[start : start + PIECE])
        elif len(self._kept) < self._limit:
            self._kept += data[: self._limit - len(self._kept)]


class MarkedCapture(Capture):
    """A stream whose start holds a line of ``token``, a process id and the login shell, which is taken out of it."""

    def __init__(self, limit: int, token: str) -> None:
        """``token`` is random, so that no program prints it by chance."""
        super().__init__(limit)
        self.pid: int | None = None
        self.shell = ""
        self._token = token.encode()
        self._held: bytes | None = b""

    def feed(self, data: bytes) -> None:
        """Take what the stream gave next; held back until the marker is whole."""
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
        """The stream has ended: what was held back is output after all."""
        held, self._held = self._held, None
        if held:
            super().feed(held)
