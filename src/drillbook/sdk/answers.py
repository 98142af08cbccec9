"""Answers of targets that are read whole: each has a budget, so that no host makes the controller grow without bound."""

from __future__ import annotations

import io
import json
from typing import Any, Protocol

from drillbook.errors import CouldNotVerify

MOST_BYTES = 32 << 20
"""Bytes of an answer; of a folder that is archived these are about 130,000 entries."""
MOST_THINGS = 3_000_000
"""Values in an answer that is JSON: in memory, one takes many times its bytes."""


_HINT = "look at what is sent from there; a healthy one stays far below that"


class Sink(Protocol):
    """Anything that bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Take all of ``data``."""


class Budget:
    """Bytes and values that one answer may have: whoever reads it counts each piece before keeping it."""

    def __init__(self, what: str, most: int = MOST_BYTES, values: int = MOST_THINGS) -> None:
        """``what`` names the answer in a message."""
        self.what, self.most, self.values = what, most, values
        self._bytes = self._values = 0

    def take(self, size: int, values: int = 0) -> None:
        """Count a piece of ``size`` bytes that holds so many values. Raises CouldNotVerify beyond the budget."""
        self._bytes += size
        self._values += values
        if self._bytes > self.most:
            raise too_large(self.what, self.most)
        if self._values > self.values:
            raise CouldNotVerify(f"{self.what} holds more than the {self.values} values that are read of it", hint=_HINT)

    def take_json(self, piece: bytes) -> None:
        """Count a piece of an answer in JSON. Raises CouldNotVerify beyond the budget."""
        self.take(len(piece), signs(piece))


def signs(data: bytes) -> int:
    """Most values that ``data`` can have in JSON."""
    return sum(data.count(sign) for sign in (b",", b"[", b"{"))


def too_large(what: str, most: int) -> CouldNotVerify:
    """An error for an answer of more than ``most`` bytes."""
    return CouldNotVerify(f"{what} is larger than the {most} bytes that are read of it", hint=_HINT)


class Answer(io.BytesIO):
    """A sink that keeps what a command prints, up to ``most`` bytes; more raises CouldNotVerify and ends the command."""

    def __init__(self, what: str, most: int = MOST_BYTES) -> None:
        """``what`` names the answer in a message."""
        super().__init__()
        self.what, self.most = what, most

    def write(self, data: Any) -> int:
        """Keep ``data``."""
        if self.tell() + len(data) > self.most:
            raise too_large(self.what, self.most)
        return super().write(data)

    @property
    def text(self) -> str:
        """All of it, bytes that are no UTF-8 kept as surrogates."""
        return self.getvalue().decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """The value that it is in JSON. Raises CouldNotVerify."""
        return parsed(self.getvalue(), self.what)


class Limited(io.RawIOBase):
    """Passes output on to another sink, up to ``most`` bytes; more raises CouldNotVerify and ends the command."""

    def __init__(self, sink: Sink, what: str, most: int) -> None:
        """``what`` names the answer in a message."""
        super().__init__()
        self._sink, self._budget = sink, Budget(what, most)

    def write(self, data: Any) -> int:
        """Pass ``data`` on."""
        self._budget.take(len(data))
        return self._sink.write(data)


class Ignored(io.BytesIO):
    """A sink for what nobody looks at: nothing of it is kept."""

    def write(self, data: Any) -> int:
        """Count ``data`` as written."""
        return len(data)


def parsed(data: bytes, what: str) -> Any:
    """The value that ``data`` is in JSON. Raises CouldNotVerify when it is none, or has more values than are read."""
    Budget(what, len(data)).take_json(data)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CouldNotVerify(f"{what} cannot be read") from error
