"""RTO, outage and detection, measured from what the probes of a run saw. Pure functions of the journal's events.

Every figure carries its error: how far the truth can lie from it. The clocks are defined in docs/clocks.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drillbook.figures import Figure, Figures, phase_spans, session
from drillbook.findings import Finding, finding
from drillbook.journal import Event
from drillbook.tracks import Sample, enough_s, samples_of


def availability(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
    """RTO, outage and detection: of the probe that recovered last."""
    probes = samples_of(events)
    why = "nothing was injected" if disruption is None else "the drill has no availability probe" if not probes else None
    if disruption is None or why:
        _none(result, why or "")
        return
    limit = _limit(events, result.end)
    every = {event.data["probe"]: float(event.data["every_s"]) for event in events if event.kind == "probe.started"}
    cleaned = _cleaned(events)
    seen = [_outage(_until(samples, cleaned), disruption, limit, every[key]) for key, samples in probes.items()]
    never = [key for key, samples in probes.items() if not any(s.ok and s.end <= disruption for s in samples)]
    if never:
        result.findings.append(finding("probe-never-good", step=never[0]))
        _none(result, f"{never[0]} was never good before the disruption")
        return
    if silent := [key for key, samples in probes.items() if _silent(samples, disruption, limit, every[key])]:
        result.findings.append(finding("probe-failed", step=silent[0], measured="it took no samples after the disruption"))
        _none(result, f"{silent[0]} took no samples after the disruption")
        return
    bad = [outage for outage in seen if outage is not None]
    if all(outage.recovered for outage in bad):
        result.findings += _relapsed([_left_bad(samples, cleaned, every[key]) for key, samples in probes.items()])
    if not bad:
        _unseen(result, probes, disruption, limit)
        return
    first_bad = min(outage.first_bad for outage in bad)
    result.marks["first_bad"] = first_bad.start
    result.objectives["detect"] = result.keep("detection_s", Figure(
        first_bad.end - disruption, first_bad.end - max(first_bad.before, disruption)))
    if (open_ended := [outage for outage in bad if outage.recovered is None]):
        result.findings.append(finding("not-recovered", wanted="good without a break before the verification ended",
                                       measured=f"the last bad sample began at {open_ended[0].last_bad.start:.3f} s"))
        why = "the service was not back for good by the end of the verification"
        for clock in ("rto_s", "outage_s"):
            figure = result.keep(clock, Figure(None, None, why))
        result.objectives["rto"] = figure
        return
    last = max(bad, key=lambda outage: outage.recovered.end if outage.recovered else 0.0)
    assert last.recovered is not None  # noqa: S101  open-ended outages were handled above
    error = last.recovered.end - last.last_bad.start
    result.marks["recovered"] = last.recovered.end
    result.objectives["rto"] = result.keep("rto_s", Figure(last.recovered.end - disruption, error))
    result.keep("outage_s", Figure(last.recovered.end - first_bad.start, error + first_bad.start - first_bad.before))


def _none(result: Figures, why: str) -> None:
    for clock, key in (("rto_s", "rto"), ("detection_s", "detect"), ("outage_s", "")):
        result.objectives[key] = result.keep(clock, Figure(None, None, why))


def _limit(events: Sequence[Event], end: float) -> float:
    """Until when a recovery counts: the end of the verify phase, or of the run where there was none."""
    verify = next((span for span in phase_spans(events) if span.label == "verify"), None)
    return verify.end if verify and verify.end is not None else end


def _cleaned(events: Sequence[Event]) -> float:
    """When the cleanup, or an undo after a verification that went well, began to change something.

    An interruption from then on is the drill's own.
    """
    verified = False
    for event in session(events):
        if event.kind == "phase.ended" and event.data["phase"] == "verify":
            verified = event.data["status"] == "done"
        if event.kind == "undo" and verified:
            return event.clock
        if event.kind == "step.started" and event.data["phase"] == "cleanup" and event.data["effect"] != "read":
            return event.clock
    return math.inf


def _until(samples: Sequence[Sample], cleaned: float) -> list[Sample]:
    """Samples that say what was before the cleanup or the undo; one that was under way then says it when it is good."""
    return [sample for sample in samples if sample.end < cleaned or (sample.ok and sample.start < cleaned)]


def _left_bad(samples: Sequence[Sample], cleaned: float, every: float) -> Sample | None:
    """The last bad sample since the cleanup or the undo, unless good ones followed for long enough."""
    bad = [sample for sample in samples if not sample.ok and sample.end >= cleaned]
    if not bad:
        return None
    last = max(bad, key=lambda sample: sample.start)
    good = [sample for sample in samples if sample.ok and sample.start > last.start]
    lasted = max((sample.end for sample in good), default=0.0) - min((sample.start for sample in good), default=0.0)
    return last if lasted < enough_s(every) - every else None


def _relapsed(left: Sequence[Sample | None]) -> list[Finding]:
    """A finding when a service that was good before the cleanup or the undo was not after it."""
    return [finding("not-recovered", wanted="good again after the drill's own cleanup and undo",
                    measured=f"the last bad sample began at {one.start:.3f} s") for one in left if one][:1]


def _silent(samples: Sequence[Sample], disruption: float, limit: float, every: float) -> bool:
    """Did a probe stop sampling long before the end, so that it says nothing of what came then?"""
    after = [sample.end for sample in samples if sample.end >= disruption]
    return not after or limit - max(after) > enough_s(every) + 2.0


def _unseen(result: Figures, probes: dict[str, list[Sample]], disruption: float, limit: float) -> None:
    """The fault was there and every sample was good: an outage can only have been shorter than the probe's grid."""
    grid = max(b.end - a.start for samples in probes.values()
               for a, b in pairwise(samples) if b.end >= disruption and a.start <= limit)
    result.findings.append(finding("no-outage-seen", measured=f"no bad sample; an outage up to {grid:.3f} s goes unseen"))
    _none(result, "no probe saw the fault, so none can tell when it was over")


@dataclass(frozen=True, slots=True, order=True)
class _Bad:
    """A bad sample, and when the last good one before it began."""

    start: float
    end: float
    before: float


@dataclass(frozen=True, slots=True)
class _Outage:
    first_bad: _Bad
    last_bad: Sample
    recovered: Sample | None


def _outage(samples: Sequence[Sample], disruption: float, limit: float, every: float) -> _Outage | None:
    """The outage after ``disruption``: a sample under way at that moment already counts when it ends bad.

    The recovery is the first good sample after the last bad one, when it ends before ``limit`` and the good ones last.
    """
    bad = [sample for sample in samples if not sample.ok and sample.end >= disruption]
    if not bad:
        return None
    first, last = min(bad, key=lambda s: s.end), max(bad, key=lambda s: s.start)
    before = max((s.start for s in samples if s.ok and s.start < first.start), default=disruption)
    good = [sample for sample in samples if sample.ok and sample.start > last.start]
    start = max(first.start, disruption)
    recovered = min(good, key=lambda s: s.end, default=None)
    lasted = max((s.end for s in good), default=0.0) - (recovered.start if recovered else 0.0)
    if recovered and (recovered.end > limit or lasted < enough_s(every) - every):
        recovered = None
    return _Outage(_Bad(start, first.end, min(before, start)), last, recovered)
