"""The last line of a run or suite. Its title is never cut."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from drillbook.report.terminal.prose import Prose


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """The verdict and the name of a run or suite, and beside them its title. If the title does not fit there, it is above."""

    verdict: Text
    name: str
    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the line with the title, or the title and the line."""
        named = Text.assemble(self.verdict, f"  {self.name}")
        whole = Text.assemble(named, f": {self.title}")
        if whole.cell_len > options.max_width:
            yield Prose(Text(self.title), 2)
            yield named
        else:
            yield whole
