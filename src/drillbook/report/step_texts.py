"""Texts of a step for reports: the description of its undo, and the message of a step that was stopped."""

from __future__ import annotations

import ast
import re

from drillbook.judge.result import StepView
from drillbook.report.figures import seconds, shown, took
from drillbook.report.wording import STOPPED

COMMAND = re.compile(r"(?s)(?:[^`]*: )?`.*` was stopped(?:; it was killed)?")
"""Regular expression for the message of a step whose command was stopped. Such a message contains the host and the command."""
COMMAND_STOPPED = "its command was stopped"
BY_ACTION = re.compile(r"([a-z]\w*\.\w+) (\{.*\})", re.DOTALL)
"""Regular expression for an undo that consists of another action. It matches the name and the parameters of this action."""


def state(status: str) -> str:
    """Return the word with which reports show the status of a step. A stopped step has the same word as a stopped phase."""
    return STOPPED if status == "cancelled" else status


def message(text: str, outcome: str) -> str:
    """Return the message of a step that ended with ``outcome``. The message of a stopped step does not name the command that
    was stopped: the report shows this command in the list of the step's commands.
    """
    return COMMAND_STOPPED if outcome == "cancelled" and COMMAND.fullmatch(text) else text


def message_of(step: StepView) -> str:
    """Return the message of a step, as reports show it."""
    return message(step.message, step.result.status)


def attempts_of(step: StepView) -> str:
    """Return the number of attempts of a step, and words about their duration and interval. The result is empty for a single
    attempt.
    """
    return f"{step.attempts}{_pace(step)}" if step.attempts > 1 else ""


def outcomes_of(step: StepView) -> tuple[tuple[str, int], ...]:
    """Return the outcomes of a step's attempts, each with the number of attempts that ended so. The result is empty if all
    attempts ended alike.
    """
    return step.outcomes if len(step.outcomes) > 1 else ()


def _pace(step: StepView) -> str:
    """Return a text about the attempts of a step that waits for a condition: their duration, their interval, and how they
    ended.

    The result is empty for a step that only retries after an error.
    """
    if step.every_s is None:
        return ""
    met = step.result.status == "done"
    lasted = "" if step.result.seconds is None or met else f" in {took(step.result.seconds)}"
    end = " until the condition was met" if met else "; the condition was never met"
    return f"{lasted}, one every {seconds(step.every_s)}{end}"


def undo_of(step: StepView) -> str:
    """Return the undo of a step. For an undo by another action, name this action and its parameters."""
    match = BY_ACTION.fullmatch(step.undo)
    if match is None:
        return step.undo
    try:
        params = ast.literal_eval(match[2])
    except (ValueError, SyntaxError):
        return step.undo
    named = ", ".join(f"{key}: {_value(value)}" for key, value in params.items())
    return f"by the action {match[1]}" + (f" ({named})" if named else "")


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else shown(value)
