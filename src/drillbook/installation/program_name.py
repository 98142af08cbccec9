"""Name of the program that was called, ``drillbook`` or ``invoke``, for the commands that messages suggest.

Messages are written with ``invoke TASK``; where they leave the program, ``as_called`` puts in the name that the user typed.
"""

from __future__ import annotations

import re
import sys

TASKS = (
    "actions",
    "audit",
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
"""Tasks and groups of tasks that both programs have."""
_COMMAND = re.compile(rf"\binvoke (?=(?:{'|'.join(TASKS)})\b)")


def program() -> str:
    """Name of the program as typed: ``drillbook`` or ``invoke``."""
    name = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return "invoke" if name.startswith(("invoke", "inv")) else "drillbook"


def as_called(text: str, name: str = "") -> str:
    """Return ``text`` with its commands ``invoke TASK`` under the program ``name``; default: the one that was called."""
    return _COMMAND.sub(f"{name or program()} ", text)
