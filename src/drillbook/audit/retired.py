"""Retired drills and environments in an audit. They are listed, and are not reported as missing after their retirement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from drillbook.audit.coverage import LEFT_OUT, NO_RUN, CoverageRow
from drillbook.audit.missed_drills import NEVER_RAN, MissedRow
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.project import retirements
from drillbook.project.retirements import Retirement
from drillbook.project.schedule_record import NOT_BEGUN, Entry
from drillbook.report.markdown_syntax import escape

TITLE = "Retired"
LEAD = (
    "Drills and environments that a person retired, because they no longer exist. They are not reported as missing from then on. "
    "A later run ends a retirement. Drillbook does not check the reason."
)


def in_force(entries: Iterable[Entry], records: Sequence[Record], period: Period) -> tuple[Retirement, ...]:
    """Return the retirements that were in force at the end of ``period``, oldest first."""
    known = [retirement for retirement in retirements.of(entries) if not period.ended_before(retirement.at)]
    runs = (
        (record.drill, record.environment, record.started or "")
        for record in records
        if not period.ended_before(record.started)
    )
    return tuple(retirements.in_force(known, runs))


def places(known: Iterable[Retirement]) -> set[str]:
    """Return the environments that were retired as a whole."""
    return {retirement.environment for retirement in known if not retirement.drill}


def covering(known: Iterable[Retirement], drill: str, environment: str) -> Retirement | None:
    """Return the retirement of a drill in an environment. If ``drill`` is empty, return the retirement of the whole
    environment.
    """
    if drill:
        return next((retirement for retirement in known if retirement.covers(drill, environment)), None)
    return next((retirement for retirement in known if not retirement.drill and retirement.covers("", environment)), None)


def markdown(known: Sequence[Retirement]) -> list[str]:
    """Return the list of retirements as paragraphs in Markdown. It is empty when there are none."""
    lines = "\n".join(f"- **{escape(retirement.subject)}**: {escape(retirement.said)}" for retirement in known)
    return [f"### {TITLE}", LEAD, lines] if known else []


def missed(rows: Iterable[MissedRow], known: Sequence[Retirement], period: Period) -> list[MissedRow]:
    """Return the rows of missed drills, changed for retired drills and environments. A row that has an end, or is about a
    scheduled run that could not begin, stays unchanged.

    Any other row of a retired drill or environment gets the time of the retirement as its end. The row is left out in three
    cases: it begins after the retirement, it is about a drill that never ran, or it now ends before ``period``.
    """
    drills = ((row, "" if row.kind == NEVER_RAN else row.drill) for row in rows)
    ended = chain.from_iterable(_missed(row, covering(known, drill, row.environment)) for row, drill in drills)
    return [row for row in ended if not row.retired or period.touches(row.since, row.until)]


def _missed(row: MissedRow, retirement: Retirement | None) -> list[MissedRow]:
    if retirement is None or row.until or row.kind == NOT_BEGUN:
        return [row]
    if row.kind == NEVER_RAN or retirement.at <= row.since:
        return []
    return [replace(row, until=retirement.at, retired=True)]


def coverage(rows: Iterable[CoverageRow], known: Sequence[Retirement]) -> list[CoverageRow]:
    """Return the rows of services, changed for retired environments: a service of a retired environment has no gaps,
    and counts as exempt from drills."""
    return [_covered(row, covering(known, "", row.environment)) for row in rows]


def _covered(row: CoverageRow, retirement: Retirement | None) -> CoverageRow:
    if retirement is None:
        return row
    cells = tuple(replace(cell, last=LEFT_OUT) if cell.last == NO_RUN else cell for cell in row.cells)
    return replace(row, cells=cells, gaps=(), left_out=retirement.said, backup_of="", retired=True)


def proven(rows: Iterable[ProvenRow], known: Sequence[Retirement]) -> list[ProvenRow]:
    """Return the rows of objectives. A row of a retired drill gets a note about the retirement. If no run of the period has the
    objective, the row is left out.
    """
    kept = []
    for row in rows:
        retirement = covering(known, row.drill, row.environment)
        if retirement is None:
            kept.append(row)
        elif row.newest_run:
            kept.append(replace(row, notes=(*row.notes, retirement.said)))
    return kept
