"""Answers of targets that are read whole: each has a budget, so that no host makes the controller grow without bound."""

from __future__ import annotations

import io
import json
from typing import Any

from drillbook.errors import CouldNotVerify

MOST_BYTES = 32 << 20
"""Bytes of an answer; of a folder that is archived these are about 130,000 entries."""
MOST_THINGS = 3_000_000
"""Values in an answer that is JSON: in memory, one takes many times its bytes."""


class Answer(io.BytesIO):
    """A sink that keeps what a command prints, up to ``most`` bytes; more raises CouldNotVerify and ends the command."""

    def __init__(self, what: str, most: int = MOST_BYTES) -> None:
        """``what`` names the answer in a message."""
        super().__init__()
        self.what, self.most = what, most

    def write(self, data: Any) -> int:
        """Keep ``data``."""
        if self.tell() + len(data) > self.most:
            raise CouldNotVerify(f"{self.what} is larger than the {self.most} bytes that are read of it",
                                 hint="look what the host prints there; a healthy one stays far below that")
        return super().write(data)

    @property
    def text(self) -> str:
        """All of it, bytes that are no UTF-8 kept as surrogates."""
        return self.getvalue().decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """The value that it is in JSON. Raises CouldNotVerify."""
        return parsed(self.getvalue(), self.what)


class Ignored(io.BytesIO):
    """A sink for what nobody looks at: nothing of it is kept."""

    def write(self, data: Any) -> int:
        """Count ``data`` as written."""
        return len(data)


def parsed(data: bytes, what: str) -> Any:
    """The value that ``data`` is in JSON. Raises CouldNotVerify when it is none, or has more values than are read."""
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > MOST_THINGS:
        raise CouldNotVerify(f"{what} holds more than the {MOST_THINGS} values that are read of it")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CouldNotVerify(f"{what} cannot be read") from error
