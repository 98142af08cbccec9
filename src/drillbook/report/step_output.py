"""Remedy of a finding about a step that failed, if the step stored no output among the evidence. `result.json` keeps the remedy of the
finding's kind, which is to read this output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drillbook.findings import CATALOGUE, Finding
from drillbook.judge.result import Result

CODE = "step-failed"
WITHOUT = "Correct the error that the step reported. The text shown here is all that was recorded of it."
"""Remedy of a step that stored no output."""


def shown(finding: Finding, result: Result) -> Finding:
    """Return ``finding``. If it is about a failed step of the run ``result`` that stored no output, its remedy says so."""
    if finding.code != CODE or finding.step is None or finding.remedy != CATALOGUE[CODE].remedy:
        return finding
    steps = [step for step in (*result.steps, *result.later_steps) if step.id == finding.step]
    own = [step.facts for step in steps if finding.host in (None, step.host)]
    return finding if _has_file(own) else finding.model_copy(update={"remedy": WITHOUT})


def _has_file(facts: Any) -> bool:
    """Return True if ``facts`` name an evidence file that is not empty."""
    if isinstance(facts, Mapping):
        if str(facts.get("file")).startswith("evidence/") and facts.get("bytes") != 0:
            return True
        return any(map(_has_file, facts.values()))
    return isinstance(facts, Sequence) and not isinstance(facts, str) and any(map(_has_file, facts))
