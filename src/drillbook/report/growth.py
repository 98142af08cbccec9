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


def growth_rows(found: Sequence[Outlook]) -> list[GrowthRow]:
    """Make a row for each measured service."""
    return [GrowthRow(one.service, _holds(one), _growth(one), _when(one.full), _outgrows(one)) for one in found]


def note(found: Sequence[Outlook]) -> str:
    """Return the explanation of the forecasts below the table. The result is empty when no growth could be predicted."""
    return NOTE if any(one.growth_bytes_per_day is not None for one in found) else ""


def _holds(one: Outlook) -> str:
    parts = [size(one.bytes)]
    if one.items is not None:
        average = f" of {size(round(one.bytes / one.items))} on average" if one.items else ""
        parts.append(f"{one.items} {one.unit}{average}")
    parts.append(f"{size(one.free_bytes)} free" if one.free_bytes is not None else "free space unknown")
    return ", ".join(parts)


def _growth(one: Outlook) -> str:
    if one.growth_bytes_per_day is None:
        return f"not predicted: {one.growth_reason}"
    return (
        f"{_bytes(one.growth_bytes_per_day)} ± {_bytes(one.growth_error or 0.0)} a day, "
        f"by {count(one.points, 'run')} since {one.since[:10]}"
    )


def _bytes(value: float) -> str:
    return ("\N{MINUS SIGN}" if value < 0 else "") + size(round(abs(value)))


def _when(one: When) -> str:
    if one.days is None:
        return f"not predicted: {one.reason}"
    if one.reason:
        return one.reason
    latest = "perhaps never" if one.latest is None else _days(one.latest)
    return f"{one.date}, in {_days(one.days)} (earliest {_days(one.earliest or 0.0)}, latest {latest})"


def _days(value: float) -> str:
    return f"{value:.0f} d" if value >= 10 else f"{value:.1f} d" if value >= 0.1 else f"{value:.3f} d"


def _outgrows(one: Outlook) -> str:
    text = _when(one.outgrows)
    if one.restore_bytes_per_s is None or one.rto_target_s is None:
        return text
    return (
        f"{text}; {count(one.restores, 'restore')} at {_bytes(one.restore_bytes_per_s)} a second, "
        f"RTO {seconds(one.rto_target_s)}"
    )
