"""Detection of the fault by an expected alert. Only alerts that a step of the phase `detect` awaits count as a detection. The
objective for the detection may be missed although the alert fired in time: it also counts as missed when a step of any phase
finds that the alert did not clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from drillbook.events.event import Event, contents
from drillbook.events.probes import AlertAbsent, AlertFiring, AlertReceived, AlertRemains
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan


class Acting(Protocol):
    """Protocol of a step, which has an action."""

    @property
    def action(self) -> str:
        """Name of the action."""


Awaited = TypeVar("Awaited", bound=Acting)
FIRES, RECEIVED = "prometheus.alert_fires", "alertmanager.received"


@dataclass(frozen=True, slots=True)
class Detected:
    """Detection by an alert.

    ``seconds``: time after the disruption; ``error``: its measurement error; ``reason``: reason why there is no figure.
    ``missed`` is True when the alert did not fire within its time limit, or did not clear. The objective is then missed.
    """

    seconds: float | None
    error: float | None
    reason: str | None = None
    missed: bool = False


def awaits_alert(steps: Iterable[tuple[str, str]]) -> bool:
    """Return True if one of ``steps`` awaits an alert in the detect phase. The detection then ends with this alert, and not with a
    sample of the drill's own probe. ``steps``: id and action of each step of a plan or a run.
    """
    return any(step.startswith("detect.") and action in (FIRES, RECEIVED) for step, action in steps)


def expected(plan: Plan) -> list[PlannedStep]:
    """Return the steps `prometheus.alert_fires` of the detect phase.

    Without such steps, return the steps `alertmanager.received`.
    """
    return ending(plan.phase("detect"))


def ending(steps: Sequence[Awaited]) -> list[Awaited]:
    """Return those of ``steps``, which are steps of the detect phase, that wait for the alert which ends the detection. All
    returned steps have the same action.
    """
    return [step for step in steps if step.action == FIRES] or [step for step in steps if step.action == RECEIVED]


def by_alert(events: Sequence[Event], plan: Plan, disruption: float) -> Detected | None:
    """Measure how long the expected alert took to detect the fault. If the drill expects several alerts, the alert that
    fired last counts. If an expected alert did not fire, or if its time is unknown, the result contains no time.

    Return None when the drill expects no alert.
    """
    steps = expected(plan)
    if not steps:
        return None
    each = [_of(events, step, disruption) for step in steps]
    doubtful = [detected for detected in each if detected.missed] or [
        detected for detected in each if detected.seconds is None
    ]
    return doubtful[0] if doubtful else max(each, key=lambda detected: detected.seconds or 0.0)


def _of(events: Sequence[Event], step: PlannedStep, disruption: float) -> Detected:
    for event in reversed(events):
        match event.what if event.step == step.id else None:
            case AlertAbsent(message=message):
                return Detected(None, None, message, missed=True)
            case AlertFiring() | AlertReceived() as what:
                return _seen(events, what, event.clock, disruption)
    return Detected(None, None, f"{step.id} {step.action} could not determine if the alert fired")


def _seen(events: Sequence[Event], what: AlertFiring | AlertReceived, clock: float, disruption: float) -> Detected:
    """Compute the time of the detection from ``what``, the content of the event about the alert.

    ``clock``: time at which this event was written to the journal, in seconds on the run's clock.
    """
    seconds = clock - what.ago_s - disruption
    error = seconds if what.error_s is None else what.error_s
    if seconds + error < 0:
        return Detected(None, None, f"the alert {what.alert} fired {-seconds:.3f} s before the disruption")
    left = next((content for content in contents(events, AlertRemains) if content.alert == what.alert), None)
    return Detected(max(0.0, seconds), error, left.message if left else None, missed=left is not None)
