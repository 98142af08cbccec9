"""Texts of findings about objectives: the target, and the remedy with the slowest phase."""

from __future__ import annotations

from drillbook.findings import Finding
from drillbook.judge.result import Objective, Result
from drillbook.report.figures import one_line, seconds, took
from drillbook.report.wording import measured

BEFORE_RECOVERY = ("inject", "detect", "diagnose", "restore")
"""Phases that may end before the service has recovered, so that the recovery time includes them."""


def wanted(text: str, objective: Objective | None) -> str:
    """Return the target in a finding with the units of the table of objectives, such as `2 min` instead of `120 s`."""
    target = objective.target_s if objective else None
    return text if target is None else text.replace(f"at most {target:g} s", f"at most {seconds(target)}", 1)


def remedy(one: Finding, result: Result) -> str:
    """Return the remedy for an objective that was not proven. For a missed RTO, the text names the slowest phase before
    recovery.
    """
    if one.code != "objective-missed":
        return (
            "Correct the problem that is named above, and run the drill again. An objective that was not verified does not count "
            "as met."
        )
    phases = [phase for phase in result.phases if phase.phase in BEFORE_RECOVERY]
    rto = measured(result, "rto")[0]
    if not phases or rto is None or not one.title.endswith(": RTO"):
        return one.remedy
    slowest = max(phases, key=lambda phase: phase.seconds)
    whole = f" of {took(rto)}" if slowest.seconds <= rto else ""
    return (
        f"The slowest phase was {one_line(slowest.phase)}, {took(slowest.seconds)}{whole}. Shorten it, or agree on an objective "
        "that can be met."
    )
