"""Objectives of an audit on the screen: one line for each, and below them the reasons why they are not proven.

All lines fit a terminal of 80 columns. The report has the errors of the figures, and the runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from drillbook.audit import wording
from drillbook.audit.objective_states import ProvenRow
from drillbook.cli.columns import GAP, Column, line, width
from drillbook.report import remarks
from drillbook.report.figures import one_line, without_error
from drillbook.report.objective_figures import with_signs
from drillbook.report.terminal.prose import Prose
from drillbook.report.terminal.tables import COLOURS
from drillbook.report.wording import MET, MISSED, NOT_VERIFIED, STATES

HEADS = ("drill", "objective", "figure", "target", "when")
INDENT = 2
ASIDE = " by probe"
"""Words beside the figure of a detection by the drill's own probe. They replace a table of their own."""


class Objectives:
    """List of the objectives of an audit, each with its state, its newest figure, its target and the day of this figure.

    The name of the drill stands before its first objective. If the longest name does not fit there, each name has a line of
    its own.
    """

    def __init__(self, rows: Sequence[ProvenRow]) -> None:
        """Prepare the list. ``rows``: objectives, those of one drill together."""
        self.rows = rows
        self.places = len({row.environment for row in rows}) > 1
        """True if the drills ran in several environments. The list then names the environment of each drill."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the heads and the lines of each drill, then the meaning of the symbols, and how many objectives are proven."""
        cells = [_cells(self._name(row), row) for row in self.rows]
        columns = [Column(head, 0, [row[at] for row in cells]) for at, head in enumerate(HEADS)]
        if INDENT + width(columns) > options.max_width:
            del columns[0]
        yield _line([Text(head, style="bold") for head in HEADS], columns)
        for name, rows in groupby(self.rows, key=self._name):
            yield from _drill(name, list(rows), columns)
        yield Prose(Text(_legend(self.rows), style="dim"), INDENT, above=1)
        yield Prose(Text(wording.proven_counts(self.rows)), INDENT, below=1)

    def _name(self, row: ProvenRow) -> str:
        return one_line(f"{row.drill} in {row.environment}" if self.places else row.drill)


def _drill(name: str, rows: Sequence[ProvenRow], columns: Sequence[Column]) -> Iterator[RenderableType]:
    """Yield the lines of one drill. ``columns``: all columns, or those without the names. Then the name has a line of its own."""
    if len(columns) < len(HEADS):
        yield Text(" " * INDENT + name)
    for number, row in enumerate(rows):
        yield _line(_cells("" if number else name, row), columns)
    for text, keys in _reasons(rows):
        yield Prose(Text(f"{', '.join(keys)} {text}"), INDENT + 2 * GAP)


def _line(cells: Sequence[Text], columns: Sequence[Column]) -> Text:
    """Return one line of the list. A line without the name is indented, because the name stands above it."""
    left_out = len(HEADS) - len(columns)
    return Text(" " * (INDENT + GAP * left_out)).append_text(line(cells[left_out:], columns))


def _cells(name: str, row: ProvenRow) -> tuple[Text, ...]:
    symbol = STATES.get(row.state, STATES[NOT_VERIFIED])
    colour = COLOURS[MET if row.proven else MISSED if row.missed else NOT_VERIFIED]
    return (
        Text(name),
        Text(one_line(row.short)),
        Text(f"{symbol} {figure(row)}", style=colour),
        Text(row.target),
        Text((row.uncounted.at if row.uncounted else row.at)[:10] or "-"),
    )


def figure(row: ProvenRow) -> str:
    """Return the newest figure of an objective, without its error. A figure that does not count is in parentheses. Without a
    figure, the text is ``none`` if no run of the period gave the objective its state, otherwise ``not verified``.

    If the RPO perhaps does not include a known loss of data, the text shows this loss in place of the RPO.
    """
    probe = ASIDE if row.by_probe else ""
    if row.met or row.missed:
        return f"{_brief(row.measured)}{row.mark}{probe}"
    if row.uncounted:
        return f"({_brief(row.uncounted.measured)}){probe}"
    return "not verified" if row.at else "none"


def _brief(measured: str) -> str:
    """Shorten a figure: its error, and what follows a known loss of data, are left out, but no mark such as ``†``."""
    text = measured.partition("; ")[0]
    number = without_error(text)
    marks = "".join(sign for sign in text[len(number) :] if sign in remarks.LEGENDS)
    return with_signs(f"{number} {marks}".rstrip())


def _reasons(rows: Sequence[ProvenRow]) -> list[tuple[str, list[str]]]:
    """Return the reasons why objectives of a drill are not proven, each with its objectives. The marks beside figures tell the
    reasons of most reservations, and a missed objective needs no reason.
    """
    keys_by_reason: dict[str, list[str]] = {}
    for row in rows:
        state = "not counted" if row.uncounted else row.said
        reason = row.within if row.reserved else f"{state}: {row.why}" if row.why else ""
        if reason:
            keys_by_reason.setdefault(one_line(reason), []).append(one_line(row.short))
    return list(keys_by_reason.items())


def _legend(rows: Sequence[ProvenRow]) -> str:
    """Return the meanings of the symbols and marks that the list contains."""
    states = {STATES.get(row.state, STATES[NOT_VERIFIED]) for row in rows}
    words = {STATES[MET]: MET, STATES[remarks.RESERVED]: remarks.RESERVED, STATES[MISSED]: MISSED}
    words[STATES[NOT_VERIFIED]] = "not proven"
    known = ", ".join(f"{symbol} {word}" for symbol, word in words.items() if symbol in states)
    return f"{known}. {remarks.short_legend(row.mark for row in rows)}".rstrip()
