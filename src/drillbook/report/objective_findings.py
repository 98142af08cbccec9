"""Parts of findings about objectives and missing data: the wanted value, and a remedy that fits the run's other steps."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.errors import DrillbookError
from drillbook.findings import Finding
from drillbook.judge.result import Objective, Result
from drillbook.judge.verdicts import CONTROLLER_DIED
from drillbook.report.consequences import UNVERIFIED
from drillbook.report.figures import one_line, seconds, took
from drillbook.report.wording import SHORT, measured
from drillbook.sdk.action import find

DIED = "Run the drill again: the controller of this run died. An objective that was not verified does not count as met."
UNRECOVERED = (
    "First recover the run with `drillbook drill.recover {run}`. Then run the drill again, because the controller of this run "
    "died. An objective that was not verified does not count as met."
)
"""Remedy while ``run`` is not recovered: its changes are in the way of the next run."""
BEFORE_RECOVERY = ("inject", "detect", "diagnose", "restore")
"""Phases that may take place before the service has recovered. The recovery time includes the durations of these phases."""


def wanted(text: str, objective: Objective | None) -> str:
    """Return ``text``, the wanted value of a finding. The target in this text is written as in the table of
    objectives, for example `2 min` instead of `120 s`.
    """
    target = objective.target_s if objective else None
    return text if target is None else text.replace(f"at most {target:g} s", f"at most {seconds(target)}", 1)


def remedy(finding: Finding, result: Result) -> str:
    """Return the remedy for an objective that was not proven. For a missed RTO, the text names the slowest phase before
    recovery.
    """
    if finding.code != "objective-missed":
        if result.reason == CONTROLLER_DIED:
            return DIED if result.finished else UNRECOVERED.format(run=one_line(result.run))
        return (
            "Correct the problem that is named above, and run the drill again. An objective that was not verified does not count "
            "as met."
        )
    phases = [phase for phase in result.phases if phase.phase in BEFORE_RECOVERY]
    rto = measured(result, "rto")[0]
    if not phases or rto is None or not finding.title.endswith(": RTO"):
        return finding.remedy
    slowest, until_restored = max(phases, key=lambda phase: phase.seconds), sum(phase.seconds for phase in phases)
    if rto - until_restored > slowest.seconds:
        return (
            f"The phases up to the restore took {took(until_restored)} of {took(rto)}. For the other "
            f"{took(rto - until_restored)}, the restored service was not good without a break. Find out in the timeline why, or "
            "agree on an objective that can be met."
        )
    whole = f" of {took(rto)}" if slowest.seconds <= rto else ""
    return (
        f"The slowest phase was {one_line(slowest.phase)}, {took(slowest.seconds)}{whole}. Shorten this phase, or "
        "agree on an objective that can be met."
    )


def joined(findings: Sequence[Finding], reason: str) -> list[Finding]:
    """Return ``findings`` of a run. If its controller died, several objectives are not verified for the same reason. One finding then
    stands for the findings about these objectives. ``reason``: reason of the run's verdict.
    """
    if reason != CONTROLLER_DIED:
        return list(findings)
    unverified = [finding for finding in findings if finding.code == UNVERIFIED]
    same = [finding for finding in unverified if finding.measured == unverified[0].measured]
    keys = {finding.title.rpartition(": ")[2].lower(): finding for finding in same}
    if len(same) < 2 or len(keys) < len(same):
        return list(findings)
    ordered = {_name(key): keys[key] for key in sorted(keys, key=lambda key: [*SHORT, key].index(key))}
    *names, last = ordered
    shared = same[0].model_copy(
        update={
            "title": f"{len(same)} objectives could not be verified: {', '.join(names)} and {last}",
            "wanted": ", ".join(f"{name} {finding.wanted}" for name, finding in ordered.items()),
        }
    )
    return [shared if finding is same[0] else finding for finding in findings if finding not in same[1:]]


def _name(key: str) -> str:
    return "detection" if key == "detect" else SHORT.get(key, one_line(key))


def missing_remedy(finding: Finding, result: Result) -> str:
    """Return the remedy for data that did not come back. If a step of the run or of a recovery compared the restored data with the
    backup, the text names this step instead of recommending a comparison.
    """
    compared = [
        step.id
        for step in result.last_steps
        if step.id.startswith("verify.") and step.status == "done" and _compares_with_backup(step.action)
    ]
    if not compared:
        return finding.remedy
    return (
        f"{one_line(compared[0])} found the restored data equal to the backup in all that it compared, so the missing data is "
        "probably not in the backup. If this data was written before the backup began, the backup is incomplete. Otherwise, every "
        "restore of it loses such data. Enter the missing data again, and look for records that refer to it. To lose less, take "
        "backups more often, or archive the log of the changes."
    )


def _compares_with_backup(action: str) -> bool:
    try:
        kind = find(action)
    except DrillbookError:
        return False
    return kind.COMPARES and not kind.COMPARES_WITH
