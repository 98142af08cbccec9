"""Sentences about outages after the recovery. The timeline shows bad samples of these outages, but no measured duration
includes them."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.judge.result import ProbeTrack, RunView, Span
from drillbook.report.figures import one_line, seconds


def later_outages(view: RunView) -> list[str]:
    """Return a sentence for each availability probe that became bad again after the recovery. The measured outage and
    RTO do not include this time."""
    recovered = view.timeline.marks.get("recovered")
    if recovered is None:
        return []
    sentences = []
    for track in view.timeline.probes:
        spans = [span for span in track.stretches if span.label == "bad" and span.start >= recovered]
        if spans and track.kind == "availability":
            sentences.append(_later(track, spans, view))
    return sentences


def _later(track: ProbeTrack, spans: Sequence[Span], view: RunView) -> str:
    last = view.timeline.seconds
    ends = [_end(span, last) for span in spans]
    phases = [
        one_line(phase.label)
        for phase in view.timeline.phases
        if any(phase.start < end and span.start < _end(phase, last) for span, end in zip(spans, ends, strict=True))
    ]
    times = "" if len(spans) == 1 else f" {len(spans)} times"
    when = f", during {' and '.join(phases)}" if phases else ""
    again = " again" if any(span.label == "bad" and span.start < spans[0].start for span in track.stretches) else ""
    until = "the end of the run" if any(span.end is None for span in spans) else f"{seconds(max(ends), 1)} after the start"
    return (
        f"After the recovery, {one_line(track.name)} was bad{again}{times} from {seconds(spans[0].start, 1)} to {until}{when}. "
        "These times are those of the probe's samples. The outage and the RTO do not include this period."
    )


def _end(span: Span, last: float) -> float:
    return last if span.end is None else span.end
