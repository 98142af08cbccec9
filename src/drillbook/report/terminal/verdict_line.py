"""The last line of a run or suite. Its title is never cut."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from drillbook.report.terminal.prose import Prose


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """The verdict and the name of a run or suite, and beside them its title. If the title does not fit there, it is above. If
    ``short`` is true, it is left out instead. ``beside``: words between the verdict and the name, such as a reservation.
    """

    verdict: Text
    name: str
    title: str
    short: bool = False
    beside: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the line with the title, the title and the line, or the line alone."""
        named = Text.assemble(self.verdict, (self.beside and f"  {self.beside}", "yellow"), f"  {self.name}")
        whole = Text.assemble(named, f": {self.title}")
        if whole.cell_len <= options.max_width:
            yield whole
            return
        if not self.short:
            yield Prose(Text(self.title), 2)
        yield named
