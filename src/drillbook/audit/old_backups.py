"""Alerts about routine backups that were older, when a rehearsal restored them, than an RPO of the service permits."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.audit.alert import NEXT_RUN, Alert, Topic, owner_of
from drillbook.audit.content import Audit
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.rehearsal_figures import RehearsedRow, beyond
from drillbook.report.figures import one_line

STEP = "take routine backups more often, or archive the changes after each backup, or set a longer RPO"


def of(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Return an alert for each rehearsal that measured the age of a routine backup, if an RPO of the service is shorter than
    this age. With several such objectives, the shortest is named. ``owners``: owner of each drill.
    """
    for row in audit.rehearsed:
        goal = _shortest(audit, row)
        if goal and (words := beyond(row, goal.target_s)):
            text = (
                f"The backup of {one_line(row.service)} in {row.environment} that {one_line(row.drill)} restored was {row.figure} "
                f"old, {words} the RPO of {one_line(goal.drill)} permits ({goal.target})"
            )
            who = owner_of(owners, row.environment, goal.drill)
            yield Alert(text, STEP, who, NEXT_RUN, run=row.run, topic=Topic.OLD_BACKUPS)


def _shortest(audit: Audit, row: RehearsedRow) -> ProvenRow | None:
    """Return the shortest RPO of the rehearsed service. The result is None if the rehearsal measured no age of a routine backup,
    or if no drill sets an RPO.
    """
    place = (row.environment, row.service)
    goals = [goal for goal in audit.proven if goal.key == "rpo" and (goal.environment, goal.service) == place]
    return min(goals, key=lambda goal: goal.target_s, default=None) if row.tells_age else None
