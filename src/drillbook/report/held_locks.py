"""Runs whose locks caused the refusal of later runs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drillbook.judge.result import Result
from drillbook.judge.verdicts import Verdict

CODE = "locked"
WAIT = "wait until the run that holds the lock has ended, or stop it"
"""Description of the command that stops the run that holds a lock."""
_STOP = re.compile(r"`\w+ drill\.stop ([\w.-]+)`")
"""Regular expression for the run that the remedy of a finding suggests to stop."""


def to_wait(program: str, results: Iterable[Result]) -> list[tuple[str, str]]:
    """Return the commands that stop the runs whose locks caused the refusal of runs in ``results``, each once, with its
    description. A refusal without the name of such a run has no command.
    """
    remedies = [
        finding.remedy
        for result in results
        if result.verdict is Verdict.REFUSED
        for finding in result.findings
        if finding.code == CODE
    ]
    names = dict.fromkeys(match[1] for remedy in remedies for match in _STOP.finditer(remedy))
    return [(WAIT, f"{program} drill.stop {name}") for name in names]
