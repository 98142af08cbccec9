"""Texts of a step for reports: the description of its undo, and the message of a step that was stopped."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from drillbook.judge.result import StepView
from drillbook.language.lists import leading
from drillbook.report.figures import one_line, seconds, shown, size, took
from drillbook.report.wording import STOPPED

COMMAND = re.compile(r"(?s)(?:[^`]*: )?`.*` was stopped(?:; it was killed)?")
"""Regular expression for the message of a step whose command was stopped. Such a message contains the host and the command."""
COMMAND_STOPPED = "its command was stopped"
BY_ACTION = re.compile(r"([a-z]\w*\.\w+) (\{.*\})", re.DOTALL)
"""Regular expression for an undo that consists of another action. It matches the name and the parameters of this action."""
LEAST_BYTES, LEAST_S = 10_000, 120
"""Smallest numbers of bytes and of seconds that are shown in a larger unit as well, such as MB or minutes."""
MOST_CHARACTERS = 100
"""Largest length of the text of a fact in a list of facts."""


class ShortFact(NamedTuple):
    """Fact that fits on a line: a text, a number or a truth value. ``unit``: for a large number, the same value in a larger
    unit, such as ` (1.5 MB)`. It is empty for other facts.
    """

    name: str
    value: str
    unit: str


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


def short_facts(facts: Mapping[str, Any], most: int) -> tuple[Sequence[ShortFact], int]:
    """Return the first ``most`` short facts, sorted by name, and the number of the others."""
    short = [
        ShortFact(name, cut(value), _unit(name, value))
        for name, value in sorted(facts.items())
        if isinstance(value, str | int | float | bool) and value != ""
    ]
    return leading(short, most)


def _unit(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if name.endswith("bytes") and isinstance(value, int) and value >= LEAST_BYTES:
        return f" ({size(value)})"
    if (name.endswith("_s") or name == "seconds") and value >= LEAST_S:
        return f" ({took(value)})"
    return ""


def cut(value: object) -> str:
    """Return a fact, or another text, as one line of at most ``MOST_CHARACTERS`` characters."""
    text = str(value).lower() if isinstance(value, bool) else one_line(value)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
