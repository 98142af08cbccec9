"""Finds the newest run of each drill that proved a restore, by the rules of ``report.proven_restore``.

Most result files are not parsed. The start of a file contains the verdict. The text of a passed result is searched for a
pattern, and only a result with the pattern can contain a proof.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from drillbook.journal.run_files import RESULT
from drillbook.judge.result import Verdict
from drillbook.project import standings
from drillbook.project.standings import Ended
from drillbook.report import folders

Proofs = dict[tuple[str, str], Ended]
"""Newest run that proved a restore. Each key is a pair: the name of the drill, and the environment."""
_TRACE = re.compile(rb'"disruption_s": *[0-9]|"made":|"backup":')
"""Pattern of a text that every result with a fault or a restored backup contains. A result without this text is not
parsed."""


def read(runs: Sequence[Path]) -> Proofs:
    """Read the newest proof of each drill in each environment from the run folders ``runs``."""
    proofs: Proofs = {}
    for folder in sorted(runs, key=lambda folder: folder.name, reverse=True):
        verdict, environment = standings.head(folder)
        if verdict in ("", Verdict.PASSED) and (folders.drill_of(folder.name), environment) not in proofs:
            ended = _proof(folder)
            if ended:
                proofs.setdefault((ended.name, ended.environment), ended)
    return proofs


def _proof(folder: Path) -> Ended | None:
    """Return the run in ``folder`` when it passed, undid all its changes and proved a restore, and otherwise None."""
    from drillbook.report.proven_restore import proves  # noqa: PLC0415  slow to load

    try:
        content = (folder / RESULT).read_bytes()
        proven = bool(_TRACE.search(content)) and proves(json.loads(content))
    except (OSError, ValueError):
        return None
    ended = standings.result(folder) if proven else None
    return ended if ended and ended.passed and ended.at else None
