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
"""Tasks and groups of tasks that exist in both programs."""
NEUTRAL = "drillbook"
"""Program in the commands of pages about many runs. Such a page is read by people who may have only this program."""
_COMMAND = re.compile(
    rf"(?:(?<![\w./-])invoke|(?:^|(?<=`)|(?<=: ))drillbook) (?=(?:{'|'.join(TASKS)})\b)(?!lab\b(?!\.))", re.MULTILINE
)
"""A command of either program. A path of a program, and a lab of Drillbook, are none.

`drillbook` is also a name that a user may give to an account or a database: `psql -U drillbook report`. It is a command only
where one begins.
"""


def program() -> str:
    """Return the name of the program that the user typed: ``drillbook`` or ``invoke``."""
    name = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return "invoke" if name.startswith(("invoke", "inv")) else "drillbook"


def as_called(text: str, name: str = "") -> str:
    """Replace the program by ``name`` in each command ``invoke TASK`` or ``drillbook TASK`` in ``text``. By default,
    ``name`` is the name of the program that the user called.

    A stored text may name another program, when a person recovered the run with another one.
    """
    return _COMMAND.sub(f"{name or program()} ", text)
