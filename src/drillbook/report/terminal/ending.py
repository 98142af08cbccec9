"""The last part of a suite's output. On a terminal that is too small for all of it, the table stays on the screen."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Ending:
    """The table of a suite's drills, the next steps, and the last lines with the verdict.

    Normally the next steps are below the table. If the three parts are longer than the terminal, the next steps come first, so
    that the table with its heads and the verdict stay on the screen. ``steps``: None when there are no next steps.
    """

    table: RenderableType
    steps: RenderableType | None
    last: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the parts in the order that fits the terminal."""
        if self.steps is None:
            yield from (self.table, self.last)
        elif self._is_too_long(console, options):
            yield from (self.steps, Text(), self.table, self.last)
        else:
            yield from (self.table, Text(), self.steps, self.last)

    def _is_too_long(self, console: Console, options: ConsoleOptions) -> bool:
        """Return True if the output and the line of the prompt do not fit on the terminal together. Return False for a file."""
        if not console.is_terminal:
            return False
        free = options.update(height=None)
        lines = sum(len(console.render_lines(part, free)) for part in (self.table, self.steps or "", self.last))
        return lines + 1 >= console.height  # one empty line is above the next steps
