"""The day from which an audit counts months without a run: a young project had no gap before its record began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date

from drillbook.audit.chain import Problem
from drillbook.audit.coverage import NO_RUN, CoverageRow
from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.project.schedule_record import Entry
from drillbook.report.figures import moment

NO_RECORD = "no record"
"""Word shown instead of a verdict for a span that ended before the record began."""


def of(records: Sequence[Record], scheduled: tuple[Sequence[Entry], str, str], problems: Iterable[Problem]) -> date | None:
    """Return the day (UTC) on which the record began: that of the first run, or of an earlier line of ``schedule.jsonl``. The
    result is None if the record may have begun earlier: without a run, with a run whose start is unknown, if a journal may be
    missing or was changed, or if ``schedule.jsonl`` is damaged.

    ``scheduled``: result of ``schedule_record.read``. ``problems``: problems of all journals.
    """
    entries, damage, _ = scheduled
    texts = [*(record.started or "" for record in records), *(entry.at for entry in entries)]
    moments = [at for text in texts if (at := moment(text))]
    if damage or not records or len(moments) < len(texts) or any(problem.breaking for problem in problems):
        return None
    return min(moments).astimezone(UTC).date()


def within(period: Period, begun: date | None) -> date | None:
    """Return ``begun``, the day on which the record began, if the period has days before it. Otherwise return None."""
    return begun if begun and begun > period.since else None


def coverage(rows: Sequence[CoverageRow], period: Period, begun: date | None) -> Iterator[CoverageRow]:
    """Yield the coverage of each service with months (or other units) that ended before ``begun`` shown as such. They are no
    gaps."""
    before = {span.label for span in period.spans() if begun and span.last < begun}
    for row in rows:
        cells = tuple(
            replace(cell, last=NO_RECORD) if cell.last == NO_RUN and cell.span in before else cell for cell in row.cells
        )
        yield replace(row, cells=cells, gaps=tuple(gap for gap in row.gaps if gap not in before))
