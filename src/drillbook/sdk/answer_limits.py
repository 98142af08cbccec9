"""Limits for the size of answers that the controller reads, so that no answer exhausts the controller's memory.
The function ``told_once`` removes the second copy of an answer from the facts of a step."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Protocol

from drillbook.errors import CouldNotVerify

MOST_BYTES = 32 << 20
"""Default limit for the size of an answer in bytes. It is enough for a list of about 130,000 archived files."""
MOST_THINGS = 3_000_000
"""Default limit for the number of values in a JSON answer. It is needed because a value takes much more memory than its JSON
text.
"""


_HINT = "check the answers of the server; a healthy server stays far below this limit"


def told_once(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``facts`` of a step without the text of an answer (``body``) if they also contain the answer as ``json``."""
    return {key: value for key, value in facts.items() if key != "body" or "json" not in facts}


class Sink(Protocol):
    """A writable stream of bytes."""

    def write(self, data: bytes, /) -> int:
        """Write all of ``data``."""


class Budget:
    """Limits for one answer: its bytes and its values. Readers count each chunk before they store it."""

    def __init__(self, what: str, most: int = MOST_BYTES, values: int = MOST_THINGS) -> None:
        """Permit an answer with at most ``most`` bytes and ``values`` values. ``what``: name of this answer in error messages."""
        self.what, self.most, self.values = what, most, values
        self._bytes = self._values = 0

    def take(self, size: int, values: int = 0) -> None:
        """Count ``size`` more bytes and ``values`` more values. Raises CouldNotVerify when a limit is exceeded."""
        self._bytes += size
        self._values += values
        if self._bytes > self.most:
            raise too_large(self.what, self.most)
        if self._values > self.values:
            raise CouldNotVerify(f"{self.what} contains more than {self.values} values, which is the limit", hint=_HINT)

    def take_json(self, piece: bytes) -> None:
        """Count the bytes and values of one more chunk of a JSON answer. Raises CouldNotVerify when a limit is exceeded."""
        self.take(len(piece), signs(piece))


def signs(data: bytes) -> int:
    """Estimate the number of values in the JSON text ``data``, as the number of its commas, opening brackets and opening
    braces.
    """
    return sum(data.count(sign) for sign in (b",", b"[", b"{"))


def too_large(what: str, most: int) -> CouldNotVerify:
    """Return the error for an answer of more than ``most`` bytes."""
    return CouldNotVerify(f"{what} is larger than the limit of {most} bytes", hint=_HINT)


class Answer(io.BytesIO):
    """Sink that stores up to ``most`` bytes of a command's output.

    More output raises CouldNotVerify, which ends the command.
    """

    def __init__(self, what: str, most: int = MOST_BYTES) -> None:
        """Allow ``most`` bytes. ``what``: name of the answer in messages."""
        super().__init__()
        self.what, self.most = what, most

    def write(self, data: Any) -> int:
        """Store ``data``. Raises CouldNotVerify when the answer exceeds its limit."""
        if self.tell() + len(data) > self.most:
            raise too_large(self.what, self.most)
        return super().write(data)

    @property
    def text(self) -> str:
        """Stored output as text. Bytes that are not valid UTF-8 become surrogate escapes."""
        return self.getvalue().decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """Parse the stored output as JSON. Raises CouldNotVerify when it is not JSON."""
        return parsed(self.getvalue(), self.what)


class Limited(io.RawIOBase):
    """Sink that forwards up to ``most`` bytes to another sink.

    More output raises CouldNotVerify, which ends the command.
    """

    def __init__(self, sink: Sink, what: str, most: int) -> None:
        """Forward at most ``most`` bytes of a command's answer to ``sink``. ``what``: name of this answer in messages."""
        super().__init__()
        self._sink, self._budget = sink, Budget(what, most)

    def write(self, data: Any) -> int:
        """Forward ``data`` to the sink. Raises CouldNotVerify when the answer exceeds its limit."""
        self._budget.take(len(data))
        return self._sink.write(data)


class Ignored(io.BytesIO):
    """A sink that discards all output."""

    def write(self, data: Any) -> int:
        """Discard ``data``, and return the number of its bytes as if they had been written."""
        return len(data)


def parsed(data: bytes, what: str) -> Any:
    """Parse ``data`` as JSON. Raises CouldNotVerify when it is invalid or has too many values."""
    Budget(what, len(data)).take_json(data)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CouldNotVerify(f"{what} cannot be parsed") from error
