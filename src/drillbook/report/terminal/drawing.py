"""Live view in a terminal. Lines scroll up, and the present state stays below them. A separate thread prints the lines
and draws the state. Other threads only put lines into a queue, so that a slow or blocked terminal never delays their
work.
"""

from __future__ import annotations

import threading
from collections import deque

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from drillbook.report.figures import one_line


class Drawing:
    """Base of live views. A subclass draws the state in ``_draw``, and prints the queued lines with ``_drain``."""

    SOFT_WRAP = False
    """True when the terminal, and not this program, breaks long lines."""

    def __init__(self, console: Console, frame_s: float, name: str) -> None:
        """Prepare a view on ``console``, which must be a terminal. The view is drawn every ``frame_s`` seconds."""
        self.console = console
        self._frame_s = frame_s
        self._lines: deque[RenderableType] = deque()
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name=name, daemon=True)

    def say(self, line: RenderableType) -> None:
        """Queue ``line``, so that it is printed above the present state."""
        self._lines.append(line)

    def _draw(self) -> None:
        raise NotImplementedError

    def _keep_drawing(self) -> None:
        while not self._halt.wait(self._frame_s):
            try:
                self._draw()
            except Exception as error:  # noqa: BLE001  an error of the view must not end the output
                self.say(Text(f"the live view failed: {type(error).__name__}: {one_line(error)}", style="dim"))

    def _drain(self) -> None:
        while self._lines:
            self.console.print(self._lines.popleft(), soft_wrap=self.SOFT_WRAP)


def two_ends(left: str, right: str, width: int, style: str) -> Text:
    """Make a line with the text ``left`` in ``style`` at its beginning, and the text ``right`` at its end."""
    space = max(1, width - 1 - cell_len(left) - cell_len(right))
    return Text.assemble((left, style), " " * space, (right, "dim"))


def elapsed(seconds: float) -> str:
    """Elapsed time as minutes and seconds, such as ``04:09``, or with hours, such as ``1:04:09``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
