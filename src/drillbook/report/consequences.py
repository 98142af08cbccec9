"""Findings that only follow from another one: an objective is not verified because a verification failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from drillbook.findings import Finding
from drillbook.judge.result import Objective

UNVERIFIED = "objective-not-verified"
NOT_PASSED = re.compile(r"the verification did not pass \((.+)\)")
"""Regular expression that matches the reason why an objective is not verified, with the steps that failed."""
ORDER = ("rto", "rpo", "detect")
GRAVE = ("critical", "high")
"""Severities of a finding that may name unverified objectives as its consequence. The finding about an unverified
objective has the severity `high`, so a finding of lower severity cannot replace it."""


def folded(findings: Iterable[Finding], objectives: Mapping[str, Objective]) -> list[Finding]:
    """Return the findings without those about unverified objectives, if a verification failed and another finding is
    about it. That finding then names these objectives as its consequence.

    The finding about an unverified objective stays if no other finding tells why the objective is unverified.
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
            names.setdefault(cause, []).append(key.upper())
            left_out.add(number)
    return [_with(finding, names.get(n, ())) for n, finding in enumerate(known) if n not in left_out]


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


def _with(finding: Finding, names: Sequence[str]) -> Finding:
    """Add the objectives ``names`` to a finding as its consequence."""
    if not names:
        return finding
    what = f"therefore the {' and the '.join(names)} {'is' if len(names) == 1 else 'are'} not verified"
    return finding.model_copy(update={"measured": f"{finding.measured}; {what}" if finding.measured else what})
