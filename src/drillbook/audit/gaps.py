"""Months (or quarters, or years) of an audit's period in which no drill of a service ran, in words."""

from __future__ import annotations

from drillbook.audit import covered_days
from drillbook.audit.content import Audit
from drillbook.audit.coverage import NOT_YET, CoverageRow
from drillbook.report.figures import count

MOST_GAPS = 3
"""Largest number of spans that a text names."""


def of(audit: Audit) -> dict[tuple[str, str, bool], list[str]]:
    """Group the services that were not drilled in a part of the period.

    The key of a group has three values: the text that describes this part, the environment, and True if drills of the services
    ran in another part of the period.
    """
    services_by_gap: dict[tuple[str, str, bool], list[str]] = {}
    for row in audit.coverage:
        if row.gaps:
            services_by_gap.setdefault((_gap(audit, row), row.environment, bool(row.runs)), []).append(row.service)
    return services_by_gap


def _gap(audit: Audit, row: CoverageRow) -> str:
    """Describe the time in which no drill of a service ran."""
    if not row.runs:
        return f"never drilled from {audit.period.since} to {covered_days.last_day(audit)}"
    return f"not drilled in {months(audit, row)}{covered_days.incomplete(audit) if len(row.gaps) > MOST_GAPS else ''}"


def months(audit: Audit, row: CoverageRow) -> str:
    """Return the months (or other units) without a run of a service: their names, or their number if they are many. Months that
    have not begun do not count. The text is empty if there are none.
    """
    if len(row.gaps) <= MOST_GAPS:
        return covered_days.named(audit, row.gaps)
    begun = [cell for cell in row.cells if cell.last != NOT_YET]
    return f"{len(row.gaps)} of {count(len(begun), audit.period.unit)}"
