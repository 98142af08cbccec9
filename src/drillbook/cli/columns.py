"""Lists with one line for each entry. A list leaves out columns that do not fit, and never breaks or cuts a name.

If even the columns that are always shown do not fit, each entry is printed as a few short lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from drillbook.report.terminal.prose import Prose

GAP = 2
"""Number of blanks between two columns."""
BELOW = 6
"""Number of lines that the terminal usually shows below a table, including the line of the prompt."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table. ``rank``: when a line is wider than the terminal, the column with the highest rank is left
    out first. A column of rank 0 is always shown.
    """

    head: str
    rank: int
    cells: list[Text]

    @property
    def width(self) -> int:
        """Width of the widest cell, in columns of the terminal."""
        return max(cell.cell_len for cell in [Text(self.head), *self.cells])


def line(cells: Sequence[Text], columns: Sequence[Column]) -> Text:
    """Join the cells of one line. A name is never broken or cut, even if the line is wider than the terminal."""
    padded = [Text.assemble(cell, " " * (column.width - cell.cell_len)) for cell, column in zip(cells, columns, strict=True)]
    joined = Text(" " * GAP).join(padded)
    joined.rstrip()
    return joined


def width(columns: Sequence[Column]) -> int:
    """Return the width of a line with all of ``columns`` side by side."""
    return sum(column.width + GAP for column in columns) - GAP


def print_lines(columns: Sequence[Column], out: Console, more: Sequence[Text] = (), *, name: int = 0) -> None:
    """Print the heads of ``columns``, and one line for each entry. If the columns do not fit into the terminal, print a few
    short lines for each entry instead. Repeat the heads below a table that is longer than the terminal.

    ``more``: one text for each entry, which is printed below the line of the entry and can be empty. ``name``: index, in
    ``columns``, of the column that contains the names of the entries.
    """
    if width(columns) > out.width:
        _print_stacked(columns, out, more, name)
        return
    heads = line([Text(column.head, style="bold") for column in columns], columns)
    out.print(heads, soft_wrap=True)
    for number in range(len(columns[0].cells)):
        out.print(line([column.cells[number] for column in columns], columns), soft_wrap=True)
        if more and more[number]:
            out.print(Prose(more[number], GAP))
    if out.is_terminal and len(columns[0].cells) + sum(map(bool, more)) >= out.height - BELOW:
        out.print(heads, soft_wrap=True)


def _print_stacked(columns: Sequence[Column], out: Console, more: Sequence[Text], name: int) -> None:
    """Print the name of each entry on a separate line. Below the name, print the other cells of the entry, each with
    the head of its column.
    """
    for number in range(len(columns[name].cells)):
        out.print(columns[name].cells[number], soft_wrap=True)
        rest = [
            Text.assemble((f"{column.head} ", "dim"), column.cells[number])
            for position, column in enumerate(columns)
            if position != name
        ]
        out.print(Prose(Text(", ").join(rest), GAP))
        if more and more[number]:
            out.print(Prose(more[number], GAP))


def fitting(columns: Sequence[Column], room: int) -> list[Column]:
    """Return the columns that fit side by side into ``room``. The columns of rank 0 are always among them."""
    kept = list(columns)
    while width(kept) > room and (least := max(kept, key=lambda column: column.rank)).rank:
        kept.remove(least)
    return kept


def cut(text: str, room: int) -> str:
    """Return ``text`` in at most ``room`` columns. A longer text is cut, and ends with an ellipsis."""
    shown = Text(text)
    shown.truncate(room, overflow="ellipsis")
    return shown.plain
