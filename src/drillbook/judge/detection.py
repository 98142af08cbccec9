"""When a drill's expected alert fired: read from what its detect phase noted. Pure functions of the journal's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.events.event import Event, contents
from drillbook.events.probes import AlertAbsent, AlertFiring, AlertReceived, AlertRemains
from drillbook.plan.planner import Plan, PlannedStep

FIRES, RECEIVED = "prometheus.alert_fires", "alertmanager.received"


@dataclass(frozen=True, slots=True)
class Detected:
    """``seconds`` from the disruption to the alert with their error, or the ``reason`` why there are none.

    ``missed``: the alert did not come within its time, which is a measurement too, or it came and did not clear.
    """

    seconds: float | None
    error: float | None
    reason: str | None = None
    missed: bool = False


def expected(plan: Plan) -> list[PlannedStep]:
    """The steps of the detect phase that wait for an alert: to fire, or, where there is none of these, to be received."""
    steps = plan.phase("detect")
    return [step for step in steps if step.action == FIRES] or [step for step in steps if step.action == RECEIVED]


def by_alert(events: Sequence[Event], plan: Plan, disruption: float) -> Detected | None:
    """How long the expected alert took; of several the last one. None when the drill expects none."""
    steps = expected(plan)
    if not steps:
        return None
    each = [_of(events, step, disruption) for step in steps]
    doubtful = [one for one in each if one.missed] or [one for one in each if one.seconds is None]
    return doubtful[0] if doubtful else max(each, key=lambda one: one.seconds or 0.0)


def _of(events: Sequence[Event], step: PlannedStep, disruption: float) -> Detected:
    for event in reversed(events):
        match event.what if event.step == step.id else None:
            case AlertAbsent(message=message):
                return Detected(None, None, message, missed=True)
            case AlertFiring() | AlertReceived() as what:
                return _seen(events, what, event.clock, disruption)
    return Detected(None, None, f"{step.id} {step.action} did not see whether the alert fired")


def _seen(events: Sequence[Event], what: AlertFiring | AlertReceived, clock: float, disruption: float) -> Detected:
    """When the alert that ``what`` tells of at ``clock`` began."""
    seconds = clock - what.ago_s - disruption
    error = seconds if what.error_s is None else what.error_s
    if seconds + error < 0:
        return Detected(None, None, f"the alert {what.alert} fired {-seconds:.3f} s before the disruption")
    left = next((one for one in contents(events, AlertRemains) if one.alert == what.alert), None)
    return Detected(max(0.0, seconds), error, left.message if left else None, missed=left is not None)
