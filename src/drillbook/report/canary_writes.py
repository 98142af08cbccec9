"""Texts with the numbers of a probe's samples. For a canary, they tell how many writes there were, and how many of them belong to
each group.

There are four groups: acknowledged writes that count for the RPO, later acknowledged writes, writes that were not acknowledged,
and writes that were not measured.
"""

from __future__ import annotations

import re

from drillbook.judge.result import ProbeTrack, Result, RunView, Span
from drillbook.language.lists import ranged
from drillbook.report.figures import count, seconds

MOST_RANGES, NUMBERS = 10, " acknowledged writes: numbers "
"""Ranges of lost writes in a finding. ``MOST_RANGES``: largest number of ranges that a finding names. ``NUMBERS``: words before
the ranges.
"""
_WRITES, _OWN_WRITES = "acknowledged writes", "acknowledged test writes of the drill"
"""Words of a finding for lost writes, and those of reports. A reader must not take them for the writes of users."""
_RANGE = re.compile(r"\b(\d+) to (\d+)\b")
COUNTED = " (the RPO counts these)"
"""Words after the number of the acknowledged writes that count for the RPO."""
UNTIL_DEATH = " until the controller died"


def notes(view: RunView, track: ProbeTrack) -> list[str]:
    """Return texts with the numbers of the samples of ``track``, the longest first."""
    if track.error:
        return ["probe failed: not verified"]
    if track.kind != "canary":
        return [f"{count(track.samples, 'sample')}, {track.bad} bad, {track.late} late"]
    text = parts(view, track)
    short = f"{_all(view, track).removesuffix(UNTIL_DEATH)}, {track.bad} not acknowledged"
    return [text, text.replace(COUNTED, ""), short]


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
        return f"{_all(view, track)}, {rest}"
    return f"{_all(view, track)}: {counted} acknowledged {_until(view, track)}{COUNTED}, {later} later, {rest}"


def _all(view: RunView, track: ProbeTrack) -> str:
    """Return the number of all writes. A controller that died sent some writes that it did not record yet, and that a recovery may
    read back, so the text says of which writes it tells.
    """
    told = count(track.samples, "write")
    return told if view.finished else f"{told} recorded{UNTIL_DEATH}"


def own(number: int) -> str:
    """Return the number of the acknowledged writes of canaries in words which say that the drill made them."""
    return f"{count(number, 'acknowledged test write')} of the drill"


def lost(measured: str, result: Result) -> str:
    """Return the measured value of a finding about lost writes, as reports show it.

    A range of numbers goes on over numbers that the canary never sent, because it was late, and their count is named. If
    ranges are left out, the text tells how many, and where they are listed. ``measured``: value that the finding recorded.
    """
    objective = result.objectives.get("rpo")
    begin, words, _ = measured.partition(NUMBERS)
    spans = objective.lost_spans if objective else None
    if not words or not spans or objective is None:
        text = f"{_RANGE.sub(_range, measured)}{_more_ranges(measured, result)}"
        return text.replace(_WRITES, _OWN_WRITES, 1)
    shown, left = spans[:MOST_RANGES], len(spans) - MOST_RANGES
    more = f" and {count(left, 'more range')}, in result.json under objectives.rpo.lost_numbers" if left > 0 else ""
    never = sum(last - first + 1 for first, last in spans) - (objective.lost_writes or 0)
    where = f"in {'this range' if len(spans) == 1 else 'these ranges'} {'was' if never == 1 else 'were'}"
    late = f"; {count(never, 'number')} {where} never sent, because the canary was late" if never > 0 else ""
    listed = ", ".join(ranged(first, last) for first, last in shown)
    return f"{begin}{words.replace(_WRITES, _OWN_WRITES)}{listed}{more}{late}"


def _range(match: re.Match[str]) -> str:
    """Return the text of a range. A range of one number is this number."""
    return match[1] if match[1] == match[2] else match[0]


def _more_ranges(measured: str, result: Result) -> str:
    """Return a text that tells how many ranges of lost writes the finding leaves out, and where they are listed. The
    result is empty when no range is left out.
    """
    objective, told = result.objectives.get("rpo"), len(_RANGE.findall(measured))
    known = objective.lost_numbers if objective else None
    left = len(known) - told if known is not None else 0
    if told < MOST_RANGES or (known is not None and left <= 0):
        return ""
    if known is None:
        return f", and perhaps more: the finding names at most {MOST_RANGES} ranges"
    return f" and {count(left, 'more range')}, in result.json under objectives.rpo.lost_numbers"


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
