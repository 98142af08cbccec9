"""Texts of a step for reports: the description of its undo, and the message of a step that was stopped."""

from __future__ import annotations

import ast
import re

from drillbook.judge.result import StepView
from drillbook.report.figures import shown
from drillbook.report.wording import STOPPED

COMMAND = re.compile(r"(?s)(?:[^`]*: )?`.*` was stopped(?:; it was killed)?")
"""Regular expression that matches the message of a step whose command was stopped: the host, and the command line."""
COMMAND_STOPPED = "its command was stopped"
BY_ACTION = re.compile(r"([a-z]\w*\.\w+) (\{.*\})", re.DOTALL)
"""Regular expression that matches the undo of a change by another action: the name of this action, and its parameters."""


def state(status: str) -> str:
    """Return the word for the status of a step. A step that was stopped has the same word as the stopped phase."""
    return STOPPED if status == "cancelled" else status


def message(text: str, outcome: str) -> str:
    """Return the message of a step that ended with ``outcome``. For a step that was stopped, the command is left out,
    because the report has it among the step's commands."""
    return COMMAND_STOPPED if outcome == "cancelled" and COMMAND.fullmatch(text) else text


def message_of(step: StepView) -> str:
    """Return the message of a step, as reports show it."""
    return message(step.message, step.result.status)


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
