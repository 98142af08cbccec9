"""Retries and allowed failures of a run. They are shown beside the verdict, because a verdict alone hides them."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.judge.result import RunView, StepView
from drillbook.report.figures import count, one_line

ALLOWED = "allowed"


def summary(view: RunView) -> str:
    """Return a sentence such as ``2 steps were retried, and 1 failure was allowed``. The result is empty when there
    were no retries and no allowed failures.
    """
    retried = sum(step.retried for step in view.steps)
    allowed = sum(step.result.status == ALLOWED for step in view.steps)
    parts = [f"{count(retried, 'step')} {_were(retried)} retried"] if retried else []
    parts += [f"{count(allowed, 'failure')} {_were(allowed)} allowed"] if allowed else []
    return ", and ".join(parts)


def details(view: RunView) -> list[str]:
    """Return a text about each retried step and each allowed failure, in the order of the steps."""
    return [text for step in view.steps for text in _texts(step)]


def of_statuses(statuses: Sequence[str]) -> str:
    """Return a text with the number of allowed failures: failures of steps that the drill allows with a reason. The result is
    empty when there are none. ``statuses``: status of each step.
    """
    number = sum(status == ALLOWED for status in statuses)
    return f"{count(number, 'allowed failure')}" if number else ""


def _texts(step: StepView) -> list[str]:
    if step.result.status != ALLOWED and not step.retried:
        return []
    where = f"{one_line(step.result.id)} on {one_line(step.result.host)}"
    texts = []
    if step.result.status == ALLOWED:
        why = f": {one_line(step.allowed)}" if step.allowed else " with a written reason"
        texts.append(f"{where} failed, and the drill allows this failure{why}")
    if step.retried:
        texts.append(f"{where} took {count(step.attempts, 'attempt')} and ended as {step.result.status}")
    return texts


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
