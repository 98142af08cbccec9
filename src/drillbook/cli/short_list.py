"""The short form of the lists of ``drill.due`` and ``drill.list``. A list that is longer than a small terminal shows the
most urgent entries, and the number of entries that are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from drillbook.installation.program_name import program
from drillbook.report.terminal.prose import Prose

MOST_LINES = 10
"""Maximum number of lines in the table of a short list, without the heads of the table. With this limit, the whole output of
a usual project fits on a terminal of 24 lines.
"""
LEAST_LINES = 3
"""Minimum number of lines of a shortened table. A table is shortened when the text below it is long. It never gets shorter
than this, even if the output then does not fit on a small terminal.
"""
TERMINAL = 24
"""Number of lines of a small terminal. The last of them is needed for the prompt."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Entry:
    """Properties of an entry. They decide whether the short form of the list shows the entry. ``rank``: the entries with the
    smallest rank are the most urgent. ``word``: state of the entry, in words. The line below the list shows how many
    entries with the same ``word`` were left out. ``lines``: number of lines of the entry in the table. ``fine``: True when
    nothing needs to be done.
    """

    rank: int
    word: str
    lines: int = 1
    fine: bool = False


def by_urgency(items: Sequence[Item], entries: Sequence[Entry]) -> list[tuple[Item, Entry]]:
    """Return each of ``items`` with its entry, the most urgent first."""
    return sorted(zip(items, entries, strict=True), key=lambda pair: pair[1].rank)


def short(
    items: Sequence[Item], entries: Sequence[Entry], *, everything: bool = False, most: int = MOST_LINES
) -> tuple[list[Item], list[Entry]]:
    """Return the items to show, the most urgent first, and the entries of the items that are left out.

    All items are shown if they fit into ``most`` lines, or if ``everything`` is true. Otherwise two groups are
    left out: the items that need no action (``fine``), and the least urgent items for which there is no room.
    """
    pairs = by_urgency(items, entries)
    if everything or sum(entry.lines for entry in entries) <= most:
        return [item for item, _ in pairs], []
    shown: list[Item] = []
    room = most
    for item, entry in pairs:
        room -= entry.lines
        if entry.fine or room < 0:
            break
        shown.append(item)
    return shown, [entry for _, entry in pairs[len(shown) :]]


def print_rest(rest: Sequence[Entry], task: str, out: Console, more: str = "") -> None:
    """Print one line about the entries ``rest``, which the list leaves out. The line contains the number of entries in each
    state, and the command that lists all entries. Print nothing if ``rest`` is empty. ``more``: text about the entries that
    need no action (``fine``).
    """
    if rest:
        counted = ", ".join(f"{number} {word}" for word, number in Counter(entry.word for entry in rest).items())
        text = f"not listed: {counted}{f' ({more})' if more else ''}; all: {program()} {task} --all"
        out.print(Prose(Text(text, style="dim")))
