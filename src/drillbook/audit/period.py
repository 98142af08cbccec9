"""The period of an audit: whole days in UTC, divided into months, quarters or years."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from drillbook.errors import UsageError
from drillbook.language.lists import ranged
from drillbook.report.figures import moment

MOST_COLUMNS = {"month": (1, 12), "quarter": (3, 16)}
"""Length of a column in months, and the largest number of columns in a table, by unit."""
LENGTHS: dict[str, Callable[[date], tuple[str, date]]] = {
    "month": lambda day: (f"{day:%Y-%m}", _months_on(day.replace(day=1), 1)),
    "quarter": lambda day: (
        f"{day.year} Q{(day.month + 2) // 3}",
        _months_on(date(day.year, day.month - (day.month - 1) % 3, 1), 3),
    ),
    "year": lambda day: (f"{day.year}", date(day.year + 1, 1, 1)),
}


def _months_on(first: date, months: int) -> date:
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Column of a table in the audit. It is a month, quarter or year, without the days outside of the audited period."""

    label: str
    first: date
    last: date

    def holds(self, at: str) -> bool:
        """Return True when the time ``at`` is in this span."""
        instant = moment(at)
        return instant is not None and self.first <= instant.date() <= self.last

    def begins_after(self, at: str) -> bool:
        """Return True when this span begins after the day of the time ``at``."""
        instant = moment(at)
        return instant is not None and instant.date() < self.first


@dataclass(frozen=True, slots=True)
class Period:
    """The time from the start of the day ``since`` to the end of the day ``until``, in UTC."""

    since: date
    until: date

    @classmethod
    def parse(cls, since: str, until: str) -> Period:
        """Make the period between two dates. Both dates are included.

        Raises UsageError when a date is invalid or empty, or when the last date lies before the first.
        """
        days = [_day(name, text) for name, text in (("since", since), ("until", until)) if text]
        if len(days) < 2:
            hint = "`invoke audit --since 2026-01-01 --until 2026-12-31`; `invoke audit` alone means the current quarter"
            raise UsageError("an audit needs both --since and --until, or neither of them", hint=hint)
        first, last = days
        if last < first:
            raise UsageError(
                f"--until {last} lies before --since {first}",
                hint="give a day for --until that is not earlier than --since; both can name the same day",
            )
        return cls(first, last)

    @classmethod
    def quarter(cls, day: date) -> Period:
        """Make the period of the quarter of the year that contains ``day``."""
        first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        after = date(first.year + first.month // 10, (first.month + 2) % 12 + 1, 1)
        return cls(first, after - timedelta(days=1))

    def __str__(self) -> str:
        return ranged(self.since, self.until)

    @property
    def begin(self) -> datetime:
        """First moment of the period."""
        return datetime(self.since.year, self.since.month, self.since.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Last moment of the period."""
        return self.begin + timedelta(days=(self.until - self.since).days) + timedelta(days=1, microseconds=-1)

    def holds(self, at: str | None) -> bool:
        """Return True when a run that began at the time ``at`` belongs to the period.

        A run with an unknown start belongs to every period.
        """
        instant = moment(at) if at else None
        return instant is None or self.begin <= instant <= self.end

    def ended_before(self, at: str | None) -> bool:
        """Return True when the period ended before the time ``at``."""
        instant = moment(at) if at else None
        return instant is not None and instant > self.end

    def touches(self, first: str | None, last: str | None) -> bool:
        """Return True when the time span from the moment ``first`` to the moment ``last`` overlaps the period. None stands for an
        unknown moment.
        """
        low, high = (moment(at) if at else None for at in (first, last))
        return (low is None or low <= self.end) and (high is None or high >= self.begin)

    @property
    def unit(self) -> str:
        """Unit of the columns: ``month``, ``quarter`` or ``year``.

        It is the shortest unit for which the columns fit into a table.
        """
        return next((unit for unit, (months, most) in MOST_COLUMNS.items() if self._columns(months) <= most), "year")

    def _columns(self, months: int) -> int:
        """Return the number of columns of so many ``months`` each."""
        first, last = (day.year * 12 + day.month - 1 for day in (self.since, self.until))
        return last // months - first // months + 1

    def spans(self) -> tuple[Span, ...]:
        """Return the columns of the period. Each column begins where the previous one ends."""
        parts: list[Span] = []
        day, length = self.since, LENGTHS[self.unit]
        while True:
            label, following = length(day)
            parts.append(Span(label, day, min(following - timedelta(days=1), self.until)))
            if following > self.until:
                return tuple(parts)
            day = following


def _day(name: str, text: str) -> date:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = date.fromisoformat(text)
            if 1970 <= day.year <= 9000:
                return day
    except ValueError:
        pass
    raise UsageError(f"--{name} {text!r} is not a date", hint="write the date as in 2026-01-31")
