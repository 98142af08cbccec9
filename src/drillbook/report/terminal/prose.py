"""Text whose commands can be copied from a terminal and from a log.

Lines are broken between words. A command in backticks, a command of Drillbook after a colon, and a long path count as one word. A
word that is longer than a line is never broken: it begins on a line of its own. On a terminal, this line has a smaller indentation
if the word then fits. Otherwise the terminal wraps the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from drillbook.report import figures

_WORD = re.compile(r"(?:(?<=: )(?:invoke|drillbook) [^\n`]+|(?:`[^`\n]*`|\S|\N{NO-BREAK SPACE})+)")
"""Pattern of a word of ``Prose``. No line is broken inside such a word."""
_BEFORE = re.compile(r"(?:(?<=^)|(?<=[(])|(?<=[.:;,] ))([†‡§¶]+) |(?<= )([†‡§¶]+) (?=\d)")
"""Pattern of a mark, such as ``†``, that belongs to the text after the mark. The pattern includes the blank after the mark.
Such a mark stands before a number, or at the beginning of a line, a clause or a parenthesis.
"""
_AFTER = re.compile(r"(?<=[^\s.:;]) (?=[†‡§¶]+(?:$|[\s.,;:)\N{NO-BREAK SPACE}]))")
"""Pattern of a blank before a mark, such as ``†``, that belongs to the text before the blank."""

SMALLER = (4, 2, 0)
"""Indentations, in columns, of a long word, such as a path, that does not fit behind a larger one."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Text with the indentation ``indent``, and with ``above`` and ``below`` empty lines around it.

    ``label``: text before the first line. The other lines are indented so that they begin in the same column as the first
    line after the label. ``verbatim``: True for lines of commands, which are printed as they are.
    """

    text: Text
    indent: int = 0
    below: int = 0
    above: int = 0
    label: Text = field(default_factory=Text)
    verbatim: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the lines. A line fits the console, except when a single word is wider than the console."""
        for _ in range(self.above):
            yield Segment.line()
        start = self.indent + self.label.cell_len
        before = Text.assemble(" " * self.indent, self.label)
        for line in self._lines(max(1, options.max_width - start)):
            fits = self.verbatim or not console.is_terminal
            indent = start if fits else reduced(start, line.plain, options.max_width)
            if indent < start:
                before.rstrip()
                if before:
                    yield from before.render(console, end="\n")
                before = Text(" " * indent)
            whole = Text.assemble(before, line) if line or self.label else line
            yield from whole.render(console, end="\n")
            before = Text(" " * start)
        for _ in range(self.below):
            yield Segment.line()

    def _lines(self, width: int) -> Iterator[Text]:
        for line in self.text.split("\n", allow_blank=True):
            yield from (line,) if self.verbatim else (line[begin:end] for begin, end in parts(line.plain, width))


@dataclass(frozen=True, slots=True)
class Cell:
    """Text in a cell of a table. As in ``Prose``, lines are broken between words, and a mark such as ``†`` stays on the
    same line as the figure to which it belongs. Unlike in ``Prose``, a word that is wider than the column is broken too.
    """

    text: Text

    def __str__(self) -> str:
        """Return the text without styles."""
        return self.text.plain

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the lines within the width of the column."""
        width = max(1, options.max_width)
        for line in self.text.split("\n", allow_blank=True):
            for begin, end in parts(line.plain, width):
                yield from _folded(line[begin:end], width, console)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the widths of the longest word and of the longest line."""
        lines = self.text.plain.split("\n")
        words = [word[0] for line in lines for word in _WORD.finditer(bound(line))]
        return Measurement(max(map(cell_len, words), default=0), max(map(cell_len, lines), default=0)).clamp(
            0, options.max_width
        )


def _folded(text: Text, width: int, console: Console) -> Iterator[Text]:
    """Yield ``text`` in lines of at most ``width`` columns. A figure that is too wide is broken before its unit. Any other word
    that is too wide is broken at the end of the line."""
    if text.cell_len <= width:
        yield text
        return
    for begin, end in parts(text.plain, width, binding=_with_marks):
        yield from text[begin:end].wrap(console, width, overflow="fold")


def reduced(indent: int, line: str, width: int) -> int:
    """Return the indentation of ``line``: ``indent``, or a smaller one if ``line`` fits ``width`` columns only with that."""
    choices = (indent, *(smaller for smaller in SMALLER if smaller < indent))
    return next((choice for choice in choices if choice + cell_len(line) <= width), indent)


def wrapped(text: Text, width: int) -> Text:
    """Return ``text`` with line feeds between words, so that its lines have at most ``width`` columns. Only a line that consists
    of one long word is wider. A continued line has the indentation of its beginning, or a smaller one if a long word then fits.
    Blanks at the end of a line are kept.
    """
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        indent = len(line.plain) - len(line.plain.lstrip(" "))
        *ranges, (last, _) = parts(line.plain, width, max(1, width - indent))
        lines += [
            Text.assemble(" " * reduced(indent, line.plain[begin:end].rstrip(), width) if begin else "", line[begin:end])
            for begin, end in (*ranges, (last, len(line)))
        ]
    return Text("\n").join(lines)


def bound(line: str) -> str:
    """Replace some blanks in ``line`` by no-break spaces, so that no line ends there. These are the blanks inside figures,
    and the blanks between a mark such as ``†`` and its word.
    """
    return _with_marks(figures.inside(line))


def _with_marks(line: str) -> str:
    line = _BEFORE.sub(lambda match: f"{match[match.lastindex or 0]}\N{NO-BREAK SPACE}", line)
    return _AFTER.sub("\N{NO-BREAK SPACE}", line)


def parts(line: str, width: int, rest: int = 0, binding: Callable[[str], str] = bound) -> Iterator[tuple[int, int]]:
    """Break ``line`` between words into parts that fit the terminal. Yield the begin and the end of each part, as indexes.

    The first part has at most ``width`` columns. The others have at most ``rest`` columns, or ``width`` if ``rest`` is 0.
    Only a part that consists of one long word is wider. ``binding``: function that replaces some blanks by no-break spaces,
    so that the line is not broken there.
    """
    begin = end = 0
    for word in _WORD.finditer(binding(line)):
        if end > begin and cell_len(line[begin : word.end()]) > width and line[begin:end].strip():
            yield begin, end
            begin, width = word.start(), rest or width
        end = word.end()
    yield begin, end
