"""Result of the diagnosis that a run made, read from its journal: the cause that the diagnosis found, and the cause that the
drill expected.
"""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, last
from drillbook.events.steps import Diagnosed
from drillbook.judge.result import DiagnosisResult
from drillbook.plan.plan import Plan
from drillbook.plan.spec import DIAGNOSIS


def diagnosis(events: Sequence[Event], plan: Plan) -> DiagnosisResult | None:
    """Return the result of the phase `diagnose`, or None when the drill plans no diagnosis.

    The field ``found`` of the result is None when no diagnosis was recorded.
    """
    planned = next((step for step in plan.phase("diagnose") if step.action == DIAGNOSIS), None)
    if planned is None:
        return None
    expected, service = str(planned.params.get("cause", "")), str(planned.params.get("service", ""))
    recorded = last((event for event in events if event.step == planned.id), Diagnosed)
    if recorded is None:
        return DiagnosisResult(service=service, expected=expected, found=None, correct=False, seconds=None, error_s=None)
    what = recorded[1]
    return DiagnosisResult(
        service=service,
        expected=what.expected,
        found=what.found,
        correct=what.correct,
        seconds=what.seconds,
        error_s=what.error_s,
        ranked=what.ranked,
        why=what.why,
    )
