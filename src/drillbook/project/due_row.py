"""State of one drill or suite, as ``drill.due`` lists it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drillbook.plan.schedule import State

if TYPE_CHECKING:
    from drillbook.project.newest_runs import Standing
    from drillbook.report.earlier_losses import Loss


@dataclass(frozen=True, slots=True)
class DueRow:
    """State of a drill or suite in one environment. If ``drill`` is empty, the row is about a service: no run has proven its
    restore, or drills have passed since the newest proof without proving a restore again.

    Times are in UTC, in the format of RFC 3339. A time that does not exist is empty.
    """

    state: State
    service: str
    drill: str
    environment: str
    suite: bool = False
    every: str = ""
    grace: str = ""
    passed: str = ""
    """Start of the newest passed run."""
    passed_run: str = ""
    last_verdict: str = ""
    last_run: str = ""
    last_started: str = ""
    due: str = ""
    until_due_s: float = 0.0
    """Seconds until the time ``due``. The number is negative after this time."""
    overdue_since: str = ""
    """Time from which the drill is overdue. It may be in the future. Without a passed run, it is the start of the first run."""
    overdue_s: float = 0.0
    """Seconds since the time ``overdue_since``. The number is 0 before this time."""
    why: str = ""
    """Reason why the schedule is unknown."""
    proven: str = ""
    """Start of the newest passed run that proved a restore. It is always empty for a suite."""
    proven_run: str = ""
    last_findings: str = ""
    """Text with the number of open findings of medium severity or higher of the newest run, unless it never began."""
    last_marks: str = ""
    """Signs beside the verdict of the newest run, such as ``†``; see ``Ended.marks``."""
    last_lost: str = ""
    """Clause about data that did not come back in the newest run, such as ``at least 12 rows lost``."""
    last_recovered: str = ""
    """Text about a recovery that undid the changes of the newest run after this run had ended."""
    restores: bool = False
    """True when the drill, or a drill of the suite, restores data. In the row of a service, the value is always True."""
    inventory: str = ""
    """Inventory to use for the next run of the drill or suite."""
    needs: str = ""
    """Text about what is needed before the drill can run, such as another inventory."""
    permitted_in: tuple[str, ...] = ()
    """Environments that the guard permits, if it refused the newest run because of its environment. Otherwise empty."""
    drills: tuple[str, ...] = ()
    """For a service: the drills and suites of this service."""
    earlier_losses: tuple[Loss, ...] = ()
    """Data that earlier runs lost and of which the newest run does not tell."""
    last_name: str = ""
    """Part of a run's name that selects the newest run. It is empty if the name of the drill selects it."""

    @property
    def is_due(self) -> bool:
        """True when the drill should run now: it is due or overdue, or has never passed."""
        return self.state in (State.DUE, State.OVERDUE, State.NEVER)

    @property
    def is_elsewhere(self) -> bool:
        """True when the drill needs something before it can run, such as another inventory, and its state is not `ok`."""
        return bool(self.needs) and self.state is not State.OK


def with_last(row: DueRow, standing: Standing) -> DueRow:
    """Return ``row`` with the newest run of the drill, and with the losses of earlier runs."""
    last, name, losses = standing.last, standing.last_name, standing.losses
    row = replace(row, last_verdict=last.verdict, last_run=last.run, last_started=last.started, last_name=name)
    row = replace(row, last_findings=last.beside, last_marks=last.marks, last_lost=last.lost)
    return replace(row, last_recovered=last.recovered, earlier_losses=losses)
