"""The state in which a run that did not pass left its faults and its service, in one sentence."""

from __future__ import annotations

from drillbook.judge.result import ProbeTrack, RunView, StepView, Verdict
from drillbook.report.figures import count, one_line

LEFT = {
    "open": "is not reported as undone",
    "residue": "could not be undone",
    "closed": "could not be undone, and a person closed it",
}
"""Words for a fault that was not undone, by its outcome."""
BAD_STATUSES = ("failed", "error", "unverified", "unknown")


def sentence(view: RunView) -> str:
    """Return a sentence about the faults and the probes at the end of a run that did not pass.

    It says no more than the journal proves. It is empty for a run that passed, and for a run without a fault.
    """
    faults = [one for one in view.result.faults if one.ended]
    if view.result.verdict is Verdict.PASSED or not faults:
        return ""
    left = [f"{one_line(one.step)} on {one_line(one.host)} {LEFT[one.ended]}" for one in faults if one.ended in LEFT]
    undone = len(faults) - len(left)
    parts = [f"{count(undone, 'fault')} {'was' if undone == 1 else 'were'} undone" if undone else "", *left]
    other = [one for one in view.result.open_residue if one.step not in {fault.step for fault in faults}]
    parts += [f"{count(len(other), 'other change')} could not be undone"] if other else []
    parts += [text for track in view.timeline.probes if (text := _probe(track))]
    return f"State at the end of the run: {'; '.join(filter(None, parts))}."


def failed_step(view: RunView) -> StepView | None:
    """Return the step that the reason of the verdict names, or else the first that failed. None when no step failed."""
    found = [step for step in view.steps if step.result.status in BAD_STATUSES]
    named = [step for step in found if view.result.reason.startswith(f"{step.result.id} ")]
    return None if view.result.verdict is Verdict.PASSED else next(iter(named or found), None)


def _probe(track: ProbeTrack) -> str:
    """Return the last observation of a probe of the service. Empty for a canary, and for a probe that did not work."""
    if track.kind != "availability" or track.error or not track.stretches:
        return ""
    last = track.stretches[-1].label
    return f"the last sample of {one_line(track.name)} was {last}" if last in ("good", "bad") else ""
