"""The verdict of a run, with the reason in one sentence. A doubtful run never passes."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, contents
from drillbook.events.runs import RunEndedEarly, RunFinished
from drillbook.findings import Finding
from drillbook.judge.objectives import BAD, unverified
from drillbook.judge.result import Objective, StepView
from drillbook.judge.verdicts import CONTROLLER_DIED, MISSED, Verdict

_DOUBTS = ("fault-unproven", "probe-failed", "probe-never-good", "probe-bad-before", "recovery-not-awaited")
"""Codes of findings that make a run inconclusive, unless it failed."""


def verdict(
    events: Sequence[Event], steps: Sequence[StepView], objectives: dict[str, Objective], findings: Sequence[Finding]
) -> tuple[Verdict, str]:
    """Derive the verdict of the run. Return it with its reason in one sentence."""
    early = contents(events, RunEndedEarly)
    for why, ended in (("aborted", Verdict.ABORTED), ("refused", Verdict.REFUSED), (Verdict.NOT_RUN, Verdict.NOT_RUN)):
        if stopped := next((what for what in early if what.why == why), None):
            return ended, stopped.message
    if not contents(events, RunFinished):
        return Verdict.ABORTED, CONTROLLER_DIED
    failed = next((what.message for what in early if what.why == "failed"), "")
    if reason := _why_failed(steps, objectives, findings) or failed:
        return Verdict.FAILED, reason
    unknown = early[0].message if early else _why_unknown(steps, objectives, findings, unverified(steps, events))
    unknown = unknown or _unwritten(events)
    if unknown:
        return Verdict.INCONCLUSIVE, unknown
    return Verdict.PASSED, "every step is done, every objective was measured and met, and every verification passed"


def _unwritten(events: Sequence[Event]) -> str:
    """Return the reason why events are missing in the journal. The event that ended the run contains this reason.

    The result is empty when the journal is complete.
    """
    why = next((what.unwritten for what in contents(events, RunFinished)), "")
    return f"some events of the run could not be recorded in time: {why}" if why else ""


def _why_failed(steps: Sequence[StepView], objectives: dict[str, Objective], findings: Sequence[Finding]) -> str:
    for view in steps:
        broken = ("failed", "error") if view.phase in ("backup", "restore") else ("failed",)
        if view.phase != "inject" and view.result.status in broken:
            return f"{view.result.id} {view.result.action} failed: {view.message.splitlines()[0] if view.message else ''}"
    fatal = [finding for finding in findings if finding.code in ("not-recovered", "hole-in-survivors", "references-broken")]
    if fatal:
        return fatal[0].title
    missed = [key.upper() for key, objective in objectives.items() if objective.met is False]
    return f"{MISSED}{', '.join(missed)}" if missed else ""


def _why_unknown(
    steps: Sequence[StepView], objectives: dict[str, Objective], findings: Sequence[Finding], doubt: str | None
) -> str:
    doubtful = [finding for finding in findings if finding.code in _DOUBTS]
    if doubtful:
        return doubtful[0].title
    open_steps = [view for view in steps if view.result.status in BAD]
    if open_steps:
        return f"{open_steps[0].result.id} {open_steps[0].result.action} could not be carried out"
    unknown = [f"{key.upper()} ({objective.reason})" for key, objective in objectives.items() if objective.met is None]
    if unknown:
        return f"objective not verified: {', '.join(unknown)}"
    return doubt or ""
