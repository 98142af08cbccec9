"""Months (or quarters, or years) of an audit's period in which no drill of a service ran, in words."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.audit import covered_days, kept_schedules, undrilled_services
from drillbook.audit.alert import Alert, Topic
from drillbook.audit.content import Audit
from drillbook.audit.coverage import NOT_YET, CoverageRow
from drillbook.audit.record_begin import NO_RECORD
from drillbook.installation.program_name import NEUTRAL
from drillbook.report import next_steps
from drillbook.report.figures import count

MOST_GAPS = 3
"""Largest number of spans that a text names."""


Gap = tuple[str, str, bool, bool]
"""Part of the period in which services were not drilled: the text that describes it, the environment, True if drills of the
services ran in another part of the period, and True if the services have a schedule.
"""


def of(audit: Audit) -> dict[Gap, list[str]]:
    """Group the services that were not drilled in a part of the period. A drilled service is left out if its schedule asked for
    no run in this part."""
    services_by_gap: dict[Gap, list[str]] = {}
    for row in audit.coverage:
        if row.gaps and not (row.runs and kept_schedules.kept(audit, row)):
            planned = bool(row.runs and kept_schedules.scheduled(audit, row))
            key = (_gap(audit, row), row.environment, bool(row.runs), planned)
            services_by_gap.setdefault(key, []).append(row.service)
    return services_by_gap


def alerts(audit: Audit, when: str) -> Iterator[Alert]:
    """Return alerts about services that were not drilled in a part of the period (``Topic.GAPS``), or never in the period
    (``Topic.NEVER_DRILLED``). ``when``: time limit of the next steps.
    """
    for (words, environment, drilled, planned), known in of(audit).items():
        names = (
            f"The services {', '.join(known[:-1])} and {known[-1]} were" if len(known) > 1 else f"The service {known[0]} was"
        )
        text = f"{names} {words} in {environment}"
        if drilled:
            yield Alert(text, _step(audit, planned=planned), when=when, topic=Topic.GAPS)
        else:
            step, limit = undrilled_services.step(audit, environment, known, when)
            yield Alert(text, step, when=limit, topic=Topic.NEVER_DRILLED, otherwise=f"; or {next_steps.EXEMPT}")


def _step(audit: Audit, *, planned: bool) -> str:
    if planned:
        return f"run the scheduled drills when they are due (`{NEUTRAL} drill.due --all` lists them)"
    return f"schedule a drill, so that the coming {audit.period.unit}s are covered"


def _gap(audit: Audit, row: CoverageRow) -> str:
    """Describe the time in which no drill of a service ran."""
    if not row.runs:
        return f"never drilled {covered_days.during(audit.counted_from or audit.period.since, covered_days.last_day(audit))}"
    return f"not drilled in {months(audit, row)}{covered_days.incomplete(audit) if len(row.gaps) > MOST_GAPS else ''}"


def months(audit: Audit, row: CoverageRow) -> str:
    """Return the months (or other units) without a run of a service: their names, or their number if they are many. Months that
    have not begun do not count, and neither do those before the record began. The text is empty if there are none.
    """
    if len(row.gaps) <= MOST_GAPS:
        return covered_days.named(audit, row.gaps)
    begun = [cell for cell in row.cells if cell.last not in (NOT_YET, NO_RECORD)]
    return f"{len(row.gaps)} of {count(len(begun), audit.period.unit)}"
