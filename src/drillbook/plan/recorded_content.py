"""Finds steps that compare data with earlier content. A step of the drill recorded this content before the fault. A step
with the action `content.matches` makes this comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drillbook.language import template
from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk.action import find

BEFORE = ("ready", "backup")


def sure(step: PlannedStep) -> bool:
    """Return True when the step has neither `when` nor `allow_failure`. Such a step cannot be skipped, and is not
    allowed to fail.
    """
    return step.when is None and step.allow_failure is None


def compares_recorded(step: PlannedStep, saved: Mapping[str, PlannedStep], is_same: Callable[[object], bool]) -> bool:
    """Return True when ``step`` compares the service with content that an earlier step recorded. The earlier step must be
    certain to run, and must run before the fault.

    ``saved``: for each name under which facts are saved, the step that saves them. ``is_same``: function that takes the
    name of a service, and returns True when this name means the service that the fault damages.
    """
    recorder, said = find(step.action).COMPARES_WITH, str(step.params.get("manifest") or "")
    named = {reference[0] for reference in template.references(said)} if template.is_template(said) else set()
    return (
        bool(recorder)
        and is_same(step.params.get("service"))
        and any(
            made.action == recorder
            and made.phase in BEFORE
            and made.when is None
            and made.allow_failure is None
            and is_same(made.params.get("service"))
            for made in (saved[name] for name in named & saved.keys())
        )
    )
