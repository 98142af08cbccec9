"""Commands that print the documentation of an action, and the words that say so. Such a command repairs nothing."""

from __future__ import annotations

import re

from drillbook.report.figures import one_line

HOW = "to read how a drill writes this step"
"""Words before the command that prints the documentation of one action."""
WHICH = "to read which actions there are"
"""Words before the command that prints the list of all actions."""
_REFERENCE = re.compile(r"(?:drillbook|invoke) actions\b")


def reading(program: str, what: str, action: str) -> tuple[str, str]:
    """Return a suggestion whose command only prints the documentation of ``action``, or the list of all actions if ``action`` is
    empty. ``what``: what the reader must do."""
    name = one_line(action)
    return f"{what}; {HOW if name else WHICH}", f"{program} actions {name}".rstrip()


def split(what: str) -> tuple[str, str]:
    """Return the description ``what`` of a suggestion in two parts: what the reader must do, and the words of ``reading`` about
    its command. The second part is empty for a command that does what the first part says."""
    task, _, words = what.rpartition("; ")
    return (task, words) if words in (HOW, WHICH) else (what, "")


def words(program: str, action: str) -> str:
    """Return the words about the documentation of ``action``, with its command between backticks, for a sentence in brackets."""
    said, command = reading(program, "", action)
    return f"{said.removeprefix('; ')}: `{command}`"


def is_reference(command: str) -> bool:
    """Return True if ``command`` only prints the documentation of actions. Pages do not show it as a command to run."""
    return _REFERENCE.match(command) is not None
