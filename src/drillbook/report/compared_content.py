"""Tells if a run compared restored content with anything, and what to add to a rehearsal that did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.judge.result import RunView, StepResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import rehearsal_results
from drillbook.sdk import discovery
from drillbook.sdk.action import find, known_names

PAGE = "Rehearse the backups that you have"
"""Page of the documentation that describes steps which compare the content of a copy."""
OWN = "command"
"""Family of the actions that run commands of the drill. Such a command may compare the content in its own way."""
WITHOUT_ROWS = ("backup", "loss")
"""Families of actions whose facts are about backups and times, and not about the content of a copy."""


def proofs(steps: Sequence[StepResult]) -> list[StepResult]:
    """Return the successful verifications that compared content."""
    return [step for step in _verifications(steps) if _proves(step)]


def _verifications(steps: Sequence[StepResult]) -> list[StepResult]:
    return [step for step in steps if step.id.startswith("verify.") and step.status == "done"]


def _proves(step: StepResult) -> bool:
    """Return True when the action of the step declares that it compared content. Returns False for an unknown action.

    Returns False also for a comparison that left out all tables.
    """
    if not step.facts.get("tables", True):
        return False
    try:
        return bool(find(step.action).proves_content(step.facts))
    except DrillbookError:
        return False


def not_compared(view: RunView) -> str:
    """Return a sentence for a rehearsal that passed, although no step asked for the content of the restored copy. The sentence
    names an action to add. The result is empty for any other run.
    """
    result = view.result
    if result.verdict is not Verdict.PASSED or not rehearsal_results.facts(result):
        return ""
    expecting = {step.get("id") for step in _planned(view.plan) if step.get("expect")}
    if any(_asks(step, expected=step.id in expecting) for step in _verifications(result.steps)):
        return ""
    action = _comparing(view.plan)
    step = f"a step such as {action}" if action else "a step that asks the copy for data that you know"
    return f"The restored content was not compared with anything: add {step} to the phase verify (see the page {PAGE})."


def _asks(step: StepResult, *, expected: bool) -> bool:
    """Return True if a step compared content, or asked for an answer about it. ``expected``: True if the drill wrote the expected
    answer to the step.
    """
    family, _, name = step.action.partition(".")
    return _proves(step) or family == OWN or (expected and family not in WITHOUT_ROWS and name != "healthy")


def _planned(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    steps = plan.get("steps")
    yield from (step for step in (steps if isinstance(steps, list | tuple) else ()) if isinstance(step, Mapping))


def _comparing(plan: Mapping[str, Any]) -> str:
    """Return the action that compares a copy of the restored kind with production. The result is empty if there is none."""
    inventory = plan.get("inventory")
    services = inventory.get("services") if isinstance(inventory, Mapping) else None
    for step in _planned(plan):
        params = step.get("params")
        if step.get("action") == rehearsal_results.RESTORE and isinstance(params, Mapping) and isinstance(services, Mapping):
            service = services.get(params.get("service"))
            kind = service.get("kind") if isinstance(service, Mapping) else None
            names = [f"{system.name}.compare" for system in discovery.systems() if kind in system.services]
            return next((name for name in names if name in known_names()), "")
    return ""
