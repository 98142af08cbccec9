"""RTO, outage and detection, measured from what the probes of a run saw. Pure functions of the journal's events.

Every figure carries its error: how far the truth can lie from it. The clocks are defined in docs/clocks.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from drillbook.events.event import Event, contents, each
from drillbook.events.probes import ProbeEnded, ProbeStarted, SettleEnded
from drillbook.events.runs import PhaseEnded, RunEndedEarly, RunFinished
from drillbook.events.steps import IntentRecorded, StepStarted, Undone, UndoStarted
from drillbook.findings import Finding, finding
from drillbook.judge.figures import Figure, Figures, phase_spans, session
from drillbook.judge.samples import Sample, Stalls, canaries, enough_s, hole_s, samples_of, silent_s, unheard_of


def availability(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
    """RTO, outage and detection: of the probe that recovered last, a canary too where it was refused."""
    probes = samples_of(events)
    why = "nothing was injected" if disruption is None else "the drill has no availability probe" if not probes else None
    looks = _looks(events, result.end)
    result.findings += _stalled(events, looks)
    lasting = [] if disruption is None else _refused(result, events, disruption, looks)
    if disruption is None or why:
        _none(result, why or "")
        return
    never = [key for key, samples in probes.items() if not any(s.ok and s.end <= disruption for s in samples)]
    if never:
        result.findings.append(finding("probe-never-good", step=never[0]))
        _none(result, f"{never[0]} was never good before the disruption")
        return
    if _cut_off(events) and all(s.ok or s.end < disruption for samples in probes.values() for s in samples):
        _none(result, "no bad sample was recorded before the controller died, with what its probes saw last")
        return
    if silent := [key for key, samples in probes.items() if looks[key].silent(samples, disruption)]:
        result.findings.append(finding("probe-failed", step=silent[0], measured="it took no samples after the disruption"))
        _none(result, f"{silent[0]} took no samples after the disruption")
        return
    seen = [looks[key].outage(samples, disruption) for key, samples in probes.items()]
    bad = [outage for outage in seen if outage is not None]
    if all(outage.recovered for outage in bad):
        result.findings += _relapsed([looks[key].left_bad(samples) for key, samples in probes.items()], events)
    if not bad:
        _unseen(result, probes, disruption, looks)
        return
    _measured(result, bad, lasting, disruption, events)


def _measured(
    result: Figures, bad: Sequence[_Outage], lasting: Sequence[_Outage], disruption: float, events: Sequence[Event]
) -> None:
    """The figures of outages that availability probes saw, as long as those that canaries saw last."""
    both = [*bad, *lasting]
    open_ended = [outage for outage in both if outage.left_bad]
    result.findings += [_not_recovered(outage, events) for outage in bad if outage.left_bad][:1]
    if earlier := [outage for outage in both if outage.earlier]:
        result.findings.append(
            finding(
                "probe-bad-before",
                step=earlier[0].probe,
                measured=earlier[0].earlier,
                wanted="good when the fault was injected",
            )
        )
        _none(result, f"{earlier[0].probe} was bad already before the fault")
        return
    first_bad = min(outage.first_bad for outage in bad)
    result.marks["first_bad"] = first_bad.start
    result.objectives["detect"] = result.keep(
        "detection_s",
        Figure(first_bad.end - disruption, first_bad.end - max(first_bad.before, disruption)),
        (disruption, first_bad.end),
    )
    why = _open_end(events) if open_ended else ""
    if blind := [outage for outage in both if outage.blind and not open_ended]:
        why = f"{blind[0].probe} {blind[0].blind}"
        result.findings.append(finding("probe-failed", step=blind[0].probe, measured=blind[0].blind))
    if why:
        result.keep("outage_s", Figure(None, None, why))
        result.objectives["rto"] = result.keep("rto_s", Figure(None, None, why))
        return
    last = max(both, key=lambda outage: outage.recovered.end if outage.recovered else 0.0)
    assert last.recovered is not None  # noqa: S101  open-ended outages were handled above
    error = last.recovered.end - last.last_bad.start
    result.marks["recovered"] = last.recovered.end
    span = (min(disruption, first_bad.before), last.recovered.end)
    result.objectives["rto"] = result.keep("rto_s", Figure(last.recovered.end - disruption, error), span)
    result.keep("outage_s", Figure(last.recovered.end - first_bad.start, error + first_bad.start - first_bad.before), span)


def _refused(result: Figures, events: Sequence[Event], disruption: float, looks: Mapping[str, _Look]) -> list[_Outage]:
    """What canaries that had been acknowledged saw of the outage; a finding for one that was not again by the end.

    Nothing where no verification ended: nobody has then waited for them.
    """
    if _verification(events) is None:
        return []
    found = []
    for record in canaries(events):
        samples = record.samples
        if not any(write.acknowledged <= disruption for write in record.acknowledged):
            continue
        if looks[record.probe].silent(samples, disruption):
            result.findings.append(
                finding(
                    "probe-failed", step=record.probe, measured="it wrote nothing after the disruption, or not until the end"
                )
            )
        elif outage := looks[record.probe].outage(samples, disruption):
            found.append(outage)
    result.findings += [_not_recovered(outage, events) for outage in found if outage.left_bad][:1]
    return found


def _stalled(events: Sequence[Event], looks: Mapping[str, _Look]) -> list[Finding]:
    """A finding when samples say nothing, since the controller itself stood still."""
    missed = {key: len(look.unheard) for key, look in looks.items() if look.unheard}
    if not missed:
        return []
    counts = ", ".join(f"{key}: {count} sample{'s' if count > 1 else ''}" for key, count in missed.items())
    longest = max(last - first for first, last in Stalls.of(events).spans)
    return [
        finding(
            "controller-stalled",
            wanted="a controller that listens all the time",
            measured=f"not measured: {counts}; it stood still for up to {longest:.3f} s",
        )
    ]


def _not_recovered(outage: _Outage, events: Sequence[Event]) -> Finding:
    last, back = outage.last_bad, _put_back(events)
    measured = f"the last bad sample began at {last.start:.3f} s" + (f": {last.why}" if last.why else "")
    if _verification(events) is None and (early := _settling(events)):
        return _not_good_again(early, outage.probe, measured)
    remedy = (
        ""
        if back is None
        else (
            f"What the drill broke was put back at {back:.3f} s, too late to count: look whether the service is good now, then "
            "find out why no restore had brought it back before."
        )
    )
    return finding(
        "not-recovered",
        step=outage.probe,
        remedy=remedy,
        wanted="good without a break before the verification ended",
        measured=measured,
    )


def _not_good_again(settling: SettleEnded, probe: str | None, measured: str) -> Finding:
    """A finding for a service that was not good at the end of a run: what was broken had been put back before.

    It failed to recover where it was waited for in vain. Where nobody waited, nobody knows.
    """
    wanted = "good again once what the drill broke, or interrupted, was put back"
    if settling.interrupted:
        return finding("recovery-not-awaited", step=probe, wanted=wanted, measured=measured)
    one = finding(
        "not-recovered",
        step=probe,
        wanted=wanted,
        measured=f"{measured}; it was waited for {settling.seconds:.3f} s",
        remedy="Bring the service back by hand now; then find out why it did not "
        "come back when what the drill broke was put back.",
    )
    return one.model_copy(update={"title": "The service was not good again by the end of the run"})


def _settling(events: Sequence[Event]) -> SettleEnded | None:
    """Outcome of the wait at the end of the run; a run that ended early and put everything back without one did not wait.

    ``None``: nothing tells, as when something could not be put back.
    """
    early = next((event.seq for event, _ in each(events, RunEndedEarly)), None)
    waits = [what for event, what in each(events, SettleEnded) if event.seq > (early or 0)]
    if waits:
        return waits[-1]
    clean = any(not what.residue for what in contents(events, RunFinished))
    put_back = clean and early is not None and _put_back(events) is not None
    return SettleEnded(after="early end", good=False, interrupted=True, seconds=0.0) if put_back else None


def _open_end(events: Sequence[Event]) -> str:
    """Why an outage has no end."""
    if _verification(events) is not None:
        return "the service was not back for good by the end of the verification"
    return "the service was not back for good by the end of the run"


def _cut_off(events: Sequence[Event]) -> bool:
    """Did the controller die? What its probes had seen and not yet written is then lost."""
    return not any(isinstance(event.what, RunFinished) for event in events)


def _put_back(events: Sequence[Event]) -> float | None:
    """When the run itself had put back every fault, by its undo; None where it has not."""
    faults = {event.seq for event, what in each(events, IntentRecorded) if what.effect == "fault"}
    undone = {what.intent: event.clock for event, what in each(events, Undone)}
    return max(undone[seq] for seq in faults) if faults and faults <= undone.keys() else None


def _none(result: Figures, why: str) -> None:
    for clock, key in (("rto_s", "rto"), ("detection_s", "detect"), ("outage_s", "")):
        result.objectives[key] = result.keep(clock, Figure(None, None, why))


def _limit(events: Sequence[Event], end: float) -> float:
    """Until when a recovery counts: the end of the verification; without one that of the probes, or of the run."""
    verified = _verification(events)
    if verified is not None:
        return verified
    looking = {what.probe for what in contents(events, ProbeStarted) if what.kind == "availability"}
    ended = {what.probe: event.clock for event, what in each(events, ProbeEnded)}
    return max(ended[probe] for probe in looking) if looking and looking <= ended.keys() else end


def _verification(events: Sequence[Event]) -> float | None:
    """When the verification ended; None where there was none, or one that was interrupted."""
    verify = next((span for span in phase_spans(events) if span.label == "verify"), None)
    status = [what.status for what in contents(events, PhaseEnded) if what.phase == "verify"]
    return verify.end if verify and status[-1:] != ["interrupted"] else None


def _cleaned(events: Sequence[Event]) -> float:
    """When the cleanup, or an undo after a verification that went well, began to change something.

    An interruption from then on is the drill's own.
    """
    verified = False
    for event in session(events):
        match event.what:
            case PhaseEnded(phase="verify", status=status):
                verified = status == "done"
            case UndoStarted() if verified:
                return event.clock
            case StepStarted(phase="cleanup", effect=effect) if effect != "read":
                return event.clock
    return math.inf


def _looks(events: Sequence[Event], end: float) -> dict[str, _Look]:
    limit, cleaned = _limit(events, end), _cleaned(events)
    missed = unheard_of(events) | {record.probe: list(record.unheard) for record in canaries(events)}
    return {
        what.probe: _Look(what.probe, what.every_s, what.timeout_s, limit, cleaned, missed[what.probe])
        for what in contents(events, ProbeStarted)
    }


def _relapsed(left: Sequence[Sample | None], events: Sequence[Event]) -> list[Finding]:
    """A finding when a service that was good before the cleanup or the undo was not after it."""
    if (waited := _settling(events)) and waited.interrupted:
        return [_not_good_again(waited, None, f"the last bad sample began at {one.start:.3f} s") for one in left if one][:1]
    return [
        finding(
            "not-recovered",
            wanted="good again after the drill's own cleanup and undo",
            measured=f"the last bad sample began at {one.start:.3f} s",
        )
        for one in left
        if one
    ][:1]


def _unseen(result: Figures, probes: dict[str, list[Sample]], disruption: float, looks: Mapping[str, _Look]) -> None:
    """The fault was there and every sample was good: an outage can only have been shorter than the probe's grid."""
    limit = max(look.limit for look in looks.values())
    grid = max(
        b.end - a.start
        for samples in probes.values()
        for a, b in pairwise(samples)
        if b.end >= disruption and a.start <= limit
    )
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
    probe: str
    first_bad: _Bad
    last_bad: Sample
    recovered: Sample | None
    earlier: str
    """What shows that it was bad already before the disruption; empty when it was good."""
    blind: str
    """Why it cannot be told when, or if, it was good again for long enough; empty when it can."""

    @property
    def left_bad(self) -> bool:
        """Was it seen not to be good again for long enough by the end of the verification?"""
        return self.recovered is None and not self.blind


@dataclass(frozen=True, slots=True)
class _Look:
    """How one probe looks: every so often, and until when what it sees counts. Seconds on the run's clock."""

    probe: str
    every: float
    timeout: float
    limit: float
    """The end of the verification."""
    cleaned: float
    """From then on interruptions are the drill's own."""
    unheard: Sequence[Sample]
    """Samples that say nothing, since the controller itself stood still."""

    @property
    def enough(self) -> float:
        """How long good samples must last; the runner waits for an interval more."""
        return enough_s(self.every) - self.every

    def silent(self, samples: Sequence[Sample], disruption: float) -> bool:
        """Did it stop sampling long before the end, so that it says nothing of what came then?"""
        after = [sample.end for sample in samples if sample.end >= disruption]
        return not after or self.limit - max(after) > enough_s(self.every) + 2.0

    def left_bad(self, samples: Sequence[Sample]) -> Sample | None:
        """The last bad sample since the cleanup or the undo, unless good ones followed for long enough."""
        bad = [sample for sample in samples if not sample.ok and sample.end >= self.cleaned]
        if not bad:
            return None
        last = max(bad, key=lambda sample: sample.start)
        good = [sample for sample in samples if sample.ok and sample.start > last.start]
        lasted = max((sample.end for sample in good), default=0.0) - min((sample.start for sample in good), default=0.0)
        return last if lasted < self.enough else None

    def outage(self, all_of_it: Sequence[Sample], disruption: float) -> _Outage | None:
        """The outage after ``disruption``: a sample under way at that moment already counts when it ends bad.

        The recovery is the first good sample after the last bad one, when it ends before the limit and the good ones
        last. Samples say what was before the cleanup or the undo; one that was under way then says it when it is good.
        """
        samples = [one for one in all_of_it if one.end < self.cleaned or (one.ok and one.start < self.cleaned)]
        bad = [sample for sample in samples if not sample.ok and sample.end >= disruption]
        if not bad:
            return None
        first, last = min(bad, key=lambda s: s.end), max(bad, key=lambda s: s.start)
        good = [sample for sample in samples if sample.ok and sample.start > last.start]
        recovered, blind = min(good, key=lambda s: s.end, default=None), ""
        if recovered is None or recovered.end > self.limit or max(s.end for s in good) - recovered.start < self.enough:
            recovered, blind = None, self._unwatched(last)
        else:
            again = self._after_holes(good)
            if again.end > self.limit:
                hole = max(sample.end for sample in good if sample.start < again.start)
                blind = f"took no samples from {hole:.3f} s to {again.start:.3f} s"
            recovered = again
        start = max(first.start, disruption)
        before = max((s.start for s in samples if s.ok and s.start < first.start), default=disruption)
        return _Outage(
            self.probe,
            _Bad(start, first.end, min(before, start)),
            last,
            recovered,
            self._earlier(samples, first, disruption),
            blind,
        )

    def _after_holes(self, good: Sequence[Sample]) -> Sample:
        """The first good sample behind every hole that was too long for what had been seen until then.

        Nothing is known of a hole: the service may have been bad in it.
        """
        begin = good[0]
        for one, following in pairwise(good):
            hole = min(following.start, self.limit) - one.start
            lasted = one.end - begin.start >= self.enough
            if hole > (silent_s if lasted else hole_s)(self.every, self.timeout):
                begin = following
        return min((one for one in good if one.start >= begin.start), key=lambda one: one.end)

    def _unwatched(self, last: Sample) -> str:
        """Why nothing shows that it stayed bad after its last bad sample; empty when it was watched."""
        missed = [one for one in self.unheard if last.start < one.start < self.limit]
        return f"was not measured from {missed[0].start:.3f} s on: the controller itself stood still" if missed else ""

    def _earlier(self, samples: Sequence[Sample], first: Sample, disruption: float) -> str:
        """Why the outage is not the fault's: there was no good sample between what was bad before it and ``first``."""
        good = max((s for s in samples if s.ok and s.start < first.start), key=lambda s: s.start, default=None)
        bad = [s for s in samples if not s.ok and s.end < disruption and (good is None or s.start > good.start)]
        if bad:
            why = f": {bad[0].why}" if bad[0].why else ""
            return f"bad from {bad[0].start:.3f} s on, {disruption - bad[0].start:.3f} s before the fault{why}"
        if good is not None and disruption - good.end > hole_s(self.every, self.timeout):
            return f"it took no sample in the last {disruption - good.end:.3f} s before the fault"
        return ""
