"""What a run diagnosed, read from its journal: the cause that was named against the one that was injected."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event
from drillbook.planned import Plan
from drillbook.result import DiagnosisResult
from drillbook.spec import DIAGNOSIS


def diagnosis(events: Sequence[Event], plan: Plan) -> DiagnosisResult | None:
    """The diagnosis of the phase `diagnose`; ``found`` is None when the run did not get that far. None: it plans none."""
    planned = next((step for step in plan.phase("diagnose") if step.action == DIAGNOSIS), None)
    if planned is None:
        return None
    expected, service = str(planned.params.get("cause", "")), str(planned.params.get("service", ""))
    event = next((event for event in reversed(events) if event.kind == "diagnosed" and event.step == planned.id), None)
    if event is None:
        return DiagnosisResult(service=service, expected=expected, found=None, correct=False, seconds=None, error_s=None)
    data = event.data
    return DiagnosisResult(service=service, expected=data["expected"], found=data["found"], correct=data["correct"],
                           seconds=data["seconds"], error_s=data["error_s"], ranked=tuple(data["ranked"]),
                           why=tuple(data["why"]))
