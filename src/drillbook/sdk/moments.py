"""Measures the time of the newest data in a restored copy. Writes after this time are not in the copy, and would be lost.

The resulting facts have the same names for all systems.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.language.durations import seconds
from drillbook.sdk.action import Facts, Read
from drillbook.sdk.backup_source import AHEAD_S, stamp
from drillbook.values import Duration

SAMPLE = 21
"""Number of newest values from which the usual interval between writes is computed."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Time of the newest data in a copy, the source of this time, and its error.

    ``at``: the time; ``basis``: its source; ``error_s``: number of seconds by which the last write may be later than this time.
    """

    at: datetime
    basis: str
    error_s: float

    def as_facts(self) -> Facts:
        """Return the moment as facts."""
        return {"moment": stamp(self.at), "basis": self.basis, "error_s": self.error_s}


class MeasuresLoss(Read):
    """Base of the actions `*.newest_moment`. There is one such action for each kind of service; ``SERVICE`` names the kind."""


def _apart(values: Sequence[datetime]) -> float:
    """Return the median interval, in seconds, between neighbouring times. ``values``: the times, newest first.

    Return 0 for a single value.
    """
    distances = [(later - earlier).total_seconds() for later, earlier in pairwise(values)]
    return median(distances) if distances else 0.0


def newest(values: Iterable[datetime], basis: str, resolution_s: float = 0.0) -> list[Moment]:
    """Return the newest of ``values`` as a Moment, in a list. The list is empty when there are no values.

    The error (±) of the Moment is the median interval between the newest values, but at least ``resolution_s`` seconds.
    """
    order = sorted(values, reverse=True)[:SAMPLE]
    return [Moment(order[0], basis, round(max(resolution_s, _apart(order)), 3))] if order else []


def measured(name: str, moments: Sequence[Moment], max_age: Duration | None, *, hint: str) -> Facts:
    """Return facts about the newest of ``moments`` in the data of the service ``name``.

    Raises CouldNotVerify with ``hint`` when ``moments`` is empty, or when its newest moment is in the future. Raises
    StepFailed when its newest moment is older than ``max_age``.
    """
    if not moments:
        raise CouldNotVerify(f"{name} contains no data from which the time of its last write can be read", hint=hint)
    best, now = max(moments, key=lambda moment: moment.at), datetime.now(UTC)
    age = (now - best.at).total_seconds()
    facts = {
        "newest_moment": stamp(best.at),
        "age_s": round(age, 3),
        "error_s": best.error_s,
        "basis": best.basis,
        "moments": [moment.as_facts() for moment in moments],
    }
    if age < -AHEAD_S:
        raise CouldNotVerify(
            f"the newest data in {name} has a time that is {seconds(-age, 0)} in the future: {best.basis}", hint=hint
        )
    if max_age is not None and age > max_age:
        measured_ = f"{seconds(age, 0)} old, according to {best.basis}"
        problem = finding("backup-too-old", title=name, wanted=f"at most {max_age} old", measured=measured_)
        raise StepFailed(f"the newest data in {name} is {seconds(age, 0)} old", findings=[problem], facts=facts)
    return facts
