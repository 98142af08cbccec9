"""Merges findings about unverified objectives into the finding about their cause. An objective is not verified when a step
of the verification failed, so a finding about this objective says nothing new beside the finding about the step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from drillbook.findings import Finding
from drillbook.judge.result import Objective

UNVERIFIED = "objective-not-verified"
NOT_PASSED = re.compile(r"the verification did not pass \((.+)\)")
"""Regular expression that matches the reason of an objective that is not verified because steps of the verification did not
pass. Its group contains the ids of these steps.
"""
ORDER = ("rto", "rpo", "detect")
GRAVE = ("critical", "high")
"""Severities of findings into which a finding about an unverified objective can be merged. The finding about an unverified
objective has the severity `high`, so a finding of lower severity cannot replace it.
"""


def folded(findings: Iterable[Finding], objectives: Mapping[str, Objective]) -> list[Finding]:
    """Return the findings. A finding that an objective is not verified is left out if another finding tells the cause, which
    is a failed step of the verification. The finding about this step then also names the objective that is therefore not
    verified.

    The finding about the objective stays if no other finding tells the cause.
    """
    known = list(findings)
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
    """Add to the text of a finding that the figures of the objectives ``keys`` therefore do not count. Objectives without a
    figure are called `not verified`.
    """
    if not keys:
        return finding
    several = len(keys) > 1
    measured = all(objectives[key].measured_s is not None for key in keys)
    says = f"{'do' if several else 'does'} not count" if measured else f"{'are' if several else 'is'} not verified"
    what = f"therefore the {' and the '.join(key.upper() for key in keys)} {says}"
    return finding.model_copy(update={"measured": f"{finding.measured}; {what}" if finding.measured else what})
