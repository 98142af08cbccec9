"""Merges findings into the finding about their cause. An objective is not verified when a step of the verification failed,
so a finding about this objective says nothing new beside the finding about the step. If somebody stops a run during the
injection, the fault is not proven active. The finding about this fault says nothing new beside the finding about the stop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from drillbook.findings import Finding
from drillbook.language.lists import listed

if TYPE_CHECKING:
    from drillbook.judge.result import Objective

UNVERIFIED = "objective-not-verified"
NOT_PASSED = re.compile(r"the verification did not pass \((.+)\)")
"""Regular expression for the reason why an objective is not verified. It matches the reason that steps of the verification did
not pass. Its group contains the ids of these steps.
"""
UNPROVEN, STOP = "fault-unproven", "aborted"
STOPPED_BY = "the run was stopped by "
"""First words of the finding about a run that a person, a signal or a request stopped."""
STOPPED = ("the injection was stopped", "the fault was not injected")
"""Texts with which a finding with the code ``UNPROVEN`` may end. If the run was stopped, and a finding ends with one of
them, the reason why the fault is not proven active may be the stop.
"""
DIED = "the controller died during the injection"
"""Text at the end of a finding with the code ``UNPROVEN``. It means: because the controller died, there is no proof that the
fault was active.
"""
ORDER = ("rto", "rpo", "detect")
GRAVE = ("critical", "high")
"""Severities of findings that can replace a finding about an unverified objective. That finding has the severity `high`, so a
finding of lower severity cannot replace it.
"""

MOST_PLACES = 3
"""Largest number of steps that the finding about a stopped run names."""


def folded(findings: Iterable[Finding], objectives: Mapping[str, Objective]) -> list[Finding]:
    """Return ``findings`` without those that only follow from another finding.

    A failed step of the verification can leave an objective unverified. The finding about this step then also names the
    objective, and the finding about the objective is left out. A stop of the run can leave a fault unproven. The finding about
    the stop then also names the step of the fault, and the finding about the fault is left out. If the controller died, the
    finding about the fault is left out, too: the reason of the verdict names the fault.
    """
    known = _without_stopped([finding for finding in findings if not _by_dead_controller(finding)])
    names: dict[int, list[str]] = {}
    left_out = set()
    for key in sorted(objectives, key=lambda key: (ORDER.index(key) if key in ORDER else len(ORDER), key)):
        objective = objectives[key]
        cause = _cause(objective, known)
        number = next(
            (
                n
                for n, finding in enumerate(known)
                if finding.code == UNVERIFIED and finding.title.endswith(f": {key.upper()}")
            ),
            None,
        )
        if cause is not None and number is not None:
            names.setdefault(cause, []).append(key)
            left_out.add(number)
    return [_with(finding, names.get(n, ()), objectives) for n, finding in enumerate(known) if n not in left_out]


def _by_dead_controller(finding: Finding) -> bool:
    """Return True for a finding that a fault is not proven because the controller died. The reason of the verdict already names
    this fault."""
    return finding.code == UNPROVEN and finding.measured.endswith(DIED)


def _without_stopped(known: list[Finding]) -> list[Finding]:
    """Return ``known``, the findings of a run, without those that follow from a stop of the run.

    A stop by a person, a signal or a request can be the reason why a fault is not proven active. The finding about such a
    fault is left out, and the finding about the stop names the fault's step.
    """
    stop = next((finding for finding in known if finding.code == STOP and finding.measured.startswith(STOPPED_BY)), None)
    gone = [finding for finding in known if finding.code == UNPROVEN and finding.measured.endswith(STOPPED)] if stop else []
    if stop is None or not gone:
        return known
    places = dict.fromkeys(f"{finding.step} on {finding.host}" for finding in gone)
    told = f"{stop.measured} before {listed(list(places), MOST_PLACES)} ended, so the drill proves nothing about the fault"
    named = stop.model_copy(update={"measured": told})
    return [named if finding is stop else finding for finding in known if finding not in gone]


def _cause(objective: Objective, findings: Sequence[Finding]) -> int | None:
    """Return the index in ``findings`` of the finding which tells why ``objective`` is not verified: a critical or high
    finding about a step that failed to verify it. Return None if there is no such finding."""
    match = NOT_PASSED.fullmatch(objective.reason or "")
    steps = match[1].split(", ") if match and objective.met is None else []
    causes = (
        n
        for n, finding in enumerate(findings)
        if finding.step in steps and finding.severity in GRAVE and finding.code != UNVERIFIED
    )
    return next(causes, None)


def _with(finding: Finding, keys: Sequence[str], objectives: Mapping[str, Objective]) -> Finding:
    """Return the finding about a cause with one more clause, about the objectives ``keys`` that depend on the cause.

    If all these objectives have figures, the clause says that the figures do not count. Otherwise it says that the objectives
    are not verified.
    """
    if not keys:
        return finding
    several = len(keys) > 1
    measured = all(objectives[key].measured_s is not None for key in keys)
    says = f"{'do' if several else 'does'} not count" if measured else f"{'are' if several else 'is'} not verified"
    what = f"therefore the {' and the '.join(key.upper() for key in keys)} {says}"
    return finding.model_copy(update={"measured": f"{finding.measured}; {what}" if finding.measured else what})
