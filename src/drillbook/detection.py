"""When a drill's expected alert fired: read from what its detect phase noted. Pure functions of the journal's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.events.event import Event
from drillbook.plan import Plan, PlannedStep

FIRES, RECEIVED = "prometheus.alert_fires", "alertmanager.received"
SEEN, ABSENT, REMAINS = ("alert.firing", "alert.received"), "alert.absent", "alert.remains"


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
    last = next((event for event in reversed(events) if event.step == step.id and event.kind in (*SEEN, ABSENT)), None)
    if last is None:
        return Detected(None, None, f"{step.id} {step.action} did not see whether the alert fired")
    if last.kind == ABSENT:
        return Detected(None, None, str(last.data["message"]), missed=True)
    seconds = last.clock - float(last.data["ago_s"]) - disruption
    error = seconds if last.data["error_s"] is None else float(last.data["error_s"])
    if seconds + error < 0:
        return Detected(None, None, f"the alert {last.data['alert']} fired {-seconds:.3f} s before the disruption")
    alert = last.data["alert"]
    left = next((event for event in events if event.kind == REMAINS and event.data["alert"] == alert), None)
    return Detected(max(0.0, seconds), error, str(left.data["message"]) if left else None, missed=left is not None)
