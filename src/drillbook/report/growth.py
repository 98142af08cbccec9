"""Report rows about the growth of the services that a run measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.judge.outlook import Outlook, When
from drillbook.report.figures import count, seconds, size

NOTE = (
    "The growth of a service is a straight line through its sizes in this run and earlier runs, over the time of the "
    "controller's wall clock. The intervals are 95 % intervals. They hold only if the growth continues as before. The "
    "duration of a restore is assumed to be proportional to the size. The measured sizes are in this run's journal."
)


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """Texts about one service: its size, its growth, and two predicted times.

    ``full``: time at which the disk is full. ``outgrows``: time at which the restore takes longer than the RTO.
    """

    service: str
    holds: str
    growth: str
    full: str
    outgrows: str


def growth_rows(outlooks: Sequence[Outlook]) -> list[GrowthRow]:
    """Make a row for each measured service."""
    return [
        GrowthRow(outlook.service, _holds(outlook), _growth(outlook), _when(outlook.full), _outgrows(outlook))
        for outlook in outlooks
    ]


def note(outlooks: Sequence[Outlook]) -> str:
    """Return the explanation of the forecasts below the table. The result is empty when no growth could be predicted."""
    return NOTE if any(outlook.growth_bytes_per_day is not None for outlook in outlooks) else ""


def _holds(outlook: Outlook) -> str:
    parts = [size(outlook.bytes)]
    if outlook.items is not None:
        average = f" of {size(round(outlook.bytes / outlook.items))} on average" if outlook.items else ""
        parts.append(f"{outlook.items} {outlook.unit}{average}")
    parts.append(f"{size(outlook.free_bytes)} free" if outlook.free_bytes is not None else "free space unknown")
    return ", ".join(parts)


def _growth(outlook: Outlook) -> str:
    if outlook.growth_bytes_per_day is None:
        return f"not predicted: {outlook.growth_reason}"
    return (
        f"{_bytes(outlook.growth_bytes_per_day)} ± {_bytes(outlook.growth_error or 0.0)} a day, "
        f"by {count(outlook.points, 'run')} since {outlook.since[:10]}"
    )


def _bytes(value: float) -> str:
    return ("\N{MINUS SIGN}" if value < 0 else "") + size(round(abs(value)))


def _when(when: When) -> str:
    if when.days is None:
        return f"not predicted: {when.reason}"
    if when.reason:
        return when.reason
    latest = "perhaps never" if when.latest is None else _days(when.latest)
    return f"{when.date}, in {_days(when.days)} (earliest {_days(when.earliest or 0.0)}, latest {latest})"


def _days(value: float) -> str:
    return f"{value:.0f} d" if value >= 10 else f"{value:.1f} d" if value >= 0.1 else f"{value:.3f} d"


def _outgrows(outlook: Outlook) -> str:
    text = _when(outlook.outgrows)
    if outlook.restore_bytes_per_s is None or outlook.rto_target_s is None:
        return text
    return (
        f"{text}; {count(outlook.restores, 'restore')} at {_bytes(outlook.restore_bytes_per_s)} a second, "
        f"RTO {seconds(outlook.rto_target_s)}"
    )
