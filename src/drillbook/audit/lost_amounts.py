"""Data of a service that did not come back in the newest run of a drill, as alerts name it: by its amount."""

from __future__ import annotations

from collections.abc import Iterable

from drillbook.audit.findings import FindingRow
from drillbook.audit.run_rows import RunRow
from drillbook.report.open_findings import DATA_LOSS, LACKING

ENTER = "enter the missing data again"
ENTER_THOSE = f"{ENTER}, then run the drills again"
"""Next step of several drills that lost data of their services."""


def of(run: RunRow | None, rows: Iterable[FindingRow]) -> str:
    """Return the data that did not come back in ``run``, such as ``at least 18 rows lost``. It is empty without an open finding about
    this. ``rows``: open findings of the drill.
    """
    return run.lost if run and any(row.code == LACKING for row in rows) else ""


def title(row: FindingRow, lost: str) -> str:
    """Return ``lost``, the amount, for a finding about data that did not come back, and the title of any other finding."""
    return lost if lost and row.code == LACKING else row.title


def titles(rows: Iterable[FindingRow], lost: str) -> list[str]:
    """Return the different titles of the findings about lost data; see ``title``."""
    return list(dict.fromkeys(title(row, lost) for row in rows if row.code in DATA_LOSS))


def beside(lost: str) -> str:
    """Return the text about ``lost`` for the end of a verdict. It is empty if nothing was lost."""
    return f" with {lost}" if lost else ""


def step(row: FindingRow) -> str:
    """Return the next step for data that did not come back. If it begins with a comparison, entering the data comes after it."""
    instruction = row.instruction
    if ENTER in instruction.casefold():
        return instruction
    return f"{instruction}. {ENTER.capitalize()}" if instruction else ENTER
