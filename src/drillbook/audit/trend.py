"""Trend of one objective of one drill over the period, as a chart. The chart shows figures, their errors, and the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from drillbook.audit.coverage import by_drill, objectives_of, row_of, targets_of
from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.judge.verdicts import Verdict
from drillbook.report import remarks
from drillbook.report.figures import count, moment, seconds
from drillbook.report.labels import text_width
from drillbook.report.wording import MISSED, SHORT

WIDTH, HEIGHT = 460.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 80.0, 12.0, 14.0, 28.0
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TIMES = (20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0, 21600.0, 43200.0, 86400.0)
"""Possible distances in seconds between the ticks of a long axis. They are round, such as 5 minutes or 6 hours."""
KEYS = ("rto", "rpo")
GAP, SPREAD = 11.0, 55.0
"""Smallest distance between two marks that do not touch each other, and the width over which touching marks are spread at most."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run in a chart.

    ``kind``: ``met``, ``missed``, ``unverified`` (the run's figure does not count as met or missed) or ``none`` (the run has no
    figure).
    """

    x: float
    y: float
    low: float
    high: float
    kind: str
    title: str
    reserved: bool = False
    """True when the objective was met with a reservation. In this case, ``kind`` is ``met``."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled tick of an axis."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart. Its content is also given as text, for readers who cannot see the chart."""

    environment: str
    drill: str
    key: str
    title: str
    description: str
    points: tuple[Point, ...]
    lines: tuple[str, ...]
    """Lines of the chart as SVG point lists. A line joins one point of each day: the longest time of the day that counts as
    met or missed. A day without such a time interrupts the line.
    """
    target: str
    """Line of the target as an SVG path. The line has a step at each change of the target."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    period: Period
    top: float

    def x(self, at: datetime) -> float:
        whole = (self.period.end - self.period.begin).total_seconds()
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.period.begin).total_seconds() / whole

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(value, 0.0), self.top) / self.top


def plots(runs: Sequence[Record], period: Period) -> list[Plot]:
    """Make charts of RTO and RPO for every drill that has set these objectives in the period."""
    charts = []
    for (environment, _, drill), mine in by_drill(run for run in runs if run.started).items():
        charts += [
            _plot(environment, drill, key, kept, period)
            for key in KEYS
            if (kept := [record for record in mine if key in targets_of(record)])
        ]
    return charts


def _plot(environment: str, drill: str, key: str, runs: Sequence[Record], period: Period) -> Plot:
    targets = [targets_of(run)[key] for run in runs]
    highest = max([*targets, *(_figure(run, key)[0] + _figure(run, key)[1] for run in runs)])
    frame = _Frame(period, _nice(max(highest, 1e-3) / 3) * math.ceil(max(highest, 1e-3) / _nice(max(highest, 1e-3) / 3)))
    points = _apart([_point(run, key, frame) for run in runs])
    known = [point for point in points if point.kind != "none"]
    reserved = sum(point.reserved for point in points)
    described = (
        f"{count(len(runs), 'run')} with this objective, {len(known)} with a figure, "
        f"{sum(point.kind == 'met' for point in points)} met, {f'{reserved} of them with a reservation, ' if reserved else ''}"
        f"{sum(point.kind == 'missed' for point in points)} missed. " + " ".join(f"{point.title}." for point in points)
    )
    return Plot(
        environment,
        drill,
        key,
        f"{SHORT[key]} of {drill} in {environment}{_mark(runs, key)}",
        described,
        points,
        _lines([_begun(run, frame).date() for run in runs], points),
        _target(runs, targets, frame),
        _x_ticks(frame),
        _y_ticks(frame),
    )


def _mark(runs: Sequence[Record], key: str) -> str:
    """Return the marks to put into the title of the chart: all different marks, such as ``†``, that stand beside figures of
    ``runs``.
    """
    return "".join(sorted({row.mark for run in runs if (row := row_of(run, key))}))


def _figure(record: Record, key: str) -> tuple[float, float]:
    objective = objectives_of(record).get(key)
    return ((objective.measured_s or 0.0), (objective.error_s or 0.0)) if objective else (0.0, 0.0)


def _point(record: Record, key: str, frame: _Frame) -> Point:
    at = _begun(record, frame)
    row = row_of(record, key)
    x, ground = frame.x(at), frame.y(0)
    if row is None or row.measured_s is None:
        return Point(x, ground, ground, ground, "none", f"{at:%Y-%m-%d}: no figure, the run {record.outcome}")
    if row.lost:
        return Point(
            x, ground, ground, ground, "none", f"{at:%Y-%m-%d}: no figure for the whole loss: {row.marked}, {row.said}"
        )
    error = row.error_s or 0.0
    kind = "missed" if row.state == MISSED else "met" if row.met and record.verdict == Verdict.PASSED else "unverified"
    reserved = kind == "met" and row.state == remarks.RESERVED
    figure = f"({row.marked})" if kind == "unverified" else row.marked
    word = remarks.RESERVED if reserved else kind if kind != "unverified" else row.uncounted
    return Point(
        x,
        frame.y(row.measured_s),
        frame.y(row.measured_s - error),
        frame.y(row.highest_s),
        kind,
        f"{at:%Y-%m-%d}: {figure}, target at most {row.target}, {word}",
        reserved,
    )


def _apart(points: Sequence[Point]) -> tuple[Point, ...]:
    """Move marks that touch each other to the right, so that two marks do not read as a third one. The order of the marks is kept.
    Marks that touch each other over more than ``SPREAD`` are not moved.
    """
    moved = list(points)
    for group in _touching(points):
        first, last = points[group[0]].x, points[group[-1]].x
        width = min(GAP * (len(group) - 1), SPREAD)
        if last - first < width:
            begin = min(first, WIDTH - RIGHT - width)  # never before the tick of its month
            for place, at in enumerate(group):
                moved[at] = replace(points[at], x=begin + place * width / (len(group) - 1))
    return tuple(moved)


def _touching(points: Sequence[Point]) -> list[list[int]]:
    """Group the marks that touch each other, as indexes in the order of their times."""
    groups: list[list[int]] = []
    for at, point in sorted(enumerate(points), key=lambda pair: pair[1].x):
        near = [
            group
            for group in groups
            if any(abs(points[other].x - point.x) < GAP > abs(points[other].y - point.y) for other in group)
        ]
        joined = sorted((other for group in near for other in group), key=lambda other: points[other].x)
        groups = [*(group for group in groups if group not in near), [*joined, at]]
    return groups


def _begun(record: Record, frame: _Frame) -> datetime:
    return moment(record.started or "") or frame.period.begin


def _lines(days: Sequence[date], points: Sequence[Point]) -> tuple[str, ...]:
    """Return the lines of a chart. A line joins one point of each day: the longest time of the day that counts as met or
    missed. The other points of the day are left out, because they would make the line vertical. A day without a time that
    counts interrupts the line.
    """
    by_day: dict[date, list[Point]] = {}
    for day, point in zip(days, points, strict=True):
        by_day.setdefault(day, []).append(point)
    lines: list[list[str]] = [[]]
    for mine in by_day.values():
        if counted := [point for point in mine if point.kind in ("met", "missed")]:
            worst = min(counted, key=lambda point: point.y)
            lines[-1].append(f"{worst.x:.1f},{worst.y:.1f}")
        else:
            lines.append([])
    return tuple(" ".join(line) for line in lines if len(line) > 1)


def _target(runs: Sequence[Record], targets: Sequence[float], frame: _Frame) -> str:
    """Return the SVG path of the target over the whole period.

    It has a step at the start of each run that changed the target.
    """
    path = f"M{LEFT:.1f} {frame.y(targets[0]):.1f}"
    for record, target in zip(runs, targets, strict=True):
        at = _begun(record, frame)
        path += f"H{frame.x(at):.1f}V{frame.y(target):.1f}"
    return f"{path}H{WIDTH - RIGHT:.1f}"


def _nice(about: float) -> float:
    """Return a step of an axis: a round number of seconds, minutes, hours or days, not less than ``about``."""
    if about > 10:
        days = math.ceil(about / TIMES[-1]) * TIMES[-1]
        return next((step for step in TIMES if step >= about * 0.999), days)
    power = 10.0 ** math.floor(math.log10(about))
    return next(step for step in STEPS if step * power >= about * 0.999) * power


def _y_ticks(frame: _Frame) -> tuple[Tick, ...]:
    step = _nice(frame.top / 3)
    values = [number * step for number in range(math.floor(frame.top / step + 1e-6) + 1)]
    return tuple(Tick(frame.y(value), seconds(value, None if value < 60 else 0), "end") for value in values)


def _x_ticks(frame: _Frame) -> tuple[Tick, ...]:
    """Return ticks at the starts of months, quarters or years. The number of ticks is limited, so that the labels do
    not overlap.
    """
    ticks: list[Tick] = []
    free = 0.0
    for span in frame.period.spans():
        x = frame.x(datetime(span.first.year, span.first.month, span.first.day, tzinfo=frame.period.begin.tzinfo))
        width = text_width(span.label)
        left = min(max(x, LEFT), WIDTH - width)
        if left >= free and x + width <= WIDTH:
            ticks.append(Tick(left, span.label, "start"))
            free = left + width + 10
    return tuple(ticks)
