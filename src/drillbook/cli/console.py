"""The terminal that everything is printed to; one that goes away (``| head``, a closed window) is no reason to stop."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import IO, cast

from rich.console import Console

PIPE_WIDTH = 100
"""Columns where there is no terminal."""
_BLANKS = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)


class Steady(io.TextIOBase):
    """Standard output that never raises: when nobody reads it any more, what is written to it goes nowhere."""

    def __init__(self, inner: IO[str], *, trim: bool = False) -> None:
        """``inner`` is the real stream; ``trim`` leaves out blanks at the end of lines, which no log needs."""
        self.inner, self.trim = inner, trim

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the real stream."""
        return getattr(self.inner, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write all of ``text``; what the terminal's encoding lacks becomes ``?``."""
        if self.trim:
            text = _BLANKS.sub(r"\1", text)
        try:
            self.inner.write(text)
        except UnicodeEncodeError:
            return self.write(text.encode(self.encoding, "replace").decode(self.encoding))
        except (OSError, ValueError):
            self.give_up()
        return len(text)

    def flush(self) -> None:
        """Hand over what is buffered."""
        try:
            self.inner.flush()
        except (OSError, ValueError):
            self.give_up()

    def isatty(self) -> bool:
        """Is it a terminal?"""
        try:
            return self.inner.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor of the real stream."""
        return self.inner.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def give_up(self) -> None:
        """Lead the descriptor nowhere, so that the interpreter can flush it at its end without an error."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.inner.fileno())
            os.close(nowhere)


def stdout() -> IO[str]:
    """Standard output that never raises."""
    return cast("IO[str]", Steady(sys.stdout))


def console() -> Console:
    """The terminal, or plain lines of at most 100 columns where there is none."""
    terminal = sys.stdout.isatty()
    file = cast("IO[str]", Steady(sys.stdout, trim=not terminal))
    return Console(file=file, highlight=False, emoji=False, width=None if terminal else PIPE_WIDTH)
