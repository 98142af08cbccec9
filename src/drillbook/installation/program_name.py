"""Finds the name of the program that the user called: ``drillbook`` or ``invoke``. Commands in messages use this name.

In the code, messages contain commands of the form ``invoke TASK``. Before a message is shown or stored, ``as_called``
replaces ``invoke`` by the name that the user typed.
"""

from __future__ import annotations

import re
import sys

TASKS = (
    "actions",
    "audit",
    "campaign",
    "catalog",
    "diagnose",
    "drill",
    "init",
    "lab",
    "metrics",
    "report",
    "runbook",
    "schedule",
    "schema",
    "trust",
)
"""Tasks and groups of tasks that exist in both programs, `drillbook` and `invoke`."""
NEUTRAL = "drillbook"
"""Program name in stored texts about many runs, such as ``audit.json``. Pages use the name that the user typed instead."""
_COMMAND = re.compile(
    rf"(?:(?<![\w./-])invoke|(?:^|(?<=`)|(?<=: ))drillbook) (?=(?:{'|'.join(TASKS)})\b)(?!lab\b(?!\.))", re.MULTILINE
)
"""Pattern that finds the commands of both programs in a text. It matches neither paths of programs nor the phrase
`drillbook lab`.

An account or a database may also have the name `drillbook`, as in `psql -U drillbook report`. Therefore `drillbook`
matches only at the beginning of a line, after a backtick, and after a colon.
"""


def program() -> str:
    """Return the name of the program that the user typed: ``drillbook`` or ``invoke``."""
    path = sys.argv[0].removesuffix("/__main__.py") if sys.argv else ""  # `python -m invoke` has the path of this file
    name = path.rpartition("/")[2]
    return "invoke" if name.startswith(("invoke", "inv")) else "drillbook"


def as_called(text: str, name: str = "") -> str:
    """Replace the name of the program in each command ``invoke TASK`` or ``drillbook TASK`` in ``text``. ``name``: the new
    name; by default, the name by which the user called the program.

    A stored text contains the name of the program that wrote it. Therefore both names are replaced.
    """
    return _COMMAND.sub(f"{name or program()} ", text)
