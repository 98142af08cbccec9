"""Days that an audit covers, in words. They may be less than its period, and less than whole months, quarters or years."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from drillbook.audit.content import Audit
from drillbook.audit.period import LENGTHS, Span
from drillbook.language.lists import ranged


def last_day(audit: Audit) -> date:
    """Return the last day that the audit covers: the day of the audit, or the last day of a period that has ended."""
    return audit.so_far or audit.period.until


def during(first: date, last: date) -> str:
    """Return the days from ``first`` to ``last`` in words, as in ``from 2026-10-01 to 2026-12-31``, or ``on 2026-12-01``."""
    return f"on {first}" if first == last else f"from {first} to {last}"


def title(audit: Audit) -> str:
    """Title of the audit in every format. It has the date of the audit if the period has not ended."""
    as_of = f" (as of {audit.so_far})" if audit.so_far else ""
    return f"Recovery drills {during(audit.period.since, audit.period.until)}{as_of}"


def sentence(audit: Audit) -> str:
    """Return the days of the period, and that it has not ended, for people who do not know audits. The term `Period` precedes it."""
    first, last = audit.period.since, audit.period.until
    text = f"{first}, a single day." if first == last else f"From {first} to {last}, both days included."
    text += f" It has not {_open(audit)}: this page shows the state of {audit.so_far}." if audit.so_far else ""
    return f"{text} {begin(audit)}".rstrip()


def begin(audit: Audit) -> str:
    """Return a sentence with the day on which the record began. It is empty if the period has no days before it."""
    if not audit.counted_from:
        return ""
    unit = audit.period.unit
    return f"Nothing is on record before {audit.counted_from}: {unit}s without a run are counted from this day."


def as_of(audit: Audit) -> str:
    """Return a clause with the day of the audit. It is empty if the period has ended."""
    return f"; it has not {_open(audit)}, so all figures are as of {audit.so_far}" if audit.so_far else ""


def _open(audit: Audit) -> str:
    """Return what the period has not done by the last day that the audit covers."""
    return "begun" if last_day(audit) < audit.period.since else "ended"


def part(audit: Audit, span: Span) -> tuple[date | None, date | None]:
    """Return the first and the last day of ``span`` that the audit covers. Each of them is None if the days before it, or after
    it, do not belong to the month, quarter or year of the span. Both are None for a span that has not begun.
    """
    until = last_day(audit)
    if span.first > until:
        return None, None
    length = LENGTHS[audit.period.unit]
    begins = length(span.first - timedelta(days=1))[1] == span.first
    last = min(span.last, until)
    ends = length(last)[1] == last + timedelta(days=1)
    return None if begins else span.first, None if ends else last


def heads(audit: Audit) -> list[str]:
    """Return the head of each column of the coverage: the month, and the days of it that the audit covers, as in ``to 12-01``,
    if it does not cover all of them.
    """
    return [_head(audit, span, "%m-%d") for span in audit.period.spans()]


def named(audit: Audit, labels: Sequence[str]) -> str:
    """Return the spans ``labels`` as a list in words. Of a span that the audit covers in part, the text names the days."""
    return ", ".join(_head(audit, span, "%Y-%m-%d") for span in audit.period.spans() if span.label in labels)


def incomplete(audit: Audit) -> str:
    """Return a clause, in parentheses, which names the spans that the audit covers in part. It is empty if there are none. Spans
    before the record began are left out."""
    spans = [span for span in audit.period.spans() if not (audit.counted_from and span.last < audit.counted_from)]
    texts = [f"{span.label} only {days}" for span in spans if (days := _days(*part(audit, span), "%Y-%m-%d"))]
    return f" ({', '.join(texts)})" if texts else ""


def _head(audit: Audit, span: Span, form: str) -> str:
    """Return the label of ``span``, with the days that the audit covers if these are not all. ``form``: format of a day."""
    days = _days(*part(audit, span), form)
    return f"{span.label} ({days})" if days else span.label


def _days(first: date | None, last: date | None, form: str) -> str:
    if first and last:
        return ranged(f"{first:{form}}", f"{last:{form}}")
    return f"from {first:{form}}" if first else f"to {last:{form}}" if last else ""
