"""Layout of the summary for management: what fits on one printed page, and how much of each service it shows.

The page on a screen has everything. Only paper leaves out details.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MOST_ALERTS, LEAST_ALERTS = 6, 3
COMMAND = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Text:
    """Form of a text on the printed page: the height and the length of its lines."""

    line_px: float
    """Height of a line in pixels."""
    letters: int
    """Number of letters that fit in a line."""

    def height(self, text: str) -> float:
        """Return the height of ``text`` in pixels."""
        lines, used = 0, self.letters
        for word in text.split():
            if used + 1 + len(word) > self.letters:
                lines, used = lines + 1, 0
            used += 1 + len(word)
            lines, used = lines + used // (self.letters + 2), used % (self.letters + 2)
        return lines * self.line_px


PAGE_PX, FIXED_PX = 1019.0, 147.0
"""Heights in pixels. ``PAGE_PX``: the printed page between its margins, less a small reserve. ``FIXED_PX``: all parts of the page
whose size is the same in every audit.
"""
TABLE_PX, DENSE_TABLE_PX = 76.0, 50.0
"""Heights of the heads of the table with all details, and of the dense one, with the sentences above them."""
ALERTS_PX, ALERT_GAP, NOTE_GAP, OTHERS_GAP = 21.4, 4.0, 2.7, 1.4
"""Heights of the heading above the alerts, and of the spaces below an alert, a legend and another text below the table."""
STANDING, MEANS, ALERT = Text(17.8, 98), Text(13.4, 114), Text(16.9, 106)
NOTE, OTHERS = Text(13.1, 138), Text(11.8, 145)
NEVER_ROW, NEVER_DENSE = Text(13.6, 70), Text(11.8, 80)
NEVER_PX = 22.0
"""Height of the row of the services that were never drilled, without their names."""
TERM_PX, TERM_LETTERS = 12.1, 148
"""Height of a line of a definition, and number of letters that fit beside each other: of the longest term, which is bold and
therefore counts more, and of the definition."""
BOLD = 1.4
"""Letters of a definition that have as much room as one letter of a term with the space around it."""
NAME_LETTERS = 13
"""Number of letters that fit in a line of a table cell with the name of a service."""
FULL, DENSE = Text(13.7, 22), Text(11.7, 28)
"""Height of a line, and number of letters that fit in it, in a table cell with a figure. ``FULL``: in a table with all
details. ``DENSE``: in a table without details.
"""
FULL_PAD, DENSE_PAD = 7.0, 5.2


@dataclass(frozen=True, slots=True)
class RowSize:
    """Heights of a service's row in pixels: with all details, in a dense table with the text below it, in a dense table alone, and
    as a line of text below the table."""

    full: float
    dense: float
    bare: float
    line: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Content of the printed summary. ``alerts``: index of the chosen list of alerts; ``rows``: number of services in the
    table; ``figures``: number of services with figures. The services after the first ``rows`` are below the table: each has a
    line of text with figures up to the number ``figures``, and only the names of the rest are shown. ``dense``: True when the
    rows of the table have no details. ``never``: True when the services that were never drilled have a row of the table, and no line
    below it. ``bare``: True when one line below the table, and not one for each service, names what its rows do not show.
    """

    alerts: int
    rows: int
    figures: int
    dense: bool
    never: bool = True
    bare: bool = False

    @property
    def table(self) -> bool:
        """False if paper shows no table, because it has no room for the figures of any drilled service."""
        return bool(self.rows) or not self.dense

    @property
    def head_px(self) -> float:
        """Height of the head of the table, which is 0 if there is no table."""
        return (DENSE_TABLE_PX if self.dense else TABLE_PX) if self.table else 0.0


def row_size(names: Sequence[str], least: tuple[int, int], cells: Sequence[Sequence[Sequence[str]]], *texts: str) -> RowSize:
    """Return the height of a service's row in each form: with all details, in a dense table with the text below it, in a dense table
    alone, and as text below the table.

    ``names``: lines of the first cell of the row. ``least``: smallest number of lines of a row with all details, and in a dense
    table. ``cells``: lines of each cell with figures, in the first three forms. ``texts``: two texts below the table. The first
    is shown if the service has no row in the table, the second if its row has no details.
    """
    named = sum(math.ceil(len(name) / NAME_LETTERS) for name in names)
    alone, below = (OTHERS.height(text) + OTHERS_GAP if text else 0.0 for text in texts)
    full = max(named, least[0], *(_lines(cell, FULL.letters) for cell in cells[0]))
    dense, bare = (max(named, least[1], *(_lines(cell, DENSE.letters) for cell in form)) for form in cells[1:])
    return RowSize(
        FULL_PAD + FULL.line_px * full,
        below + DENSE_PAD + DENSE.line_px * dense,
        DENSE_PAD + DENSE.line_px * bare,
        alone,
    )


def _lines(cell: Sequence[str], letters: int) -> int:
    return sum(math.ceil(len(text) / letters) for text in cell)


def terms_height(terms: Sequence[tuple[str, str]]) -> float:
    """Return the height of a list of terms. The longest term determines the room that is left for each definition."""
    longest = max((len(term) for term, _ in terms), default=0)
    form = Text(TERM_PX, round(TERM_LETTERS - BOLD * longest))
    return sum(form.height(text) + 1 for _, text in terms)


def alerts_height(texts: Sequence[str]) -> float:
    """Return the height of the list of alerts with its heading. ``texts``: alerts, and the last line about those that are left out."""
    return ALERTS_PX + sum(ALERT.height(_as_wide(text)) + ALERT_GAP for text in texts)


def _as_wide(text: str) -> str:
    """Return ``text`` with more letters in its commands, which a page prints in wider letters with space around them."""
    return COMMAND.sub(lambda command: f"{bold(command[1])}mm", text)


def bold(text: str) -> str:
    """Return ``text`` with as many more letters as its bold letters are wider than others."""
    return f"{text}{'m' * (len(text) // 8)}"


def layouts(alerts: int, shortest: int, services: int, failed: int) -> Iterator[Layout]:
    """Yield the layouts of a page, from the one that shows the most to the one that shows the least.

    ``alerts``: number of lists of alerts to choose from. ``shortest``: number of these lists, at their beginning, in which alerts
    have only a few words of their next steps. ``services``: number of the services that were drilled. ``failed``: number of those
    that did not pass, which are the first of them.

    All rows have the same amount of detail, so that equal services look alike. If all rows fit only without details,
    the table is dense. If they do not fit even then, the next steps of the alerts become a few words, the least urgent first. Then
    the services that were never drilled, and after them those that passed, are moved from the table to lines of text below it. The
    services that did not pass lose their rows last: before, the texts below the rows become one line. If there is no room for all
    lines either, only the names of the last services are shown.
    """
    for dense in (False, True):
        for number in range(alerts - 1, shortest - 1, -1):
            yield Layout(number, services, services, dense=dense)
    short = range(shortest, -1, -1)
    yield from (Layout(number, services, services, dense=True) for number in short)
    for rows in range(services, max(failed, 1) - 1, -1):
        yield from (Layout(number, rows, services, dense=True, never=False) for number in short)
    for rows in range(failed, 0, -1):
        yield from (Layout(number, rows, services, dense=True, never=False, bare=True) for number in short)
    for figures in range(services, -1, -1):
        yield from (Layout(number, 0, figures, dense=True, never=False) for number in short)


def chosen(known: Sequence[Layout], height: Callable[[Layout], float]) -> Layout:
    """Return the first layout of ``known`` that fits on the page, or else the last one. ``height``: function that returns the
    height of all parts of the page whose size is not the same in every audit."""
    fitting = (layout for layout in known if FIXED_PX + layout.head_px + height(layout) <= PAGE_PX)
    return next(fitting, known[-1])


def never_height(layout: Layout, names: str) -> float:
    """Return the height of the row of the services that were never drilled, or of the text in its place. ``names``: names of these
    services; the result is 0 if it is empty."""
    if not (layout.table and layout.never):
        return OTHERS.height(f"{bold('Never drilled (10 services)')}: {names}") + OTHERS_GAP if names else 0.0
    return NEVER_PX + (NEVER_DENSE if layout.dense else NEVER_ROW).height(names) if names else 0.0


def services_height(layout: Layout, rows: Sequence[RowSize]) -> float:
    """Return the height of the rows of the services, and of the lines of text below the table. The names of services without
    figures are left out."""
    if not layout.dense:
        return sum(row.full for row in rows)
    table = sum(row.bare if layout.bare else row.dense for row in rows[: layout.rows])
    return table + sum(row.line for row in rows[layout.rows : layout.figures])
