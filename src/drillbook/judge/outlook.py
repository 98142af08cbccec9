"""Predictions from the sizes in several runs: growth, full disk, and restore time.

Each prediction has a 95 % interval, or a reason why it cannot be made. Growth is a straight line through the sizes over time.
The restore time is assumed to be proportional to the size. The other parts of the RTO (detection, decisions) are assumed to
stay constant. If a part of the restore takes constant time, the predicted date is too early, but never too late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from drillbook.judge.size_points import Point
from drillbook.statistics.line import FEWEST, Line, fit, student

DAY_S = 86400.0
FARTHEST = 36500.0
"""Largest number of days ahead for which a date is predicted."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Value):
    """Predicted number of days from this run to an event (``days``), and the interval of the prediction (``earliest`` to
    ``latest``). If the days are unknown, ``reason`` tells why.

    ``latest`` is None when the event may never come.
    """

    days: float | None = None
    earliest: float | None = None
    latest: float | None = None
    date: str | None = None
    reason: str | None = None


class Outlook(_Value):
    """Size of one service, and three predictions: the growth of the service, the time at which its disk is full, and the
    time from which its restore takes longer than the RTO allows.
    """

    service: str
    points: int
    since: str
    bytes: int
    items: int | None
    unit: str
    free_bytes: int | None
    growth_bytes_per_day: float | None
    growth_error: float | None
    growth_reason: str | None
    full: When
    rto_target_s: float | None
    restores: int
    restore_bytes_per_s: float | None
    outgrows: When


def outlooks(own: Sequence[Point], earlier: Sequence[Point], rto_target_s: float | None) -> tuple[Outlook, ...]:
    """Predict growth and restore time of each service.

    The predictions use the sizes in this run (``own``) and in ``earlier`` runs.
    """
    return tuple(
        _outlook(
            point, [*(old for old in earlier if old.service == point.service and old.run != point.run), point], rto_target_s
        )
        for point in own
    )


def _outlook(now: Point, points: Sequence[Point], target: float | None) -> Outlook:
    points = sorted(points, key=lambda point: point.at)
    line = fit([(_days(point.at, now.at), float(point.bytes)) for point in points])
    flat = _no_growth(line, len(points))
    restores = [
        point for point in points if point.drill == now.drill and point.restore_s and point.rto_s and point.bytes > 0
    ]
    rate = (
        sum(restore.bytes for restore in restores) / sum(restore.restore_s or 0.0 for restore in restores)
        if restores
        else None
    )
    return Outlook(
        service=now.service,
        points=len(points),
        since=points[0].at,
        bytes=now.bytes,
        items=now.items,
        unit=now.unit,
        free_bytes=now.free_bytes,
        growth_bytes_per_day=_short(line.slope if line else None),
        growth_error=_short(line.slope_error if line else None),
        growth_reason=None if line else flat,
        full=_full(now, line, flat),
        rto_target_s=target,
        restores=len(restores),
        restore_bytes_per_s=_short(rate),
        outgrows=_outgrows(now, line, flat, restores, target),
    )


def _no_growth(line: Line | None, count: int) -> str | None:
    """Return the reason why growth cannot be predicted. Returns None when a prediction is possible."""
    if line is None:
        return (
            f"{'1 run' if count == 1 else f'{count} runs'} measured the service; at least {FEWEST} at different times "
            "are needed"
        )
    return None if line.rises else "the runs do not show that the service grows"


def _full(now: Point, line: Line | None, flat: str | None) -> When:
    if now.free_bytes is None:
        return When(reason="the free space is unknown")
    if line is None or flat:
        return When(reason=flat)
    limit = float(now.bytes + now.free_bytes)
    return _when(now, *line.reaches(limit))


def _outgrows(now: Point, line: Line | None, flat: str | None, restores: Sequence[Point], target: float | None) -> When:
    if target is None:
        return When(reason="the drill sets no RTO")
    if len(restores) < FEWEST:
        return When(reason=f"{len(restores)} of the runs measured a restore and its RTO; at least {FEWEST} are needed")
    if line is None or flat:
        return When(reason=flat)
    per_byte = [(restore.restore_s or 0.0) / restore.bytes for restore in restores]
    rest = [max(0.0, (restore.rto_s or 0.0) - (restore.restore_s or 0.0)) for restore in restores]
    mean = sum(per_byte) / len(per_byte)
    scatter = math.sqrt(sum((rate - mean) ** 2 for rate in per_byte) / (len(per_byte) - 1))
    error = student(len(per_byte) - 1) * scatter / math.sqrt(len(per_byte))
    size, smallest = (target - sum(rest) / len(rest)) / mean, (target - max(rest)) / (mean + error)
    surest = (target - min(rest)) / (mean - error) if mean > error else None
    if surest is not None and surest <= now.bytes:
        return When(
            days=0.0,
            earliest=0.0,
            latest=0.0,
            date=now.at[:10],
            reason="the restore exceeds the RTO already now, according to the restores so far",
        )
    latest = line.reaches(surest)[2] if surest is not None else None
    if size <= now.bytes:
        return _when(now, 0.0, 0.0, latest)
    return _when(now, line.reaches(size)[0], line.reaches(smallest)[1] if smallest > now.bytes else 0.0, latest)


def _when(now: Point, days: float, earliest: float, latest: float | None) -> When:
    if days > FARTHEST:
        return When(reason=f"not within {FARTHEST / 365:.0f} years")
    date = (datetime.fromisoformat(now.at).astimezone(UTC) + timedelta(days=max(0.0, days))).date().isoformat()
    return When(
        days=_short(max(0.0, days)),
        earliest=_short(max(0.0, earliest)),
        date=date,
        latest=None if latest is None or latest > FARTHEST else _short(max(0.0, latest)),
    )


def _days(at: str, origin: str) -> float:
    return (datetime.fromisoformat(at) - datetime.fromisoformat(origin)).total_seconds() / DAY_S


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
