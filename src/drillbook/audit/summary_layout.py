"""Layout of the summary for management: what fits on one printed page, and how much of each service it shows.

The page on a screen has everything. Only paper leaves out details.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_ALERTS, LEAST_ALERTS = 6, 3


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


PAGE_PX, FIXED_PX = 1014.0, 170.0
"""Heights in pixels. ``PAGE_PX``: the printed page between its margins. ``FIXED_PX``: all parts of the page whose size is the
same in every audit.
"""
STANDING, MEANS, ALERT = Text(17.8, 100), Text(13.4, 107), Text(16.9, 102)
NOTE, OTHERS, NEVER_ROW = Text(13.1, 132), Text(11.8, 138), Text(13.8, 70)
TERM_PX, TERM_LETTERS = 12.4, 151
"""Height of a line of a definition, and number of letters that fit beside each other: of the longest term, which is bold and
therefore counts more, and of the definition."""
BOLD = 2.3
"""Letters of a definition that have as much room as one letter of a term with the space around it."""
NAME_LETTERS = 13
"""Number of letters that fit in a line of a table cell with the name of a service."""
FULL, DENSE = Text(13.7, 22), Text(11.7, 26)
"""Height of a line, and number of letters that fit in it, in a table cell with a figure. ``FULL``: in a table with all
details. ``DENSE``: in a table without details.
"""
FULL_PAD, DENSE_PAD = 7.0, 4.6


@dataclass(frozen=True, slots=True)
class RowSize:
    """Heights of a service's row in pixels: with all details, in a dense table, and as a line of text below the table."""

    full: float
    dense: float
    line: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Content of the printed summary. ``alerts``: index of the chosen list of alerts; ``rows``: number of services in the
    table; ``figures``: number of services with figures. The services after the first ``rows`` are below the table: each has a
    line of text with figures up to the number ``figures``, and only the names of the rest are shown. ``dense``: True when the
    rows of the table have no details.
    """

    alerts: int
    rows: int
    figures: int
    dense: bool


def row_size(
    names: Sequence[str], least: tuple[int, int], cells: Sequence[Sequence[str]], short: Sequence[Sequence[str]], *texts: str
) -> RowSize:
    """Return the height of a service's row in each form: with all details, in a dense table, and as text below the table.

    ``names``: lines of the first cell of the row. ``least``: smallest number of lines of a row with all details, and in a dense
    table. ``cells``: lines of each cell with figures, with all details. ``short``: the same in a dense table. ``texts``: two
    texts below the table. The first is shown if the service has no row in the table, the second if its row has no details.
    """
    named = sum(math.ceil(len(name) / NAME_LETTERS) for name in names)
    alone, below = (OTHERS.height(text) + 3 if text else 0.0 for text in texts)
    return RowSize(
        FULL_PAD + FULL.line_px * max(named, least[0], *(_lines(cell, FULL.letters) for cell in cells)),
        below + DENSE_PAD + DENSE.line_px * max(named, least[1], *(_lines(cell, DENSE.letters) for cell in short)),
        alone,
    )


def _lines(cell: Sequence[str], letters: int) -> int:
    return sum(math.ceil(len(text) / letters) for text in cell)


def terms_height(terms: Sequence[tuple[str, str]]) -> float:
    """Return the height of a list of terms. The longest term determines the room that is left for each definition."""
    longest = max((len(term) for term, _ in terms), default=0)
    form = Text(TERM_PX, round(TERM_LETTERS - BOLD * longest))
    return sum(form.height(text) + 1 for _, text in terms)


def alerts_height(texts: Sequence[str], hidden: str) -> float:
    """Return the height of the list of alerts. ``hidden``: subjects of the alerts that are not in the list; they are in its last
    line, which may be longer than a line of the page."""
    more = max(0.0, ALERT.height(f"and 10 more, in the audit: {hidden}") - ALERT.line_px)
    return 25 + more + sum(ALERT.height(text) + 4 for text in texts)


def layout(
    room: float,
    spare: float,
    alerts: Sequence[float],
    rows: Sequence[RowSize],
    names: Callable[[int], float],
) -> Layout:
    """Return the layout that shows the most in ``room`` pixels.

    ``spare``: pixels that are free in addition to ``room`` if the table is dense, which means that its rows have no details.
    No text below a dense table names the exempt services, because the head of the page tells their number. ``alerts``: height of
    the list of alerts for each number of alerts that the page may show. ``names``: function that takes the index of a
    service, and returns the height of a list with the names of this service and of all later ones.

    All rows have the same amount of detail, so that equal services look alike. If all rows fit only without details,
    the table is dense. If they do not fit even then, the last services are moved from the table to lines of text below
    it. If there is no room for these lines either, only the names of the last services are shown.
    """
    full, dense, lines = (sum(getattr(row, name) for row in rows) for name in ("full", "dense", "line"))
    for number in range(len(alerts) - 1, -1, -1):
        if full + alerts[number] <= room:
            return Layout(number, len(rows), len(rows), dense=False)
    for number in range(len(alerts) - 1, -1, -1):
        if dense + alerts[number] <= room + spare:
            return Layout(number, len(rows), len(rows), dense=True)
    left = room + spare - alerts[0]
    if lines <= left:
        shown = max(number for number in range(len(rows)) if _mixed(rows, number) <= left)
        return Layout(0, shown, len(rows), dense=True)
    told = [number for number in range(len(rows)) if sum(row.line for row in rows[:number]) + names(number) <= left]
    return Layout(0, 0, max(told, default=0), dense=True)


def _mixed(rows: Sequence[RowSize], number: int) -> float:
    """Return the height of the list of services in pixels, if the first ``number`` services are rows of the dense table, and
    each other service is a line of text below the table.
    """
    return sum(row.dense for row in rows[:number]) + sum(row.line for row in rows[number:])
