"""What runs diagnosed, as rows for all formats: one drill's causes, and over a suite injected against diagnosed cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.judge.result import DiagnosisResult, Injection, RunView
from drillbook.report.figures import one_line

NOT_DIAGNOSED = "not diagnosed"
"""The column of drills that did not get as far as their diagnosis."""
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A cause that was suspected, with what spoke for and against it."""

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
    """How often ``cause`` was diagnosed; ``right``: it is the one that was injected."""

    cause: str
    count: int
    right: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    """Injected causes as rows, diagnosed ones as columns."""

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    sentence: str


def sentence(found: DiagnosisResult) -> str:
    """One line: what was diagnosed, against what was injected, how long it took."""
    if found.found is None or found.seconds is None:
        return f"The run did not get as far as its diagnosis of {found.service}; {found.expected} was to be found."
    took = f"in {found.seconds:.3f} s ± {found.error_s or 0:.3f} s"
    if found.correct:
        return f"The diagnosis of {found.service} named {found.found} {took}, which is the cause that was expected."
    return f"The diagnosis of {found.service} named {found.found} {took}; expected was {found.expected}."


def cause_rows(found: DiagnosisResult) -> list[CauseRow]:
    """The likeliest causes, first one first."""
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
    """What helps, and whom to call."""
    contacts = ", ".join(map(str, suspect.get("contacts", ())))
    return str(suspect.get("remedy", "")) + (f" Call: {contacts}." if contacts else "")


def confusion(views: Sequence[RunView]) -> Confusion | None:
    """Injected against diagnosed, over the drills that plan a diagnosis and injected its cause; None when none did."""
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
    """True unless every fault of the run is known not to have happened."""
    return not view.result.faults or any(one.injection not in (Injection.NOT, Injection.NEVER) for one in view.result.faults)


def cell_text(cell: Cell) -> str:
    """A count as it is shown: the diagonal is marked, also where nothing stands on it."""
    if cell.right:
        return f"✓ {cell.count}" if cell.count else "✗ 0"
    return str(cell.count) if cell.count else ""


def causes_text(row: CauseRow) -> str:
    """What spoke for and against a cause, on one line."""
    seen = [*(f"+ {one_line(one)}" for one in row.supports), *(f"- {one_line(one)}" for one in row.against)]
    return "; ".join(seen)
