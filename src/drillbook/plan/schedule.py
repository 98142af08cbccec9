"""Schedule of a drill or suite: the time between passed runs, the grace, and the windows; due and overdue moments from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from drillbook.plan.window import HORIZON_DAYS, MINUTE, Window, is_open, next_opening
from drillbook.values import Duration

Every = Annotated[
    Duration | None, Field(gt=0, description="Time after which a passed run must be repeated, such as 90d; see `drill.due`.")
]
Grace = Annotated[
    Duration | None,
    Field(ge=0, description="Time after the due moment until the drill is overdue; default: a tenth of `every`."),
]
SHARE_OF_GRACE = 10
"""Default grace: this part of the time between passed runs, a tenth."""


class State(StrEnum):
    """State of a drill or suite by its schedule, from the least to the most urgent."""

    OK = "ok"
    DUE = "due"
    """The time between passed runs is over; the grace is not."""
    OVERDUE = "overdue"
    NEVER = "never passed"
    UNKNOWN = "unknown"
    """The file of the drill or suite cannot be read, so its schedule is unknown."""


class Schedule(BaseModel):
    """Schedule of a drill or suite.

    A passed run is due again ``every`` after its start: at the first moment from then on at which its windows are open. It
    is overdue once the ``grace`` after that moment is over too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = Field(gt=0)
    grace: Duration
    windows: tuple[tuple[Window, ...], ...] = ()
    """Windows of each drill that runs; empty groups do not restrict. A suite may begin when all its drills may."""

    @classmethod
    def of(cls, every: Duration | None, grace: Duration | None, windows: Sequence[Sequence[Window]]) -> Self | None:
        """Make the schedule of a drill or suite from the keys of its file; None without ``every``.

        ``windows`` has one group for each drill that runs. Without ``grace``, the grace is a tenth of ``every``.
        """
        if every is None:
            return None
        return cls(
            every=every,
            grace=Duration(float(every) / SHARE_OF_GRACE) if grace is None else grace,
            windows=tuple(tuple(group) for group in windows if group),
        )

    def due(self, passed: datetime) -> datetime:
        """Moment from which a new run is due, in UTC, after a run that passed and began at ``passed``.

        If the time between runs ends inside a window, this is the opening of that window, so that a weekly drill does not
        begin later every week, and at last after its window.
        """
        wanted = passed.astimezone(UTC) + timedelta(seconds=float(self.every))
        if not self.windows:
            return wanted
        if not self.open(wanted):
            return self._opening(wanted) or wanted
        opened = self._opened(wanted)
        return opened if opened > passed else wanted

    def overdue(self, passed: datetime) -> datetime:
        """Moment from which a run is overdue, in UTC, after a run that passed and began at ``passed``."""
        return self.due(passed) + timedelta(seconds=float(self.grace))

    def state(self, passed: datetime | None, now: datetime) -> State:
        """State at ``now``, where ``passed`` is the start of the newest run that passed, or None without one."""
        if passed is None:
            return State.NEVER
        if now >= self.overdue(passed):
            return State.OVERDUE
        return State.DUE if now >= self.due(passed) else State.OK

    def open(self, now: datetime) -> bool:
        """Return True when a run may begin at ``now``: each group of windows has one that is open."""
        return all(_any_open(group, now) for group in self.windows)

    def _opened(self, inside: datetime) -> datetime:
        """Opening of the windows that are open at ``inside``; at most a day before it, since some windows never close."""
        moment = inside.replace(second=0, microsecond=0)
        for _ in range(24 * 60):
            if not self.open(moment - MINUTE):
                return moment
            moment -= MINUTE
        return inside

    def _opening(self, after: datetime) -> datetime | None:
        """First moment after ``after`` at which all windows are open; None when there is none within the search horizon."""
        moment, end = after, after + timedelta(days=HORIZON_DAYS)
        while moment < end:
            openings = [next_opening(group, moment) for group in self.windows if not _any_open(group, moment)]
            if not openings:
                return moment
            if None in openings:
                return None
            moment = max(found[0].astimezone(UTC) for found in openings if found)
        return None

    def as_data(self) -> dict[str, Any]:
        """Schedule as JSON data, as recorded in the first event of a run."""
        return self.model_dump(mode="json", by_alias=True)


def _any_open(group: Sequence[Window], moment: datetime) -> bool:
    return any(is_open(window, moment) for window in group)
