"""The clocks and the loss of a run, measured from what its probes saw. Pure functions of the journal's events.

Every figure is on the controller's monotonic clock and carries its error: how far the truth can lie from it, given
the rate of the probe and the time its samples took. The clocks are defined in docs/clocks.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from drillbook import detection
from drillbook.findings import Finding, finding
from drillbook.journal import Event
from drillbook.plan import Plan
from drillbook.result import ProbeTrack, Span
from drillbook.tracks import CanaryRecord, Sample, canaries, enough_s, probe_tracks, ranges, samples_of

CLOCKS = ("disruption_s", "detection_s", "outage_s", "rto_s", "restore_s", "verified_s", "waiting_s", "rpo_s")


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement in seconds with its error, or the reason why there is none."""

    seconds: float | None
    error: float | None
    reason: str | None = None
    missed: bool = False
    """True when what was waited for did not come: the objective is missed, although there is no time to tell."""


@dataclass(slots=True)
class Figures:
    """Everything that was measured."""

    end: float
    clocks: dict[str, float | None] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    objectives: dict[str, Figure] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    tracks: tuple[ProbeTrack, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    lost_writes: int | None = None
    acknowledged: int | None = None
    lost_numbers: list[tuple[int, int]] = field(default_factory=list)

    def keep(self, clock: str, figure: Figure) -> Figure:
        """Note ``figure`` under ``clock`` with its error, or with the reason why it is missing."""
        self.clocks[clock] = _round(figure.seconds)
        self.clocks[clock.removesuffix("_s") + "_error_s"] = _round(figure.error)
        if figure.seconds is None:
            self.unmeasured[clock] = figure.reason or "not measured"
        return figure


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def session(events: Sequence[Event]) -> list[Event]:
    """Events of the run itself: those of a later recovery tick on another clock."""
    later = next((index for index, event in enumerate(events) if event.kind == "recovery.started"), len(events))
    return list(events[:later])


def figures(events: Sequence[Event], plan: Plan) -> Figures:
    """All figures of a run."""
    own = session(events)
    result = Figures(end=_end(own))
    disruption = _disruption(own, plan)
    if disruption is not None:
        result.marks["disruption"] = disruption
    result.keep("disruption_s", Figure(disruption, 0.0) if disruption is not None
                else Figure(None, None, "nothing was injected"))
    _availability(result, own, disruption)
    _alerts(result, own, plan, disruption)
    _loss(result, [*own, *_read_back_later(events, own)], plan, disruption)
    _phases(result, own, disruption)
    result.tracks = probe_tracks(own)
    for event in own:
        if event.kind == "probe.ended" and event.data["error"]:
            result.findings.append(finding("probe-failed", measured=event.data["error"], step=event.data["probe"]))
    return result


def _end(own: Sequence[Event]) -> float:
    """When the run ended; what is written down after that, such as who was told of it, is no part of it."""
    return next((event.clock for event in own if event.kind == "run.finished"), max(event.clock for event in own))


def _alerts(result: Figures, own: Sequence[Event], plan: Plan, disruption: float | None) -> None:
    """Where an alert is expected, it is what detects: a probe that turned bad before woke nobody."""
    found = None if disruption is None else detection.by_alert(own, plan, disruption)
    if found is None or disruption is None:
        return
    result.unmeasured.pop("detection_s", None)
    result.objectives["detect"] = result.keep("detection_s", Figure(found.seconds, found.error, found.reason, found.missed))
    if found.seconds is not None:
        result.marks["alerted"] = disruption + found.seconds


def _read_back_later(events: Sequence[Event], own: Sequence[Event]) -> list[Event]:
    """What a recovery read back of the canaries, where the run itself died before it could: numbers, no clock."""
    seen = {event.data["probe"] for event in own if event.kind == "canary.survivors"}
    later = [event for event in events[len(own):] if event.kind == "canary.survivors" and event.data["probe"] not in seen]
    return list({event.data["probe"]: event for event in later}.values())


def _disruption(events: Sequence[Event], plan: Plan) -> float | None:
    faults = {step.id for step in plan.steps if step.phase == "inject"}
    return next((event.clock for event in events
                 if event.kind == "intent" and event.step in faults and event.data["effect"] == "fault"), None)


def _phases(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
    spans = {span.label: span for span in phase_spans(events)}
    restore, verify = spans.get("restore"), spans.get("verify")
    result.keep("restore_s", Figure(restore.end - restore.start, 0.0) if restore and restore.end is not None
                else Figure(None, None, "there was no restore phase that ended"))
    if disruption is not None and verify and verify.end is not None:
        result.keep("verified_s", Figure(verify.end - disruption, 0.0))
        result.marks["verified"] = verify.end
    else:
        result.keep("verified_s", Figure(None, None, "there was no verification that ended after a disruption"))
    result.keep("waiting_s", Figure(sum(event.data["seconds"] for event in events if event.kind == "waiting"), 0.0))


def phase_spans(events: Sequence[Event]) -> tuple[Span, ...]:
    """When each phase began and ended."""
    spans: dict[str, Span] = {}
    for event in session(events):
        if event.kind == "phase.started":
            spans[event.data["phase"]] = Span(start=event.clock, end=None, label=event.data["phase"])
        elif event.kind == "phase.ended" and event.data["phase"] in spans:
            spans[event.data["phase"]] = spans[event.data["phase"]].model_copy(update={"end": event.clock})
    return tuple(spans.values())


def _availability(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
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


def _loss(result: Figures, events: Sequence[Event], plan: Plan, disruption: float | None) -> None:
    """RPO: of the canary that lost most."""
    records = canaries(events)
    if not records or disruption is None:
        why = "nothing was injected" if disruption is None else "the drill has no canary"
        result.objectives["rpo"] = result.keep("rpo_s", Figure(None, None, why))
        return
    figures_of = [_rpo(result, record, disruption) for record in records]
    unknown = [figure for figure in figures_of if figure.seconds is None]
    worst = unknown[0] if unknown else max(figures_of, key=lambda figure: figure.seconds or 0.0)
    result.objectives["rpo"] = result.keep("rpo_s", worst)
    if result.lost_writes:
        target = plan.objectives.get("rpo")
        wanted = f"at most {target:g} s of writes" if target is not None else "none"
        result.findings.append(finding("acknowledged-writes-lost", wanted=wanted, measured=(
            f"{result.lost_writes} of {result.acknowledged} acknowledged writes: numbers "
            + ", ".join(f"{first} to {last}" for first, last in result.lost_numbers[:10]))))


def _rpo(result: Figures, record: CanaryRecord, disruption: float) -> Figure:
    if record.survivors is None:
        result.findings.append(finding("probe-failed", step=record.probe, measured=record.error or "never read back"))
        return Figure(None, None, f"the canary could not be read back: {record.error or 'it was never read back'}")
    before = [write for write in record.acknowledged if write.acknowledged <= disruption]
    if not before:
        return Figure(None, None, "no write was acknowledged before the disruption")
    lost = [write for write in record.acknowledged if write.number not in record.survivors]
    result.lost_writes = (result.lost_writes or 0) + len(lost)
    result.lost_numbers += ranges(write.number for write in lost)
    lost_before = [write for write in lost if write.acknowledged <= disruption]
    result.acknowledged = (result.acknowledged or 0) + len(before) + len(lost) - len(lost_before)
    result.marks["last_acknowledged"] = max(before[-1].acknowledged, result.marks.get("last_acknowledged", 0.0))
    blind = disruption - before[-1].sent  # nothing is known of the time between the last write and the disruption
    if not lost:
        return Figure(0.0, max(record.every, blind))
    end = max(before[-1], lost[-1], key=lambda write: write.acknowledged) if lost_before else lost[-1]
    kept = [write for write in record.acknowledged if write.number < lost[0].number]
    newest = max((w.number for w in before if w.number in record.survivors), default=0)
    if holes := [write for write in lost if write.number < newest]:
        result.findings.append(finding("hole-in-survivors", step=record.probe, wanted=f"every write up to {newest}",
                                       measured=f"{len(holes)} missing, the first is {holes[0].number}"))
    if not kept:
        least = end.acknowledged - record.acknowledged[0].sent
        return Figure(None, None, f"the recovery point is older than the canary: at least {least:.3f} s were lost")
    result.marks["recovery_point"] = kept[-1].acknowledged
    error = max(lost[0].acknowledged - kept[-1].sent, blind)
    return Figure(end.acknowledged - kept[-1].acknowledged, error)
