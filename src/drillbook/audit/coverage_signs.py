"""Signs in the table of coverage. Each sign has one meaning. The legend below the table explains the signs that occur in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drillbook.audit.coverage import LEFT_OUT, NO_RUN, NOT_YET, REHEARSED, Cell, CoverageRow
from drillbook.audit.record_begin import NO_RECORD
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.report.wording import SHAPES

REHEARSAL, RESIDUE, DOUBT = "\N{ANTICLOCKWISE OPEN CIRCLE ARROW}", "\N{BLACK UP-POINTING TRIANGLE}", "?"
SOME = "n of m"
"""Key in ``MEANINGS`` for all cells such as ``2 of 3``, in which only some runs passed. In the legend of a table, this key
is replaced by the text of a cell from the table.
"""
MEANINGS = {
    SHAPES[Verdict.PASSED]: "passed: in at least one of the runs, the service recovered from a fault",
    SHAPES[Verdict.FAILED]: "failed, and not passed since; the failed run may be from an earlier column",
    DOUBT: "not proven: inconclusive, unfinished, or the record of the run cannot be trusted",
    REHEARSAL: "rehearsed only: backups were restored, and no fault was injected and then recovered",
    SHAPES[Verdict.REFUSED]: "refused: the drill was not allowed to start",
    SHAPES[Verdict.ABORTED]: "aborted: stopped before its end",
    SHAPES[Verdict.NOT_RUN]: "not run: the service is not installed",
    RESIDUE: "a run left changes that were not undone",
    "1, 2, …": "number of runs of this time, with rehearsals and without refused runs; all passed",
    SOME: "number of passed runs of this time, and number of all runs of this time except refused runs; both count rehearsals",
    NO_RUN: "no drill of the service ran in this time; Missed drills lists the drills that were due",
    "exempt": "the inventory states why no drill is expected",
    NO_RECORD: "nothing is on record from this time, because the record began later; it proves nothing",
    NOT_YET: "this time has not come",
}
"""Meaning of each sign and word in a cell, in the order of the legend."""


def of(cell: Cell) -> str:
    """Return the sign that the table of coverage shows in ``cell``. ``cell`` must have at least one run."""
    if cell.shown == REHEARSED:
        return REHEARSAL
    if cell.shown == UNFINISHED:
        return DOUBT
    return {str(verdict): shape for verdict, shape in SHAPES.items()}.get(cell.last, DOUBT)


def key(rows: Sequence[CoverageRow]) -> list[tuple[str, str]]:
    """Return the signs and words in the cells of the table, each with its meaning."""
    cells = [cell for row in rows for cell in row.cells]
    used = {sign for cell in cells for sign in _signs(cell)}
    part = next(((cell.passed, cell.tried) for cell in cells if cell.runs and cell.passed != cell.tried), None)
    shown = {SOME: (f"{part[0]} of {part[1]}", _of_runs(*part))} if part else {}
    return [shown.get(sign, (sign, meaning)) for sign, meaning in MEANINGS.items() if sign in used]


def _of_runs(passed: int, runs: int) -> str:
    return (
        f"{passed or 'none'} of the {runs} runs of this time passed"
        if runs > 1
        else "the only run of this time did not pass"
    )


def _signs(cell: Cell) -> Iterator[str]:
    if not cell.runs:
        yield "exempt" if cell.last == LEFT_OUT else cell.last
        return
    yield of(cell)
    yield "1, 2, …" if cell.passed == cell.tried else SOME
    if cell.residue:
        yield RESIDUE
