"""Table of a suite's drills in a terminal: one line for each drill, and below it the meaning of the symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from drillbook.judge import shortfall
from drillbook.judge.verdicts import Verdict
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
WRITES = "writes"
"""Key of a second column, with the writes of the canary that a drill lost. The table has it if a drill lost other data, too, because
both figures in one column would not fit on a line. In this case, the column ``LOST`` has only the other data."""
COLUMNS = {"rto": "RTO", "rpo": "RPO", LOST: "data lost", WRITES: "writes lost", "detect": "detection"}
"""Heads of the columns with the figures of a suite's drills. A further column for the detector of each fault would not fit."""
NOT_ALL = "in part"
"""Words for an RPO that was met for a part of the data only. The column ``LOST`` has the other part."""
UNSET, UNKNOWN = "-", "?"
"""Cells without a figure. ``UNSET``: the drill does not ask for the figure. ``UNKNOWN``: the figure, or the record, is missing."""
OF_UNIT = 2
"""Number of blanks in the longest text about lost data from which the unit can be left out, such as ``≥ 6 rows``."""
INDENT, APART = 2, 3
"""Numbers of blanks: at the start of a line, and between entries of the legend on one line."""
BY_PROBE = "detected by probe"
"""Head of the column with detection times in the table of a suite. It is used if the drills' own probes measured all of these
times. Otherwise the head is `detection`, and a time that an alert measured has the word `alert` in its cell.
"""


@dataclass(frozen=True, slots=True)
class Entries:
    """Short entries of the legend. As many as have room share a line. No entry is broken if it fits on a line of its own."""

    entries: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the entries, several on a line."""
        lines: list[str] = []
        for entry in self.entries:
            line = (" " * APART).join([*lines[-1:], entry])
            if lines and INDENT + cell_len(line) <= options.max_width:
                lines[-1] = line
            else:
                lines.append(entry)
        yield from (Prose(Text(line, style="dim"), INDENT) for line in lines)


def drills(members: Sequence[SuiteRow], *, short: bool = False) -> RenderableType:
    """Return the table of the drills, notes about some of them, and the meaning of the symbols. ``short``: True to leave out retries
    and allowed failures, which the lines about the drills have on a terminal."""
    keys = _keys(members)
    table = WholeWords(_drills(members, keys), INDENT, 1, heads_first=True)
    return Group(table, *_told(members, short=short), *_legend(members, keys))


def _keys(members: Sequence[SuiteRow]) -> list[str]:
    """Return the keys of the columns with the figures of the drills."""
    keys = [key for key in wording.SHORT if any(objective.key == key for row in members for objective in row.objectives)]
    keys += sorted({objective.key for row in members for objective in row.objectives} - set(keys))
    if {_lost(row) for row in members} - {UNSET, UNKNOWN, lost_data.NONE}:  # beside the RPO, which may allow them
        both = any(row.view and all(lost_data.apart(row.view.result)) for row in members)
        at = keys.index("rpo") + 1
        keys[at:at] = [LOST, WRITES] if both else [LOST]
    return keys


def _drills(members: Sequence[SuiteRow], keys: Sequence[str]) -> Table:
    """Return a table with one line for each drill, even on a terminal with 80 columns. The table leaves out measurement errors,
    and has no title, because its first head says what it lists.
    ``keys``: keys of its columns with figures."""
    heads = ("restored in", "would be lost") if any(row.rehearsed for row in members) else ()
    columns = {**COLUMNS, **({"detect": BY_PROBE} if _all_by_probe(members) else {})}
    losses, unit = _losses(members, keys)
    columns |= {LOST: f"{unit} lost"} if unit else {}
    table = table_of("", "drill", "verdict", *(columns.get(key, wording.objective_name(key)) for key in keys), *heads)
    table.padding = (0, 1, 0, 0)
    for column in table.columns[:2]:  # the names and the verdicts are not broken before the head of another column
        column.no_wrap = True
    for row, lost in zip(members, losses, strict=True):
        known: dict[str, RenderableType] = {objective.key: _brief(objective) for objective in row.objectives}
        known |= {key: Text(text, style="dim" if text in (UNSET, UNKNOWN) else "") for key, text in lost.items()}
        cells = [known.get(key, Text(UNSET if row.view else UNKNOWN, style="dim")) for key in keys]
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
        return Text(UNSET, style="dim"), Text(UNSET, style="dim")
    return Text(told.restored), Cell(Text(f"{told.lost} {told.mark}".rstrip()))


def _told(members: Sequence[SuiteRow], *, short: bool) -> list[RenderableType]:
    """Return lines about drills with retries, allowed failures or a missing record. ``short``: as in ``drills``."""
    lines = [
        Text(f"! {one_line(row.drill)}: {said}", style="yellow")
        for row in members
        for said in filter(None, ("" if short else row.tolerated, "" if row.view else row.sentence))
    ]
    return [Prose(Text("\n").join(lines), 2, below=1)] if lines else []


def _brief(row: ObjectiveRow) -> Cell:
    """Return the symbol of an objective's state and its figure without error, such as ``✓ 12.90 s`` or ``~ in part``."""
    symbol, style = (DOUBTED, "yellow") if row.uncounted else (wording.STATES[row.state], COLOURS.get(row.state, "yellow"))
    alert = " alert" if row.by and row.by != remarks.BY_PROBE else ""
    figure = NOT_ALL if row.lost else row.brief
    return Cell(Text(f"{symbol} {figure}{row.mark}{alert}".rstrip(), style=style))


def _lost(row: SuiteRow) -> str:
    """Return the data that a drill lost, such as ``129 writes`` or ``none``. The text is ``UNSET`` for a drill without an RPO,
    because such a drill measures no loss, and ``UNKNOWN`` if the loss is not known."""
    if row.view and not any(objective.key == "rpo" for objective in row.objectives):
        return UNSET
    lost = lost_data.lost(row.view.result) if row.view else ""
    return with_signs(lost) or UNKNOWN


def _losses(members: Sequence[SuiteRow], keys: Sequence[str]) -> tuple[list[dict[str, str]], str]:
    """Return the cells about lost data of each drill, and the unit in the head of the column ``LOST``. ``keys``: keys of the columns.

    If the table has the column ``WRITES``, the cells have no unit as long as all drills lost data of the same unit, such as rows.
    Otherwise, the second text is empty.
    """
    if WRITES not in keys:
        return [{LOST: _lost(row)} for row in members], ""
    apart = [_apart(row) for row in members]
    units = {other.rpartition(" ")[2] for other, _ in apart if " " in other}
    unit = units.pop() if len(units) == 1 and all(other.count(" ") <= OF_UNIT for other, _ in apart) else ""
    return [{LOST: other.removesuffix(f" {unit}") if unit else other, WRITES: writes} for other, writes in apart], unit


def _apart(row: SuiteRow) -> tuple[str, str]:
    """Return the data that a drill lost, apart from the writes of its canary, and the number of these writes."""
    if row.view is None:
        return UNKNOWN, UNKNOWN
    result, rpo = row.view.result, row.view.result.objectives.get("rpo")
    if rpo is None:
        return UNSET, UNSET
    other, writes = lost_data.apart(result)
    counts = result.verdict is Verdict.PASSED and not any(goal.key == "rpo" and goal.uncounted for goal in row.objectives)
    nothing = lost_data.NONE if counts else UNKNOWN
    return (
        with_signs(other) or (nothing if shortfall.has_uncounted(result.steps) else UNSET),
        writes.partition(" ")[0] or (UNSET if rpo.lost_writes is None else nothing),
    )


def _legend(members: Sequence[SuiteRow], keys: Sequence[str]) -> list[RenderableType]:
    """Return the meanings of the symbols and marks in the table of a suite's drills. ``keys``: keys of its columns with figures."""
    shown = [objective for row in members for objective in row.objectives]
    unknown = LOST in keys and any(UNKNOWN in lost.values() for lost in _losses(members, keys)[0])
    signs = [*_states(shown, unknown=unknown), *_dashes(members, keys)]
    marks = "".join([*(row.mark for row in shown), *(row.rehearsed.mark for row in members if row.rehearsed)])
    within = ", or ".join(dict.fromkeys(row.within for row in shown if row.within))
    more = {remarks.SHORT_MARK: f": RPO {within}"} if within else {}
    lines = [f"{mark} {text}{more.get(mark, '')}" for mark, text in remarks.WHY.items() if mark in marks]
    return (
        [Entries(signs), Prose(Text("\n".join(lines), style="dim"), INDENT, below=1)] if lines else [Entries(signs), Text()]
    )


def _states(shown: Sequence[ObjectiveRow], *, unknown: bool) -> list[str]:
    """Return the symbols of the states of objectives, each with its meaning. ``unknown``: True if the table has ``UNKNOWN`` for a
    loss of data. For an RPO that is met for a part of the data only, the state is named only if no mark explains it."""
    states = {row.state for row in shown if not row.uncounted}
    doubted = [wording.NOT_VERIFIED] if wording.NOT_VERIFIED in states else []
    doubted += ["does not count: the run did not pass"] if any(row.uncounted for row in shown) else []
    doubted += ["not known"] if unknown and not doubted else []
    words = {state: state for state in states} | ({wording.NOT_VERIFIED: " or ".join(doubted)} if doubted else {})
    if remarks.RESERVED in words and all(row.within for row in shown if row.state == remarks.RESERVED):
        del words[remarks.RESERVED]
    return [f"{symbol} {words[state]}" for state, symbol in wording.STATES.items() if state in words]


def _dashes(members: Sequence[SuiteRow], keys: Sequence[str]) -> list[str]:
    """Return the meaning of ``UNSET``, if the table has it. ``keys``: keys of its columns with figures."""
    objectives = [{objective.key for objective in row.objectives} for row in members if row.view]
    unset = {key for key in keys for known in objectives if key not in (LOST, WRITES) and key not in known}
    if WRITES in keys:
        unset |= {key for lost in _losses(members, keys)[0] for key, text in lost.items() if text == UNSET}
    if any(row.rehearsed for row in members) and not all(row.rehearsed for row in members):
        unset.add("rehearsal")
    if not unset:
        return []
    why = "sets no RPO" if unset == {"rpo"} else "does not ask for it"
    return [f"{UNSET} not measured: the drill {why}"]
