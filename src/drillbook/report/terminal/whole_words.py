"""Tables that fit a narrow terminal. No word is broken as long as this is possible, so that an identifier can be copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from drillbook.report.terminal.prose import Cell, Prose

GAP = 2
"""Number of blanks between the head of a column and the cell beside it, where a table is printed as blocks."""
LEAST_GAP = 1
"""Number of blanks between the columns of a table without padding: the width of the line of its box."""


@dataclass(frozen=True, slots=True)
class WholeWords:
    """A table without edges, with the indentation ``indent``, and with ``below`` empty lines below it.

    On a narrow terminal, the widest columns are shrunk first. A column becomes no narrower than its longest word, and columns
    with ``no_wrap`` are not shrunk. A column becomes no wider than its ``max_width``, unless a word is. If the table does not
    fit even then, each row is printed as a block: the first cell on a line of its own, and below it the other cells, each
    beside the head of its column. ``heads_first``: heads of columns are broken before any cell is, and the gaps between columns
    are only ``LEAST_GAP`` wide if each row then fits on one line.
    """

    table: Table
    indent: int = 0
    below: int = 0
    heads_first: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table with the widths that fit, or as blocks."""
        columns = self.table.columns
        sizes = [_size(column, console, options) for column in columns]
        cells = [_cells(*pair, console, options) for pair in zip(columns, sizes, strict=True)] if self.heads_first else ()
        room, gaps = options.max_width - self.indent, max(0, len(columns) - 1)
        table = copy(self.table)
        if cells and table.box and _gap(table) * gaps > room - sum(cells) >= LEAST_GAP * gaps:
            table.padding = (0, 0, 0, 0)
        widths = fitting(sizes, room - _gap(table) * gaps, cells)
        if widths is None:
            yield from self._blocks()
        else:
            for column, width in zip(columns, widths, strict=True):
                column.width = width
            yield Padding(table, (0, 0, 0, self.indent), expand=False)
        for _ in range(self.below):
            yield Segment.line()

    def _blocks(self) -> Iterator[RenderableType]:
        name, *others = self.table.columns
        if self.table.title:
            yield Prose(_text(self.table.title), self.indent)
        room = max((_text(column.header).cell_len for column in others), default=0) + GAP
        for first, *cells in zip(*(column.cells for column in (name, *others)), strict=True):
            yield Prose(_text(first), self.indent)
            for column, cell in zip(others, cells, strict=True):
                label = Text(_text(column.header).plain.ljust(room), style="dim")
                yield Prose(_text(cell), self.indent + GAP, label=label)


def _gap(table: Table) -> int:
    """Return the number of blanks between two columns."""
    _, right, _, left = table.padding
    return right + left + (1 if table.box else 0)


def fitting(sizes: list[Measurement], room: int, cells: Sequence[int] = ()) -> list[int] | None:
    """Return the width of each column. ``sizes``: for each column, the widths of its longest word and of its longest line.
    ``cells``: width of each column in which only its head is broken.

    Returns None if the columns do not fit into ``room`` without breaking a word.
    """
    widths = [size.maximum for size in sizes]
    if sum(size.minimum for size in sizes) > room:
        return None
    while sum(widths) > room:
        wide = [at for at, width in enumerate(cells) if widths[at] > width]
        wide = wide or [at for at, size in enumerate(sizes) if widths[at] > size.minimum]
        widths[max(wide, key=lambda at: widths[at])] -= 1
    return widths


def _text(cell: RenderableType) -> Text:
    """Return the text of a cell or head of a table."""
    return cell if isinstance(cell, Text) else cell.text if isinstance(cell, Cell) else Text(str(cell))


def _cells(column: Column, size: Measurement, console: Console, options: ConsoleOptions) -> int:
    """Return the width of a column in which each cell has one line. The head may take several lines of whole words."""
    cells = max((Measurement.get(console, options, cell).maximum for cell in column.cells), default=0)
    return max(size.minimum, min(cells, size.maximum))


def _size(column: Column, console: Console, options: ConsoleOptions) -> Measurement:
    sizes = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
    most, least = max(size.maximum for size in sizes), max(size.minimum for size in sizes)
    return Measurement(most, most) if column.no_wrap else Measurement(least, max(least, min(most, column.max_width or most)))
