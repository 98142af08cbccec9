"""Table of a suite's drills in a terminal: one line for each drill, and below it the meaning of the symbols."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from drillbook.report import lost_data, remarks, wording
from drillbook.report.figures import one_line
from drillbook.report.objective_figures import with_signs
from drillbook.report.rows import ObjectiveRow
from drillbook.report.suites import SuiteRow
from drillbook.report.terminal.prose import Cell, Prose
from drillbook.report.terminal.tables import COLOURS, DOUBTED, state_text, table_of
from drillbook.report.terminal.whole_words import WholeWords

LOST = "lost"
"""Key of the column with the data that a drill lost. The column is left out if no drill lost data."""
COLUMNS = {"rto": "RTO", "rpo": "RPO", LOST: "data lost", "detect": "detection"}
"""Heads of the columns with the figures of a suite's drills. A further column for the detector of each fault would not fit."""
PARTLY = "partly"
"""Word for an RPO that was met for a part of the data only. The column ``LOST`` has the other part."""
BY_PROBE = "detected by probe"
"""Head of the column with detection times in the table of a suite. It is used if the drills' own probes measured all of these
times. Otherwise the head is `detection`, and a time that an alert measured has the word `alert` in its cell.
"""


def drills(members: Sequence[SuiteRow]) -> RenderableType:
    """Return the table of the drills, notes about some of them, and the meaning of the symbols."""
    return Group(WholeWords(_drills(members), 2, 1, heads_first=True), *_told(members), *_legend(members))


def _drills(members: Sequence[SuiteRow]) -> Table:
    """Return a table with one line for each drill, even on a terminal with 80 columns. The table leaves out measurement errors."""
    keys = [key for key in wording.SHORT if any(objective.key == key for row in members for objective in row.objectives)]
    keys += sorted({objective.key for row in members for objective in row.objectives} - set(keys))
    heads = ("restored in", "would be lost") if any(row.rehearsed for row in members) else ()
    columns = {**COLUMNS, **({"detect": BY_PROBE} if _all_by_probe(members) else {})}
    losses = [_lost(row) for row in members]
    if set(losses) - {"", lost_data.NONE}:  # beside the RPO, which may allow them
        keys.insert(keys.index("rpo") + 1, LOST)
    table = table_of("Drills", "drill", "verdict", *(columns.get(key, wording.objective_name(key)) for key in keys), *heads)
    table.padding = (0, 1, 0, 0)
    for column in table.columns[:2]:  # the names and the verdicts are not broken before the head of another column
        column.no_wrap = True
    for row, lost in zip(members, losses, strict=True):
        known: dict[str, RenderableType] = {objective.key: _brief(objective) for objective in row.objectives}
        known |= {LOST: Text(lost)} if lost else {}
        cells = [known.get(key, Text("-" if row.view else "?", style="dim")) for key in keys]
        verdict = state_text(row.verdict).append(" !" if row.beside else "", style="yellow")
        table.add_row(Text(one_line(row.drill)), verdict, *cells, *(_rehearsed(row) if heads else ()))
    return table


def _all_by_probe(members: Sequence[SuiteRow]) -> bool:
    """Return True when the suite has measured detections, and in each of them the drill's own probe detected the fault."""
    detected = [objective for row in members for objective in row.objectives if objective.key == "detect" and objective.by]
    return bool(detected) and all(objective.by_probe for objective in detected)


def _rehearsed(row: SuiteRow) -> tuple[RenderableType, RenderableType]:
    """Return the cells with the figures of a rehearsal: the duration of the restore, and the data that would be lost.
    For any other drill, each cell is a dash."""
    told = row.rehearsed
    if told is None:
        return Text("-", style="dim"), Text("-", style="dim")
    return Text(told.restored), Cell(Text(f"{told.lost} {told.mark}".rstrip()))


def _told(members: Sequence[SuiteRow]) -> list[RenderableType]:
    """Return lines about drills with retries, allowed failures or a missing record."""
    lines = [
        Text(f"! {one_line(row.drill)}: {said}", style="yellow")
        for row in members
        for said in filter(None, (row.tolerated, "" if row.view else row.sentence))
    ]
    return [Prose(Text("\n").join(lines), 2, below=1)] if lines else []


def _brief(row: ObjectiveRow) -> Cell:
    """Return the symbol of an objective's state and its figure without error, such as ``✓ 12.90 s`` or ``~ partly``."""
    symbol, style = (DOUBTED, "yellow") if row.uncounted else (wording.STATES[row.state], COLOURS.get(row.state, "yellow"))
    alert = " alert" if row.by and row.by != remarks.BY_PROBE else ""
    figure = PARTLY if row.lost else row.brief
    return Cell(Text(f"{symbol} {figure}{row.mark}{alert}".rstrip(), style=style))


def _lost(row: SuiteRow) -> str:
    """Return the data that a drill lost, such as ``129 writes``. The text is ``none`` if it lost none, and empty if this is
    unknown."""
    return with_signs(lost_data.lost(row.view.result)) if row.view else ""


def _legend(members: Sequence[SuiteRow]) -> list[RenderableType]:
    """Return one sentence with the meanings of the symbols and marks in the table of a suite's drills."""
    shown = [objective for row in members for objective in row.objectives]
    states = {objective.state for objective in shown if not objective.uncounted}
    doubted = [state for state in (wording.NOT_VERIFIED,) if state in states]
    doubted += ["does not count: the run did not pass"] if any(objective.uncounted for objective in shown) else []
    words = {state: state for state in states} | ({wording.NOT_VERIFIED: " or ".join(doubted)} if doubted else {})
    known = {state: f"{symbol} {words[state]}" for state, symbol in wording.STATES.items() if state in words}
    marks = [objective.mark for objective in shown]
    marks += [row.rehearsed.mark for row in members if row.rehearsed]
    why = ", ".join(f"{mark} {text}" for mark, text in remarks.WHY.items() if mark in "".join(marks))
    if remarks.RESERVED in known:
        known[remarks.RESERVED] = f"{wording.STATES[remarks.RESERVED]} {_reserved(shown)}"
    if why and remarks.RESERVED in known:
        known[remarks.RESERVED] += f" ({why})"
        why = ""
    text = ", ".join([*known.values(), *filter(None, [why])])
    return [Prose(Text(f"{text}.", style="dim"), 2, below=1)] if text else []


def _reserved(shown: Sequence[ObjectiveRow]) -> str:
    """Return the words for objectives that were met with a reservation. If data was lost, a cell has only the word `partly`. The
    words then also have the state as all other reports name it, such as `met for the other tables only`.
    """
    reserved = [row for row in shown if row.state == remarks.RESERVED]
    words = [f"{PARTLY}: {row.within}" if row.within else remarks.RESERVED for row in reserved]
    return ", ".join(sorted(dict.fromkeys(words), key=lambda word: word != remarks.RESERVED))
