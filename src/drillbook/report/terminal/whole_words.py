"""Tables that fit a narrow terminal. No word is broken as long as this is possible, so that an identifier can be copied."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table


@dataclass(frozen=True, slots=True)
class WholeWords:
    """A table without edges. On a narrow terminal, the widest columns are shrunk first. A column becomes no narrower than
    its longest word, and columns with ``no_wrap`` are not shrunk. If the table does not fit even then, words are broken.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table with the widths that fit."""
        columns = self.table.columns
        sizes = [_size(column, console, options) for column in columns]
        _, right, _, left = self.table.padding
        between = (right + left + (1 if self.table.box else 0)) * max(0, len(columns) - 1)
        for column, width in zip(columns, fitting(sizes, options.max_width - between), strict=True):
            column.width = width
        yield self.table


def fitting(sizes: list[Measurement], room: int) -> list[int | None]:
    """Return the width of each column. ``sizes``: for each column, the widths of its longest word and of its longest line.

    If the columns do not fit into ``room``, all widths are None. ``rich.table.Table`` then chooses the widths.
    """
    widths = [size.maximum for size in sizes]
    if sum(size.minimum for size in sizes) > room:
        return [None] * len(sizes)
    while sum(widths) > room:
        at = max((at for at, size in enumerate(sizes) if widths[at] > size.minimum), key=lambda at: widths[at])
        widths[at] -= 1
    return list(widths)


def _size(column: Column, console: Console, options: ConsoleOptions) -> Measurement:
    sizes = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
    most = max(size.maximum for size in sizes)
    return Measurement(most if column.no_wrap else max(size.minimum for size in sizes), most)
