"""Text whose commands can be copied from a terminal and from a log.

Lines are broken between words. A command in backticks, a command of Drillbook after a colon, and a long path count as one word. A
word that is longer than a line is never broken: it begins on a line of its own, and the terminal wraps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

_WORD = re.compile(r"(?:(?<=: )(?:invoke|drillbook) [^\n`]+|(?:`[^`\n]*`|\S)+)")
"""Pattern of a word of ``Prose``, which has no break inside."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Text with the indentation ``indent``, and with ``above`` and ``below`` empty lines around it.

    ``label``: text before the first line; the other lines begin below the text after it. ``verbatim``: True for lines of
    commands, which are printed as they are.
    """

    text: Text
    indent: int = 0
    below: int = 0
    above: int = 0
    label: Text = field(default_factory=Text)
    verbatim: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the lines. Only a word that is wider than the console makes a line wider than the console."""
        for _ in range(self.above):
            yield Segment.line()
        start = self.indent + self.label.cell_len
        before = Text.assemble(" " * self.indent, self.label)
        for line in self._lines(max(1, options.max_width - start)):
            whole = Text.assemble(before, line) if line or self.label else line
            yield from whole.render(console, end="\n")
            before = Text(" " * start)
        for _ in range(self.below):
            yield Segment.line()

    def _lines(self, width: int) -> Iterator[Text]:
        for line in self.text.split("\n", allow_blank=True):
            yield from (line,) if self.verbatim else (line[begin:end] for begin, end in parts(line.plain, width))


def parts(line: str, width: int, rest: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of each part into which ``line`` is broken between words. The first part has at
    most ``width`` columns, and the others have at most ``rest``, or ``width`` columns if ``rest`` is 0. Only a part that
    consists of one long word is wider.
    """
    begin = end = 0
    for word in _WORD.finditer(line):
        if end > begin and cell_len(line[begin : word.end()]) > width and line[begin:end].strip():
            yield begin, end
            begin, width = word.start(), rest or width
        end = word.end()
    yield begin, end
