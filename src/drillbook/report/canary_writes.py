"""Texts with the numbers of a probe's samples. For a canary, they tell how many writes there were, and how many of them belong to
each group.

There are four groups: acknowledged writes that count for the RPO, later acknowledged writes, writes that were not acknowledged,
and writes that were not measured.
"""

from __future__ import annotations

from drillbook.judge.result import ProbeTrack, Result, RunView, Span
from drillbook.report.figures import count, seconds

COUNTED = " (the RPO counts these)"
"""Words after the number of the acknowledged writes that count for the RPO."""


def notes(view: RunView, track: ProbeTrack) -> list[str]:
    """Return texts with the numbers of the samples of ``track``, the longest first."""
    if track.error:
        return ["probe failed: not verified"]
    if track.kind != "canary":
        return [f"{count(track.samples, 'sample')}, {track.bad} bad, {track.late} late"]
    text = parts(view, track)
    return [text, text.replace(COUNTED, ""), f"{count(track.samples, 'write')}, {track.bad} not acknowledged"]


def parts(view: RunView, track: ProbeTrack) -> str:
    """Return a text with the number of all writes of the canary ``track``, and the number of writes in each group.

    The text leaves out the two groups of acknowledged writes in two cases: the RPO was not computed from a number of
    acknowledged writes, or the run has several canaries.
    """
    unheard = sum(stretch.count or 0 for stretch in track.stretches if stretch.label == "unheard")
    missed = f", {unheard} not measured" if unheard else ""
    rest = f"{track.bad} not acknowledged{missed}"
    objective = view.result.objectives.get("rpo")
    counted = objective.acknowledged_writes if objective else None
    later = track.samples - track.bad - unheard - (counted or 0)
    alone = sum(probe.kind == "canary" for probe in view.timeline.probes) == 1
    if counted is None or not alone or later < 0:
        return f"{count(track.samples, 'write')}, {rest}"
    return f"{count(track.samples, 'write')}: {counted} acknowledged {_until(view, track)}{COUNTED}, {later} later, {rest}"


def numbered(result: Result) -> str:
    """Return a clause about the numbers of lost writes, and about the acknowledged writes that count for the RPO."""
    objective = result.objectives.get("rpo")
    known = objective.acknowledged_writes if objective else None
    counted = f"; the {known} were acknowledged before the disruption, or later but lost" if known else ""
    return f"the canary numbers its writes, also those that were not acknowledged{counted}"


def _until(view: RunView, track: ProbeTrack) -> str:
    """Return the part of a sentence that tells which acknowledged writes count for the RPO.

    All acknowledged writes before the disruption count. Acknowledged writes after the disruption count only if they were lost.
    If no write between the disruption and the last lost write survived, the result is ``up to`` and the time of the last lost
    write.
    """
    disruption, last = view.timeline.marks.get("disruption"), view.timeline.marks.get("last_acknowledged")
    if disruption is None or last is None or last <= disruption:
        return "before the disruption"
    if any(stretch.label == "kept" and _overlaps(stretch, disruption, last) for stretch in track.stretches):
        return "before the disruption, or after it but lost again"
    return f"up to {seconds(last, 2)}"


def _overlaps(span: Span, start: float, end: float) -> bool:
    return span.start < end and (span.end is None or span.end > start)
