"""Diagnoses as table rows for all report formats. The rows show the suspected causes of one drill, and compare the causes
that drills expected with the causes that were diagnosed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.judge.result import DiagnosisResult, Injection, RunView
from drillbook.report.figures import count, figure, one_line

NOT_DIAGNOSED = "not diagnosed"
"""Heading of the table column for drills that ended before their diagnosis."""
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
    """Number of diagnoses that named ``cause``.

    ``right`` is True when ``cause`` is the injected cause of the row.
    """

    cause: str
    count: int
    right: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    """Table of injected causes (rows) against diagnosed causes (columns). A sentence summarizes the table."""

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    sentence: str


def sentence(result: DiagnosisResult) -> str:
    """Return a sentence about a diagnosis: the diagnosed cause, the expected cause, and the duration of the diagnosis."""
    if result.found is None or result.seconds is None:
        return f"The run ended before {result.service} was diagnosed; the expected cause was {result.expected}."
    took = f"in {figure(result.seconds, result.error_s or 0.0)}"
    named = f"The diagnosis of {result.service} named {result.found}{_elsewhere(result)} {took}"
    return (
        f"{named}. This is the expected cause." if result.correct else f"{named}; the expected cause was {result.expected}."
    )


def _elsewhere(result: DiagnosisResult) -> str:
    """Return the word ``of`` and the name of the service that has the likeliest cause. The result is empty if this is the
    diagnosed service, or if no cause is known."""
    service = str(result.ranked[0].get("service", "")) if result.ranked else ""
    return f" of {service}" if service not in ("", result.service) else ""


def lead(result: DiagnosisResult) -> str:
    """Return the sentence above the table of causes. If the table leaves out less likely causes, another sentence says so."""
    left = len(result.ranked) - MOST_SHOWN
    more = f" {left} less likely causes are only in result.json, under diagnosis.ranked." if left > 1 else ""
    more = more or (" One less likely cause is only in result.json, under diagnosis.ranked." if left == 1 else "")
    return f"{sentence(result)}{more}"


def cause_rows(result: DiagnosisResult) -> list[CauseRow]:
    """Return table rows of the likeliest causes, at most MOST_SHOWN. The likeliest comes first."""
    return [
        CauseRow(
            number=number,
            cause=str(cause.get("cause", "")),
            title=str(cause.get("title", "")),
            subject=str(cause.get("subject", "")),
            score=int(cause.get("score", 0)),
            supports=[str(seen.get("says", "")) for seen in cause.get("supports", ())],
            against=[str(seen.get("says", "")) for seen in cause.get("against", ())],
            remedy=_remedy(cause),
        )
        for number, cause in enumerate(result.ranked[:MOST_SHOWN], 1)
    ]


def _remedy(suspect: Mapping[str, Any]) -> str:
    """Return the remedy for a suspected cause, with the contacts to call."""
    contacts = ", ".join(map(str, suspect.get("contacts", ())))
    return str(suspect.get("remedy", "")) + (f" Call: {contacts}." if contacts else "")


def confusion(views: Sequence[RunView]) -> Confusion | None:
    """Make the table of injected and diagnosed causes, from the drills that planned a diagnosis and may have injected their
    fault.

    The result is None if there are no such drills.
    """
    results = [view.result.diagnosis for view in views if view.result.diagnosis is not None and _injected(view)]
    if not results:
        return None
    pairs = [(result.expected, NOT_DIAGNOSED if result.found is None else result.found) for result in results]
    injected = list(dict.fromkeys(expected for expected, _ in pairs))
    others = [named for _, named in pairs if named not in injected and named != NOT_DIAGNOSED]
    columns = [*injected, *dict.fromkeys(others), *([NOT_DIAGNOSED] if any(n == NOT_DIAGNOSED for _, n in pairs) else [])]
    rows = [(row, [Cell(column, pairs.count((row, column)), row == column) for column in columns]) for row in injected]
    right = sum(result.correct for result in results)
    bare = sum(view.result.diagnosis is None for view in views)
    have = "has" if bare == 1 else "have"
    rest = f" {bare} of {count(len(views), 'drill')} {have} no diagnosis." if bare else ""
    return Confusion(
        columns, rows, f"{right} of {count(len(results), 'diagnosis', 'diagnoses')} named the cause that was injected.{rest}"
    )


def _injected(view: RunView) -> bool:
    """Return False when the drill has faults and the run certainly injected none of them.

    Return True when a fault was injected, when this is unknown, and for a drill without faults.
    """
    return not view.result.faults or any(
        fault.injection not in (Injection.NOT, Injection.NEVER) for fault in view.result.faults
    )


def cell_text(cell: Cell) -> str:
    """Return the text of a cell, with the number of diagnoses.

    For the injected cause, a check mark stands before the number, as in ``✓ 2``. If no diagnosis named the injected cause, the
    text is ``✗ 0``. For any other cause, the text is only the number, or empty if the number is 0.
    """
    if cell.right:
        return f"✓ {cell.count}" if cell.count else "✗ 0"
    return str(cell.count) if cell.count else ""


def causes_text(row: CauseRow) -> str:
    """Return the evidence for (+) and against (-) a cause, on one line."""
    seen = [*(f"+ {one_line(text)}" for text in row.supports), *(f"- {one_line(text)}" for text in row.against)]
    return "; ".join(seen)
