"""Checks the expectations (`expect`) of a step against the facts of its action."""

from __future__ import annotations

from drillbook.engine.step_context import Stage
from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.language import template
from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk.action import Facts
from drillbook.sdk.answer_limits import told_once
from drillbook.sdk.host import excerpt


def check(stage: Stage, step: PlannedStep, facts: Facts) -> None:
    """Check each expectation of ``step``. Raises StepFailed for the first one that ``facts`` do not meet, and CouldNotVerify
    for one that cannot be evaluated.
    """
    for text in step.expect:
        try:
            held = template.expression(text, {**stage.names(), "result": facts})
        except ValueError as error:
            raise CouldNotVerify(f"expect: {error}") from None
        if not held:
            seen = {key: value for key, value in facts.items() if key in text} or told_once(facts)
            raise StepFailed(
                f"expected {text}",
                facts=facts,
                findings=[
                    finding(
                        "expectation", title=step.name or step.action, wanted=text, measured=excerpt(str(seen), limit=400)
                    )
                ],
            )
