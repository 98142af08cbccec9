"""Windows in which a drill may begin. A window has days of the week and times of day. Its times are those of the wall
clock in a time zone.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo
from pydantic import field_validator as check_field

from drillbook.language.strict import did_you_mean

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON_DAYS = 15
"""Number of days from now that are searched for the next opening of a window.

Every window opens at least once a week. When a clock change skips the hour at which the window opens, the next opening may be
two weeks away.
"""
MINUTE = timedelta(minutes=1)


class Window(BaseModel):
    """A window in which a drill may begin. Its times are those of the wall clock of its time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    days: tuple[Day, ...] = Field(
        default=DAYS, min_length=1, description="Days on which the window opens, such as mon or tue."
    )
    start: str = Field(alias="from", description="Time of day at which the window opens, such as 22:00.")
    end: str = Field(
        alias="to",
        description=(
            "Time of day at which the window closes. If it is not later than `from`, the window closes on the next day."
        ),
    )
    zone: str = Field(description="IANA name of the time zone, such as Asia/Shanghai.")

    @check_field("start", "end")
    @classmethod
    def _time(cls, value: str, info: ValidationInfo) -> str:
        midnight = info.field_name == "end" and value == "24:00"
        if not midnight and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError(f"{value!r} is not a time of day; write hours and minutes, such as 09:30 or 22:00")
        return value

    @check_field("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
            raise ValueError(
                f"there is no time zone {value!r}; {_near_zone(value)}write its IANA name, such as Asia/Shanghai or UTC"
            ) from None
        return value

    def __str__(self) -> str:
        days = "every day" if set(self.days) == set(DAYS) else " ".join(self.days)
        return f"{days} {self.start} to {self.end} {self.zone}"


def is_open(window: Window, now: datetime) -> bool:
    """Return True when the window is open at ``now``, by the wall clock of the window's time zone.

    If a clock change skips an hour, no window is open in this hour. If a clock change repeats an hour, a window in this
    hour opens twice. If the end of a window is not later in the day than its start, as in 22:00 to 04:00, the window closes
    on the next day. It belongs to the day on which it opened.
    """
    local = now.astimezone(ZoneInfo(window.zone))
    minute = local.hour * 60 + local.minute
    start, end = _minutes(window.start), _minutes(window.end)
    today, yesterday = DAYS[local.weekday()], DAYS[(local.weekday() - 1) % 7]
    if start < end:
        return today in window.days and start <= minute < end
    return (today in window.days and minute >= start) or (yesterday in window.days and minute < end)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def next_opening(windows: Sequence[Window], now: datetime) -> tuple[datetime, Window] | None:
    """Find the window in ``windows`` that opens next after ``now``. Return the time at which the window opens, in its own time
    zone, and the window. A window that is already open counts as if it opened in the minute after ``now``.

    Returns None when no window opens within ``HORIZON_DAYS``.
    """
    first = now.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
    openings = [(moment, index) for index, window in enumerate(windows) if (moment := _opening(window, first))]
    if not openings:
        return None
    moment, index = min(openings)
    return moment.astimezone(ZoneInfo(windows[index].zone)), windows[index]


def _opening(window: Window, first: datetime) -> datetime | None:
    """Return the first minute from ``first`` on in which ``window`` is open.

    A closed window can open only at its time of day, or at a clock change. So only these moments are examined.
    """
    if is_open(window, first):
        return first
    zone, start = ZoneInfo(window.zone), _minutes(window.start)
    last = first + timedelta(days=HORIZON_DAYS) - MINUTE
    today = first.astimezone(zone).date()
    for days in range(-1, HORIZON_DAYS + 2):
        day = today + timedelta(days=days)
        near = (moment for shift in (-1, 0, 1) for moment in _clock_changes(window.zone, day + timedelta(days=shift)))
        moments = [moment for moment in near if moment.astimezone(zone).date() <= day]
        if DAYS[day.weekday()] in window.days:
            wall = datetime.combine(day, time(start // 60, start % 60))
            both = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
            moments += [moment for moment in both if moment.astimezone(zone).replace(tzinfo=None) == wall]  # not skipped
        opening = min((moment for moment in moments if first <= moment <= last and is_open(window, moment)), default=None)
        if opening:
            return opening
    return None


@lru_cache(maxsize=4096)
def _clock_changes(zone: str, day: date) -> tuple[datetime, ...]:
    """Return the moments on ``day``, a day in UTC, at which the clock of ``zone`` changes."""
    name = ZoneInfo(zone)
    changes = []
    for hours in range(0, 24, 6):
        low = datetime.combine(day, time(hours), UTC)
        high = low + timedelta(hours=6)
        before = low.astimezone(name).utcoffset()
        if before == high.astimezone(name).utcoffset():
            continue
        while high - low > MINUTE:
            middle = low + (high - low) // MINUTE // 2 * MINUTE
            low, high = (middle, high) if middle.astimezone(name).utcoffset() == before else (low, middle)
        changes.append(high)
    return tuple(changes)


def _near_zone(word: str) -> str:
    """Suggest an existing time zone for the unknown time zone ``word``. The result is empty if no time zone is similar.

    If a city of this name has a time zone, this zone is suggested. Otherwise it is the zone with the most similar name.
    """
    known = sorted(zoneinfo.available_timezones())
    city = word.rpartition("/")[2].replace(" ", "_").casefold()
    by_city = [name for name in known if name.rpartition("/")[2].casefold() == city]
    return f"did you mean {by_city[0]!r}? " if by_city else did_you_mean(word, known)
