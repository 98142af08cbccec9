"""Output to the terminal. A run continues when its terminal disappears, or when the reader of its output ends, as in
``| head``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import os
import re
import select
import sys
from types import TracebackType
from typing import IO, Any, cast

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from drillbook.exits import Exit

PIPE_WIDTH = 100
"""Width, in columns, of output that does not go to a terminal."""
_BLANKS = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)


class Steady(io.TextIOBase):
    """Standard output that never raises an error. When the reader of the output has ended, further output is discarded."""

    def __init__(self, inner: IO[str], *, trim: bool = False) -> None:
        """Wrap the real stream ``inner``. When ``trim`` is true, blanks at the ends of lines are removed."""
        self.inner, self.trim = inner, trim

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the real stream."""
        return getattr(self.inner, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write all of ``text``. Characters that the terminal's encoding does not contain are written as ``?``."""
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
        """Flush the buffer."""
        try:
            self.inner.flush()
        except (OSError, ValueError):
            self.give_up()

    def isatty(self) -> bool:
        """Return True when the real stream is a terminal."""
        try:
            return self.inner.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """File descriptor of the real stream."""
        return self.inner.fileno()

    def writable(self) -> bool:
        """Return True, since the stream can be written to."""
        return True

    def give_up(self) -> None:
        """Redirect the file descriptor of the stream to /dev/null, so that Python can flush the stream when it exits."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.inner.fileno())
            os.close(nowhere)


def stdout() -> IO[str]:
    """Return standard output wrapped in `Steady`, so that writing never raises an error."""
    return cast("IO[str]", Steady(sys.stdout))


class _Uncut(Console):
    """Console that prints every line whole. A text that is too wide for the terminal is broken between words, and never inside a
    command. Commands that people copy may be wider than the terminal, which then wraps them."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print ``objects`` as ``Console.print`` does, without cutting their lines."""
        if len(objects) == 1 and isinstance(objects[0], str | Text) and self.is_terminal:
            objects, options = (self._wrapped(objects[0], options.get("markup")),), {**options, "soft_wrap": True}
        super().print(*objects, **{"crop": False, **options})

    def _wrapped(self, said: str | Text, markup: bool | None) -> Text:
        text = said if isinstance(said, Text) else self.render_str(said, markup=markup, highlight=False)
        if all(cell_len(line) <= self.width for line in text.plain.split("\n")):
            return text
        from drillbook.report.terminal.prose import wrapped  # noqa: PLC0415  keeps start-up fast

        return wrapped(text, self.width)


def console(*, aside: bool = False) -> Console:
    """Return a console that prints to standard output, or to standard error when ``aside`` is True. If this stream is not
    a terminal, the console prints plain lines of at most 100 columns. Only commands and paths may be longer: a line is
    never broken within them.
    """
    stream = sys.stderr if aside else sys.stdout
    terminal = stream.isatty()
    file = cast("IO[str]", Steady(stream, trim=not terminal))
    return _Uncut(file=file, highlight=False, emoji=False, width=None if terminal else PIPE_WIDTH)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON."""
    stdout().write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


@functools.cache
def end_quietly() -> None:
    """Make the program exit without a traceback when the reader of its output has ended. In this case, the exit status is
    ``Exit.BROKEN_PIPE``.

    Invoke prints lists and help without `Steady`, so broken pipes are handled in ``sys.excepthook``, and in an exit
    handler that flushes the remaining output.
    """
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            Steady(sys.stdout).give_up()
            raise SystemExit(Exit.BROKEN_PIPE)
        shown(kind, error, trace)

    sys.excepthook = hook
    atexit.register(lambda: Steady(sys.stdout).flush())


def _nobody_reads() -> bool:
    """Return True when the reading end of standard output is closed, as the kernel reports it."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
