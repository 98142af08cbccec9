"""Name of the program that the user called, ``drillbook`` or ``invoke``, for the commands that messages suggest.

The code writes messages with ``invoke TASK``; before a message is shown or stored, ``as_called`` inserts the name that the
user typed.
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
_COMMAND = re.compile(rf"\binvoke (?=(?:{'|'.join(TASKS)})\b)")


def program() -> str:
    """Name of the program as typed: ``drillbook`` or ``invoke``."""
    name = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return "invoke" if name.startswith(("invoke", "inv")) else "drillbook"


def as_called(text: str, name: str = "") -> str:
    """Return ``text`` with ``name`` instead of ``invoke`` in its commands ``invoke TASK``; default: the program that was called."""
    return _COMMAND.sub(f"{name or program()} ", text)
