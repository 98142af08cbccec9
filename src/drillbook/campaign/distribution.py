"""Plots that show how an objective is distributed over the sites of a campaign. Each dot is one site. The dots are in
the order of their measured values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from drillbook.campaign.attempt import Ending
from drillbook.report.figures import count
from drillbook.report.wording import SHORT
from drillbook.statistics.quantiles import Estimate, quantile

WIDTH, HEIGHT, MARGIN = 420, 120, 8
QUANTILES = (("median", 0.5), ("95 % of the sites", 0.95))


@dataclass(frozen=True, slots=True)
class Dot:
    """Dot that stands for one site in a plot."""

    x: float
    y: float
    met: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """Distribution of one objective. The horizontal axis is a duration. The vertical axis is the share of the sites
    whose measured value is at most this duration.
    """

    name: str
    dots: tuple[Dot, ...]
    target_x: float | None
    """Horizontal position of the target. It is None when there is no target, or when the sites have different targets."""
    text: str
    """Description of the distribution in words. It contains quantiles with their 95 % intervals, and the number of
    sites without a measurement.
    """


def plots(ends: Iterable[Ending]) -> Iterator[Plot]:
    """Yield a plot for each objective that was measured on at least two sites."""
    by_name: dict[str, list[dict[str, float | bool | None]]] = {}
    for end in ends:
        for name, objective in end.objectives.items():
            by_name.setdefault(name, []).append(objective)
    for name, all_of in by_name.items():
        measured = [measurement for measurement in all_of if measurement["measured_s"] is not None]
        if len(measured) > 1:
            yield _plot(name, measured, len(all_of) - len(measured))


def _plot(name: str, measured: list[dict[str, float | bool | None]], absent: int) -> Plot:
    ordered = sorted(measured, key=_seconds)
    targets = {measurement["target_s"] for measurement in ordered if measurement["target_s"] is not None}
    target = float(next(iter(targets)) or 0) if len(targets) == 1 else None
    longest = max(_seconds(ordered[-1]), target or 0.0) or 1.0

    def across(seconds: float) -> float:
        return round(MARGIN + seconds / longest * (WIDTH - 2 * MARGIN), 1)

    dots = tuple(
        Dot(
            across(_seconds(measurement)),
            round(HEIGHT - MARGIN - rank / len(ordered) * (HEIGHT - 2 * MARGIN), 1),
            measurement["met"] is True,
        )
        for rank, measurement in enumerate(ordered, 1)
    )
    return Plot(
        SHORT.get(name, name),
        dots,
        across(target) if target else None,
        _words([_seconds(measurement) for measurement in ordered], target, absent),
    )


def _words(ordered: list[float], target: float | None, absent: int) -> str:
    parts = []
    for words, share in QUANTILES:
        if estimate := quantile(ordered, share):
            parts.append(f"{words}: {estimate.value:.2f} s ({_interval(estimate)})")
    parts.append(f"longest: {ordered[-1]:.2f} s")
    if target:
        parts.append(f"target: {target:.0f} s")
    parts.append(f"{count(len(ordered), 'site')} with a measurement, {absent} without")
    return "; ".join(parts)


def _interval(estimate: Estimate) -> str:
    """Return the 95 % interval of a quantile. With few sites, the interval has a limit on one side only, or no limit."""
    if estimate.low is None and estimate.high is None:
        return "too few sites for a 95 % interval"
    if estimate.low is None:
        return f"95 % interval: at most {estimate.high:.2f} s"
    if estimate.high is None:
        return f"95 % interval: at least {estimate.low:.2f} s"
    return f"95 % interval {estimate.low:.2f} to {estimate.high:.2f} s"


def _seconds(objective: dict[str, float | bool | None]) -> float:
    return float(objective["measured_s"] or 0.0)
