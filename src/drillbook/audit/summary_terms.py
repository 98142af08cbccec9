"""Terms of the summary for management, with their definitions. Paper leaves out the terms of parts that it has no room for."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.audit import service_groups
from drillbook.audit.service_groups import Group
from drillbook.audit.service_row import NEVER, ServiceRow
from drillbook.audit.summary_layout import Layout
from drillbook.judge.verdicts import Verdict
from drillbook.report.figures import DOWNWARDS
from drillbook.report.wording import CLOCKS

STATE, ABORTED, FIGURES, SET, REHEARSED = "State", "Aborted", "Figures", "Objectives set", "Rehearsed"
STATE_NOTE = "By the newest run of each drill of the service; a drill that failed stays failed until a run passes."
ABORTED_NOTE = (
    "The run was stopped by a person, a signal or a condition of its drill, or its controller (the program that runs the drill) died. "
    "So the run does not show whether the service recovers."
)
FIGURES_NOTE = f"RTO and RPO: the longest met in a deciding run, by the controller's clock; error ± or downward {DOWNWARDS}."
"""Explanation of the columns RTO and RPO."""
SET_NOTE = "Those that its drills set."
PROBE_NOTE = "A detection by a drill's own probe proves no alerting and is not counted."
REHEARSED_NOTE = (
    "A backup was restored into a sandbox or to a spare service, and nothing was broken; the figure is no RTO and no RPO. "
    "A figure without ± has no sampling error."
)
SPANS = tuple(
    (clock.key.upper(), f"{clock.span[:1].upper()}{clock.span[1:]}.") for clock in CLOCKS if clock.key in ("rto", "rpo")
)


def of(rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Return the terms of the page with their definitions: the groups of services, and how to read the table."""
    drilled = [row for row in rows if row.state != NEVER]
    definitions = [*rules(rows), (STATE, STATE_NOTE)]
    definitions += [(ABORTED, ABORTED_NOTE)] if any(row.state == Verdict.ABORTED for row in drilled) else []
    definitions += [*SPANS, (FIGURES, FIGURES_NOTE)]
    definitions += [(SET, f"{SET_NOTE} {PROBE_NOTE}" if any(row.probed for row in drilled) else SET_NOTE)] if drilled else []
    definitions += [(REHEARSED, REHEARSED_NOTE)] if any(row.restored or row.would_lose for row in drilled) else []
    return definitions if rows else []


def rules(rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Return the groups with their explanations. A group without a service is left out, except the best group."""
    used = {row.rank for row in rows if row.state != NEVER}
    return service_groups.rules(used, "".join(row.marks for row in rows if row.rank is Group.RESERVED)) if rows else []


def on_paper(term: str, layout: Layout, *, rehearsals: bool) -> bool:
    """Return True if paper explains ``term``. ``rehearsals``: True if a line below a dense table has the figures of rehearsals."""
    if term == REHEARSED:
        return rehearsals or not layout.dense
    if term == SET:
        return layout.table
    if term in (STATE, FIGURES, *dict(SPANS)):
        return bool(layout.figures) or layout.table
    return True
