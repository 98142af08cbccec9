"""Diagnoses as table rows for all formats: suspected causes of one drill, and a table that compares injected and diagnosed
causes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.judge.result import DiagnosisResult, Injection, RunView
from drillbook.report.figures import one_line

NOT_DIAGNOSED = "not diagnosed"
"""Heading of the table column that counts the drills that ended before their diagnosis."""
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A suspected cause, with the evidence for and against it."""

    number: int
    cause: str
    title: str
    subject: str
    score: int
    supports: list[str]
    against: list[str]
    remedy: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Number of diagnoses that named ``cause``. ``right`` is True when the row's injected cause is the same."""

    cause: str
    count: int
    right: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    """Table of injected causes (rows) against diagnosed causes (columns), with a sentence that summarizes it."""

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    sentence: str


def sentence(found: DiagnosisResult) -> str:
    """Sentence about a diagnosis: the diagnosed cause, the injected one, and the duration."""
    if found.found is None or found.seconds is None:
        return f"The run ended before its diagnosis of {found.service}; the expected cause was {found.expected}."
    took = f"in {found.seconds:.3f} s ± {found.error_s or 0:.3f} s"
    if found.correct:
        return f"The diagnosis of {found.service} named {found.found} {took}, which is the expected cause."
    return f"The diagnosis of {found.service} named {found.found} {took}; the expected cause was {found.expected}."


def cause_rows(found: DiagnosisResult) -> list[CauseRow]:
    """Table rows of the likeliest causes (at most MOST_SHOWN), likeliest first."""
    return [
        CauseRow(
            number=number,
            cause=str(one.get("cause", "")),
            title=str(one.get("title", "")),
            subject=str(one.get("subject", "")),
            score=int(one.get("score", 0)),
            supports=[str(seen.get("says", "")) for seen in one.get("supports", ())],
            against=[str(seen.get("says", "")) for seen in one.get("against", ())],
            remedy=_remedy(one),
        )
        for number, one in enumerate(found.ranked[:MOST_SHOWN], 1)
    ]


def _remedy(suspect: Mapping[str, Any]) -> str:
    """Remedy for a suspected cause, with the contacts to call."""
    contacts = ", ".join(map(str, suspect.get("contacts", ())))
    return str(suspect.get("remedy", "")) + (f" Call: {contacts}." if contacts else "")


def confusion(views: Sequence[RunView]) -> Confusion | None:
    """Make the table of injected and diagnosed causes, from the drills that know both; None if there are no such drills."""
    found = [view.result.diagnosis for view in views if view.result.diagnosis is not None and _injected(view)]
    if not found:
        return None
    pairs = [(one.expected, NOT_DIAGNOSED if one.found is None else one.found) for one in found]
    injected = list(dict.fromkeys(expected for expected, _ in pairs))
    others = [named for _, named in pairs if named not in injected and named != NOT_DIAGNOSED]
    columns = [*injected, *dict.fromkeys(others), *([NOT_DIAGNOSED] if any(n == NOT_DIAGNOSED for _, n in pairs) else [])]
    rows = [(row, [Cell(column, pairs.count((row, column)), row == column) for column in columns]) for row in injected]
    right = sum(one.correct for one in found)
    return Confusion(columns, rows, f"{right} of {len(found)} diagnoses named the cause that was injected.")


def _injected(view: RunView) -> bool:
    """Return True when at least one fault of the run was injected, or may have been; also for a run without faults."""
    return not view.result.faults or any(one.injection not in (Injection.NOT, Injection.NEVER) for one in view.result.faults)


def cell_text(cell: Cell) -> str:
    """Text of a cell: for example ``✓ 2`` for two correct diagnoses, ``✗ 0`` for none.

    Other cells show the number; empty for zero.
    """
    if cell.right:
        return f"✓ {cell.count}" if cell.count else "✗ 0"
    return str(cell.count) if cell.count else ""


def causes_text(row: CauseRow) -> str:
    """Evidence for (+) and against (-) a cause, on one line."""
    seen = [*(f"+ {one_line(one)}" for one in row.supports), *(f"- {one_line(one)}" for one in row.against)]
    return "; ".join(seen)
