"""Growth of the services that a run measured.

It is computed from the sizes of this run and of earlier runs. The journal of this run contains all these sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, contents
from drillbook.events.runs import CapacityHistory
from drillbook.judge.outlook import Outlook, outlooks
from drillbook.judge.result import Result
from drillbook.judge.size_points import Point, of_run
from drillbook.judge.verdicts import Verdict
from drillbook.plan.planner import Plan


def points(result: Result) -> list[Point]:
    """Return one point for each service that this run measured. A point contains the size of the service.

    The point of the drill's own service also contains the RTO and the duration of the restore. They are left out in two
    cases: the verdict is neither ``passed`` nor ``failed``, or the run could not verify its objective `rto`.
    """
    rto = result.objectives.get("rto")
    counts = rto is not None and rto.met is not None and result.verdict in (Verdict.PASSED, Verdict.FAILED)
    return of_run(
        run=result.run,
        at=result.started,
        drill=result.drill,
        service=result.service,
        steps=[(step.action, step.status, step.facts) for step in result.steps],
        rto_s=rto.measured_s if rto and counts else None,
        restore_s=result.clocks.get("restore_s") if counts else None,
    )


def capacity(result: Result, events: Sequence[Event], plan: Plan) -> tuple[Outlook, ...]:
    """Predict the growth of each measured service, from this run and from the earlier runs that its journal records."""
    earlier = [Point.model_validate(point) for what in contents(events, CapacityHistory) for point in what.points]
    return outlooks(points(result), earlier, plan.objectives.get("rto"))
