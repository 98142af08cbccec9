"""The short form of the lists of ``drill.due`` and ``drill.list``. A list that is longer than the terminal shows the most
important entries, and the number of entries that are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.plan.schedule import State
from drillbook.report.terminal.prose import Prose

if TYPE_CHECKING:
    from drillbook.project.due_row import DueRow
    from drillbook.project.newest_runs import Ended
    from drillbook.project.schedules import Scheduled

MOST_LINES = 10
"""Maximum number of lines in the table of a short list on a small terminal, without the heads of the table. With this limit,
the whole output of a usual project fits on a terminal of 24 lines.
"""
LEAST_LINES = 3
"""Minimum number of lines of a shortened table. A table is shortened when the text below it is long. It never gets shorter
than this, even if the output then does not fit on a small terminal.
"""
TERMINAL = 24
"""Number of lines of a small terminal. The last of them is needed for the prompt."""
Item = TypeVar("Item")
AGAIN = "must run again"
"""Word for drills for which ``must_run_again`` is true, and for their number."""
WORDS = {
    "passed": "green",
    "failed": "red",
    "inconclusive": "yellow",
    "refused": "yellow",
    "aborted": "magenta",
    "not run here": "yellow",
    "unfinished": "bold red",
    "journal lost": "bold red",
    "running": "cyan",
}
"""Style of each verdict or state of a run in a list."""
BROKEN, OVERDUE, FAILED, DUE = "cannot be read", "overdue", "not passed in the last run", "due"
OPEN, RECENT = "passed with open findings", "passed and not due"
NEW, IDLE = "never run", "never run and without a schedule"
ELSEWHERE = "that need another inventory or an installation"
IMPORTANCE = (UNFINISHED, BROKEN, FAILED, OVERDUE, OPEN, DUE, RECENT, NEW, ELSEWHERE, IDLE)
"""States of drills in the order in which the short form of ``drill.list`` chooses its drills: results come before drills that
never ran.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Properties of an entry. They decide whether the short form of the list shows the entry. ``rank``: the entries with the
    smallest rank are the most urgent. ``word``: state of the entry, in words. The line below the list shows how many
    entries with the same ``word`` were left out. ``lines``: number of lines of the entry in the table. ``fine``: True when
    nothing needs to be done, and the short form never shows the entry. ``importance``: order in which a short form chooses its
    entries, the smallest first; by default, they are chosen by ``rank``.
    """

    rank: int
    word: str
    lines: int = 1
    fine: bool = False
    importance: tuple[float, ...] = ()


def must_run_again(verdict: str, state: State | None) -> bool:
    """Return True for a drill whose newest run did not end well, although its schedule alone does not ask for a run. The state
    is None for a drill without a schedule. A refused run tried nothing, so it is no reason.
    """
    return verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ABORTED) and state in (None, State.OK, State.DUE)


def next_step(verdict: str, state: State | None) -> str:
    """Return the next step of a drill, which the lists show in place of the time until it is due. The text is empty if the
    drill has no other next step than its next run. ``verdict``: that of its newest run.
    """
    if verdict == UNFINISHED:
        return "recover it"
    return "run it again" if must_run_again(verdict, state) else ""


def of_drill(
    wanted: Scheduled, last: Ended | None, row: DueRow | None, lines: int, *, attention: bool = False, lossy: bool = False
) -> Entry:
    """Return the entry of a drill or suite in the list of ``drill.list``. ``last``: its newest run. ``row``: its schedule.
    ``attention``: True if its newest run has open findings, or if an earlier run lost data. ``lossy``: True if a run lost data; of
    entries with the same state, those come first.
    """
    tried = last is not None and not (last.verdict == Verdict.NOT_RUN and row is not None and row.needs)
    states = {  # in the order of the list; the first one that is true counts
        UNFINISHED: last is not None and last.verdict == UNFINISHED,
        BROKEN: bool(wanted.broken or wanted.mistake),
        OVERDUE: row is not None and row.state is State.OVERDUE,
        FAILED: last is not None and tried and (last.verdict != Verdict.PASSED or last.exit == Exit.RESIDUE),
        NEW: last is None and (not row.needs if row else bool(wanted.planned_by)),
        DUE: row is not None and tried and row.state is State.DUE,
        ELSEWHERE: not tried and row is not None,
        IDLE: last is None,
        OPEN: attention,
        RECENT: True,
    }
    rank, word = next((rank, word) for rank, (word, holds) in enumerate(states.items()) if holds)
    order = IMPORTANCE.index(word)
    if attention:
        order = min(order, IMPORTANCE.index(OPEN))
    newest = last.at.timestamp() if last is not None and last.at else 0.0
    return Entry(rank, word, lines, importance=(order, not lossy, -newest))


def below(facts: Sequence[str], commands: Sequence[str], room: int) -> str:
    """Return the lines below an entry: ``commands``, and before the last of them ``facts``, joined by commas. Each command is
    the end of its line, so that it can be copied. The facts share the line of the last command if both fit into ``room``.
    Empty texts are left out.
    """
    told, lines = ", ".join(filter(None, facts)), list(filter(None, commands))
    if told and lines and cell_len(both := f"{told}; {lines[-1]}") <= room:
        return "\n".join([*lines[:-1], both])
    return "\n".join([*lines[:-1], *filter(None, [told]), *lines[-1:]])


def without_lines(text: str, number: int, room: int) -> tuple[str, int]:
    """Return ``text``, a text of ``below``, so that it has ``number`` fewer lines on a terminal, and the number of lines that are left
    out. The facts are left out first, and then the commands before the last one, which is always kept.
    """
    lines, left_out = text.split("\n"), 0
    while left_out < number and len(lines) > 1:
        left_out += height_of(lines.pop(-2), room)
    return "\n".join(lines), left_out


def height_of(text: str, room: int) -> int:
    """Return the number of lines of ``text``, a text of ``below``, on a terminal."""
    return sum(ceil(cell_len(line) / room) for line in text.split("\n"))


def most_lines(out: Console) -> int:
    """Return the largest number of lines in the table of a short list. A higher terminal has room for more lines."""
    return MOST_LINES + height(out) - TERMINAL


def height(out: Console) -> int:
    """Return the number of lines of the terminal, but at least ``TERMINAL``. Output to a file is as long as on a small one."""
    return max(TERMINAL, out.height) if out.is_terminal else TERMINAL


def by_urgency(items: Sequence[Item], entries: Sequence[Entry]) -> list[tuple[Item, Entry]]:
    """Return each of ``items`` with its entry, the most urgent first."""
    return sorted(zip(items, entries, strict=True), key=lambda pair: pair[1].rank)


def short(
    items: Sequence[Item], entries: Sequence[Entry], *, everything: bool = False, most: int = MOST_LINES
) -> tuple[list[Item], list[Entry]]:
    """Return the items to show, the most urgent first, and the entries of the items that are left out.

    All items are shown if they fit into ``most`` lines, or if ``everything`` is true. Otherwise two groups are
    left out: the items that need no action (``fine``), and the least important items for which there is no room. The most important
    item that needs an action is always shown.
    """
    pairs = by_urgency(items, entries)
    if everything or sum(entry.lines for entry in entries) <= most:
        return [item for item, _ in pairs], []
    chosen = sorted(range(len(pairs)), key=lambda number: pairs[number][1].importance or (pairs[number][1].rank,))
    number, room = 0, most
    while number < len(chosen) and not (entry := pairs[chosen[number]][1]).fine and (not number or entry.lines <= room):
        number, room = number + 1, room - entry.lines
    return [pairs[place][0] for place in sorted(chosen[:number])], [pairs[place][1] for place in chosen[number:]]


def print_rest(rest: Sequence[Entry], task: str, out: Console, more: Mapping[str, str] | None = None) -> None:
    """Print one line about the entries ``rest``, which the list leaves out. The line contains the number of entries in each
    state, and the command that lists all entries. Print nothing if ``rest`` is empty. ``more``: text beside the number of
    entries with the same ``word``, for some of these words.
    """
    if rest:
        numbers = Counter(entry.word for entry in rest)
        told = {word: f" ({text})" for word, text in (more or {}).items()}
        counted = ", ".join(f"{number} {word}{told.get(word, '')}" for word, number in numbers.items())
        text = f"not listed: {counted}; all: {program()} {task} --all"
        out.print(Prose(Text(text, style="dim")))
