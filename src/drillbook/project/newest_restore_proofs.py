"""Finds the newest run of each drill that proved a restore, by the rules of ``report.proven_restore``.

Most result files are not parsed. The start of a file contains the verdict. The text of a passed result is searched for a
pattern, and only a result with the pattern can contain a proof.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.project import newest_runs
from drillbook.project.newest_runs import Ended
from drillbook.sdk.run_names import drill_of

Proofs = dict[tuple[str, str], Ended]
"""Newest run that proved a restore. Each key is a pair: the name of the drill, and the environment."""
_TRACE = re.compile(rb'"disruption_s": *[0-9]|"made":|"backup":')
"""Pattern that matches every result which may prove a restore, because the result contains a fault or a backup. A result
without a match is not parsed."""


def read(runs: Sequence[Path], states: RunStates) -> Proofs:
    """Read the newest proof of each drill in each environment from the run folders ``runs``. ``states``: states of all runs
    that the task reads.
    """
    proofs: Proofs = {}
    for folder in sorted(runs, key=lambda folder: folder.name, reverse=True):
        verdict, environment = newest_runs.head(states.of(folder))
        if verdict in ("", Verdict.PASSED) and (drill_of(folder.name), environment) not in proofs:
            ended = _proof(states.of(folder), states)
            if ended:
                proofs.setdefault((ended.name, ended.environment), ended)
    return proofs


def _proof(state: RunState, states: RunStates) -> Ended | None:
    """Return the run when it passed, undid all its changes and proved a restore, and otherwise None."""
    from drillbook.report.proven_restore import proves  # noqa: PLC0415  slow to load

    try:
        proven = bool(_TRACE.search(state.result.data)) and proves(state.result.parsed())
    except (OSError, ValueError):
        return None
    ended = newest_runs.result(state, states) if proven else None
    return ended if ended and ended.passed and ended.at else None


def lacking(places: Collection[tuple[str, str]], proofs: Proofs) -> tuple[tuple[str, str], ...]:
    """Return those of ``places`` that have no proof of a restore, in the order of their names. Each place is a pair: an
    environment, and a service there."""
    proven = {(proof.environment, proof.service) for proof in proofs.values()}
    return tuple(sorted(set(places) - proven, key=lambda place: (place[1], place[0])))


def of_drills(places: Collection[tuple[str, str]], proofs: Proofs) -> tuple[tuple[str, str], ...]:
    """Return those of ``places`` of which all newest proofs restored only backups that drills took, or that were taken while a drill
    ran. No routine backup of such a service is proven. The order is that of ``lacking``.
    """
    from drillbook.report.proven_restore import only_of_drills  # noqa: PLC0415  slow to load

    told: dict[tuple[str, str], bool] = {}
    for proof in proofs.values():
        place = (proof.environment, proof.service)
        told[place] = told.get(place, True) and only_of_drills(proof.state.result.parsed())
    return tuple(sorted((place for place in set(places) if told.get(place)), key=lambda place: (place[1], place[0])))
