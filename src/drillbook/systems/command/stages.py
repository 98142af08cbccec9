"""Stages of a script.

The script prints a line when a stage begins, and durations are measured from the arrival of these lines.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Protocol

from drillbook.sdk.host import printable

MARK = re.compile(rb"^::stage (\S.{0,99}?)\r?$", re.MULTILINE)
"""Pattern of a line that begins a stage, such as ``::stage restore the dump``."""
MOST = 50
"""Maximum number of stages that are measured."""
KEPT = 4000
LONGEST = 200
"""Largest number of bytes that are kept of a line whose end has not arrived yet."""


class Writer(Protocol):
    """Object to which the output of the script is passed on, such as an evidence file."""

    def write(self, data: bytes, /) -> Any:
        """Take the next part of the output."""


class Stages:
    """Sink of a script's standard output. It passes the output on, and records the time of each line that begins a stage."""

    def __init__(self, inner: Writer, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to measure the stages now. ``clock`` returns seconds. The output is passed on to ``inner``."""
        self._inner, self._clock = inner, clock
        self._rest, self._tail = b"", b""
        self._begun: list[tuple[str, float]] = []

    def write(self, data: bytes) -> int:
        """Take the next part of the output."""
        self._inner.write(data)
        self._tail = (self._tail + data)[-KEPT:]
        whole, _, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[:LONGEST]
        for mark in MARK.finditer(whole):
            if len(self._begun) < MOST:
                self._begun.append((printable(mark[1]), self._clock()))
        return len(data)

    @property
    def tail(self) -> str:
        """The last part of the output, in printable form."""
        return printable(self._tail).rstrip("\n")

    def measured(self) -> list[dict[str, Any]]:
        """Return the stages with their durations in seconds. Call this at the end of the script, because the last stage is
        measured until the call.
        """
        if not self._begun:
            return []
        ends = [at for _, at in self._begun[1:]] + [self._clock()]
        return [{"name": name, "seconds": round(end - at, 3)} for (name, at), end in zip(self._begun, ends, strict=True)]
