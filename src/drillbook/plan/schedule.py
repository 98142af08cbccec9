"""Schedule of a drill or suite. It says how often the drill or suite must pass, how long the grace period is, and in which
windows a run may begin.

From the schedule and the start of the last passed run, this module computes when the next run is due, and when it is
overdue.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from drillbook.plan.window import HORIZON_DAYS, MINUTE, Window, is_open, next_opening
from drillbook.values import Duration

Every = Annotated[
    Duration | None,
    Field(
        gt=0,
        description=(
            "Time between two passed runs, such as 90d. After this time, the drill or suite must pass again; see "
            "`drill.due`."
        ),
    ),
]
Grace = Annotated[
    Duration | None,
    Field(
        ge=0,
        description=(
            "Time from the moment at which the drill is due to the moment at which it is overdue. Default: a "
            "tenth of `every`."
        ),
    ),
]
SHARE_OF_GRACE = 10
"""Divisor for the default grace. The default grace is `every` divided by this number."""


class State(StrEnum):
    """State of a drill or suite by its schedule. The states are listed from the least urgent to the most urgent."""

    OK = "ok"
    NOT_HERE = "not here"
    """No inventory of the project has what the drill or suite needs, and it never ran. Its schedule asks for no run."""
    DUE = "due"
    """The next run should have begun, but the grace is not yet over. A drill or suite is also due when a run has failed
    since the last passed run.
    """
    OVERDUE = "overdue"
    NEVER = "never passed"
    UNKNOWN = "unknown"
    """The file of the drill or suite cannot be read, so its schedule is unknown."""


class Schedule(BaseModel):
    """Schedule of a drill or suite.

    The next run is due when two conditions hold: the time ``every`` has passed since the start of the last passed run, and the
    windows are open. The next run is overdue when the time ``grace`` has passed since the moment at which both conditions were
    met. A failed run makes the next run due at once, but not overdue earlier.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = Field(gt=0)
    grace: Duration
    windows: tuple[tuple[Window, ...], ...] = ()
    """Groups of windows: one group for each drill that the schedule starts and that has windows. A drill without windows may
    begin at any time, and has no group here.

    A run may begin when every group contains an open window.
    """

    @classmethod
    def of(cls, every: Duration | None, grace: Duration | None, windows: Sequence[Sequence[Window]]) -> Self | None:
        """Return the schedule of a drill or suite from the keys of its file. Returns None when ``every`` is missing.

        ``windows``: one group of windows for each drill that the schedule starts. When ``grace`` is missing, the grace
        is a tenth of ``every``.
        """
        if every is None:
            return None
        return cls(
            every=every,
            grace=Duration(float(every) / SHARE_OF_GRACE) if grace is None else grace,
            windows=tuple(tuple(group) for group in windows if group),
        )

    def due(self, passed: datetime, failed: datetime | None = None) -> datetime:
        """Return the moment, in UTC, from which a new run is due. ``passed``: start of the last passed run. ``failed``:
        start of the first failed run after the last passed run, or None.
        """
        regular = self._regular(passed)
        return min(regular, failed.astimezone(UTC)) if failed else regular

    def _regular(self, passed: datetime) -> datetime:
        """Return the moment, in UTC, from which the next run is due when no run fails in between.

        Normally this is the time ``every`` after the last passed run. If a window is open at that moment, the run is due
        earlier: from the moment at which the window opened, if the last passed run began before it. Without this rule, a
        weekly drill would begin a little later each week, and would finally miss its window. If no window is open at that
        moment, the run is due when the next window opens.
        """
        wanted = passed.astimezone(UTC) + timedelta(seconds=float(self.every))
        if not self.windows:
            return wanted
        if not self.open(wanted):
            return self._opening(wanted) or wanted
        opened = self._opened(wanted)
        return opened if opened > passed else wanted

    def overdue(self, passed: datetime) -> datetime:
        """Return the moment, in UTC, from which a run is overdue. ``passed``: start of the last passed run. Failed runs
        after it do not change this moment.
        """
        return self._regular(passed) + timedelta(seconds=float(self.grace))

    def state(self, passed: datetime | None, now: datetime, failed: datetime | None = None) -> State:
        """Return the state at ``now``. ``passed``: start of the last passed run, or None if no run passed. ``failed``:
        start of the first failed run after the last passed run, or None.
        """
        if passed is None:
            return State.NEVER
        if now >= self.overdue(passed):
            return State.OVERDUE
        return State.DUE if now >= self.due(passed, failed) else State.OK

    def open(self, now: datetime) -> bool:
        """Return True when a run is permitted to begin at ``now``: every group contains a window that is open at this time."""
        return all(_any_open(group, now) for group in self.windows)

    def _opened(self, inside: datetime) -> datetime:
        """Return the time since which a run has been permitted to begin. ``inside``: a time at which this is permitted.

        The search goes back one day at most, because some windows never close. If a run was permitted to begin at any time of
        this day, return ``inside``.
        """
        moment = inside.replace(second=0, microsecond=0)
        for _ in range(24 * 60):
            if not self.open(moment - MINUTE):
                return moment
            moment -= MINUTE
        return inside

    def _opening(self, after: datetime) -> datetime | None:
        """Return the first moment at which a run is permitted to begin. This moment is ``after`` or later.

        Returns None when there is no such moment within ``HORIZON_DAYS`` days.
        """
        moment, end = after, after + timedelta(days=HORIZON_DAYS)
        while moment < end:
            openings = [next_opening(group, moment) for group in self.windows if not _any_open(group, moment)]
            if not openings:
                return moment
            if None in openings:
                return None
            moment = max(opening[0].astimezone(UTC) for opening in openings if opening)
        return None

    def as_data(self) -> dict[str, Any]:
        """Return the schedule as JSON values. The first event of a run contains these values."""
        return self.model_dump(mode="json", by_alias=True)


def _any_open(group: Sequence[Window], moment: datetime) -> bool:
    return any(is_open(window, moment) for window in group)
