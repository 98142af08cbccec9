"""Notes below the table of probes: the writes of a canary, the meaning of a late sample, and the times in which the controller
itself stalled.
"""

from __future__ import annotations

from drillbook.judge.result import RunView
from drillbook.report import canary_writes
from drillbook.report.figures import count, one_line, seconds

MOST = 8
"""Largest number of stalls that a report names. It names the longest stalls; the journal has all."""
LATE = (
    "Late: samples that began more than one interval after their planned time, because an earlier sample was still waiting for its "
    "answer, or because the controller had no processor time. They count like all samples."
)


def probe_notes(view: RunView) -> list[str]:
    """Return the notes about the probes of a run. The result is empty when no probe ran."""
    return [*_writes(view), LATE, *_stalls(view)] if view.timeline.probes else []


def _writes(view: RunView) -> list[str]:
    """Return a sentence for each canary that divides its writes: those that count for the RPO, and the others."""
    canaries = [track for track in view.timeline.probes if track.kind == "canary"]
    told = [(track, canary_writes.parts(view, track)) for track in canaries]
    return [f"{one_line(track.name)}, {text}." for track, text in told if canary_writes.COUNTED in text]


def _stalls(view: RunView) -> list[str]:
    if not view.stalls:
        return []
    longest = sorted(view.stalls, key=lambda span: span[0] - span[1])[:MOST]
    named = ", ".join(f"{seconds(first, 2)} to {seconds(last, 2)}" for first, last in sorted(longest))
    more = f" The {MOST} longest: {named}." if len(view.stalls) > MOST else f" {named}."
    total = seconds(sum(last - first for first, last in view.stalls), 2)
    text = (
        f"The controller itself stalled {count(len(view.stalls), 'time')}, {total} in all, so it may have sent samples and received "
        f"answers late (`controller.stalled` in the journal):{more}"
    )
    return [text]
