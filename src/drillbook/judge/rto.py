"""RTO, outage and detection, measured by the probes of a run and computed only from its events.

Every figure has an error: the largest possible difference from the true value. docs/clocks.md defines the clocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from drillbook.events.event import Event, contents, each
from drillbook.events.probes import ProbeEnded, ProbeStarted, SettleEnded
from drillbook.events.runs import PhaseEnded, RunEndedEarly, RunFinished
from drillbook.events.steps import IntentRecorded, StepStarted, Undone, UndoStarted
from drillbook.findings import Finding, finding
from drillbook.judge.figures import Figure, Figures, phase_spans, session
from drillbook.judge.outage import Look, Outage
from drillbook.judge.samples import Sample, Stalls, canaries, samples_of, unheard_of

NEVER_FOR_GOOD = "the service had not recovered for good by the end of the run"
"""Reason why a run without a verification has no RTO."""


def availability(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
    """Measure RTO, outage and detection.

    The RTO and the outage end when the last of the availability probes has recovered. If writes of a canary failed for
    longer, both end when these writes succeed again.
    """
    probes = samples_of(events)
    why = "no fault was injected" if disruption is None else "the drill has no availability probe" if not probes else None
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
        _none(result, "no bad sample was recorded before the controller died; the newest samples of its probes are lost")
        return
    if silent := [key for key, samples in probes.items() if looks[key].silent(samples, disruption)]:
        result.findings.append(
            finding("probe-failed", step=silent[0], measured="the probe took no samples after the disruption")
        )
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
    result: Figures, bad: Sequence[Outage], lasting: Sequence[Outage], disruption: float, events: Sequence[Event]
) -> None:
    """Store RTO, outage and detection in ``result``. ``bad``: outages of availability probes. ``lasting``: of canaries."""
    both = [*bad, *lasting]
    open_ended = [outage for outage in both if outage.left_bad]
    result.findings += [_not_recovered(outage, events) for outage in bad if outage.left_bad][:1]
    if earlier := [outage for outage in both if outage.earlier]:
        result.findings.append(
            finding(
                "probe-bad-before",
                step=earlier[0].probe,
                measured=earlier[0].earlier,
                wanted="a good probe when the fault was injected",
            )
        )
        _none(result, f"{earlier[0].probe} was already bad before the fault")
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


def _refused(result: Figures, events: Sequence[Event], disruption: float, looks: Mapping[str, Look]) -> list[Outage]:
    """Return the outages that canaries measured. Only canaries that had worked before the fault are considered. Add a
    finding about the first canary that did not recover.

    The result is empty if the run finished no verification, because such a run did not wait for the canaries to recover.
    """
    if _verification(events) is None:
        return []
    outages = []
    for record in canaries(events):
        samples = record.samples
        if not any(write.acknowledged <= disruption for write in record.acknowledged):
            continue
        if looks[record.probe].silent(samples, disruption):
            result.findings.append(
                finding(
                    "probe-failed",
                    step=record.probe,
                    measured="the canary wrote nothing after the disruption, or stopped before the end",
                )
            )
        elif outage := looks[record.probe].outage(samples, disruption):
            outages.append(outage)
    result.findings += [_not_recovered(outage, events) for outage in outages if outage.left_bad][:1]
    return outages


def _stalled(events: Sequence[Event], looks: Mapping[str, Look]) -> list[Finding]:
    """Make a finding about samples that a stalled controller missed.

    Return the finding in a list. The list is empty when no sample was missed.
    """
    missed = {key: len(look.unheard) for key, look in looks.items() if look.unheard}
    if not missed:
        return []
    counts = ", ".join(f"{key}: {count} sample{'s' if count > 1 else ''}" for key, count in missed.items())
    longest = max(last - first for first, last in Stalls.of(events).spans)
    return [
        finding(
            "controller-stalled",
            wanted="a controller that never stalls",
            measured=f"not measured: {counts}; the controller stalled for up to {longest:.3f} s",
        )
    ]


def _not_recovered(outage: Outage, events: Sequence[Event]) -> Finding:
    last, back = outage.last_bad, _put_back(events)
    measured = f"the last bad sample began at {last.start:.3f} s" + (f": {last.why}" if last.why else "")
    if _verification(events) is None and (early := _settling(events)):
        return _not_good_again(early, outage.probe, measured)
    remedy = "" if back is None else _after_undo(back, last, _verification(events))
    return finding(
        "not-recovered",
        step=outage.probe,
        remedy=remedy,
        wanted="good without a break before the verification ended",
        measured=measured,
    )


def _after_undo(back: float, last: Sample, verified: float | None) -> str:
    """Return the remedy for a service that did not recover in time, although the run undid all its faults.

    ``back``: time of the last undo. ``last``: the last bad sample. ``verified``: time at which the verification ended.
    """
    if verified is None or back > verified:
        after = f", after the end of the verification at {verified:.3f} s" if verified is not None else ""
        return (
            f"The faults were undone at {back:.3f} s{after}. This is too late to count as recovery. Check if the service is good "
            "now. Then find out why no restore had recovered the service before the faults were undone."
        )
    if last.end > back:
        return (
            f"The faults were undone at {back:.3f} s, but the service was still bad after that. Check if the service is good "
            "now. Then find out why the service did not recover at once when the faults were undone."
        )
    return (
        f"The faults were undone at {back:.3f} s, and no sample after that was bad. But the verification ended at "
        f"{verified:.3f} s, which is too soon after the last bad sample to prove a recovery. Check if the service is good now, "
        "and make the verification longer."
    )


def _not_good_again(settling: SettleEnded, probe: str | None, measured: str) -> Finding:
    """Make a finding for a service that was not good at the end of a run that undid its faults.

    If the run waited until its limit, the service did not recover. If the run did not wait, the state of the service is
    unknown.
    """
    wanted = "good again after the drill had undone its faults"
    if settling.interrupted:
        return finding("recovery-not-awaited", step=probe, wanted=wanted, measured=measured)
    not_recovered = finding(
        "not-recovered",
        step=probe,
        wanted=wanted,
        measured=f"{measured}; the run waited {settling.seconds:.3f} s for a good service",
        remedy="Recover the service by hand now. Then find out why it did not recover when the faults were undone.",
    )
    return not_recovered.model_copy(update={"title": "The service was not good again by the end of the run"})


def _settling(events: Sequence[Event]) -> SettleEnded | None:
    """Return the outcome of the run's last wait for the service to become good again, or None if the run did not wait.

    A run that ended early may undo all its faults without waiting. In this case, the result is the outcome of an
    interrupted wait.
    """
    early = next((event.seq for event, _ in each(events, RunEndedEarly)), None)
    waits = [what for event, what in each(events, SettleEnded) if event.seq > (early or 0)]
    if waits:
        return waits[-1]
    clean = any(not what.residue for what in contents(events, RunFinished))
    put_back = clean and early is not None and _put_back(events) is not None
    return SettleEnded(after="early end", good=False, interrupted=True, seconds=0.0) if put_back else None


def _open_end(events: Sequence[Event]) -> str:
    """Return the reason why an outage has no measured end."""
    if _verification(events) is not None:
        return "the service had not recovered for good by the end of the verification"
    return NEVER_FOR_GOOD


def _cut_off(events: Sequence[Event]) -> bool:
    """Return True when the controller died before the end of the run.

    The samples that its probes had not yet written are then lost.
    """
    return not any(isinstance(event.what, RunFinished) for event in events)


def _put_back(events: Sequence[Event]) -> float | None:
    """Return the time at which the run had undone the last of its faults. Returns None when a fault was not undone, or when
    there was no fault.
    """
    faults = {event.seq for event, what in each(events, IntentRecorded) if what.effect == "fault"}
    undone = {what.intent: event.clock for event, what in each(events, Undone)}
    return max(undone[seq] for seq in faults) if faults and faults <= undone.keys() else None


def _none(result: Figures, why: str) -> None:
    for clock, key in (("rto_s", "rto"), ("detection_s", "detect"), ("outage_s", "")):
        result.objectives[key] = result.keep(clock, Figure(None, None, why))


def _limit(events: Sequence[Event], end: float) -> float:
    """Return the time until which a recovery counts.

    This is the end of the verification. If there was no verification, it is the end of the last availability probe. If not
    even this end is recorded, it is the end of the run.
    """
    verified = _verification(events)
    if verified is not None:
        return verified
    looking = {what.probe for what in contents(events, ProbeStarted) if what.kind == "availability"}
    ended = {what.probe: event.clock for event, what in each(events, ProbeEnded)}
    return max(ended[probe] for probe in looking) if looking and looking <= ended.keys() else end


def _verification(events: Sequence[Event]) -> float | None:
    """Return the time at which the verification ended. Returns None when there was no verification, or when it was
    interrupted.
    """
    verify = next((span for span in phase_spans(events) if span.label == "verify"), None)
    status = [what.status for what in contents(events, PhaseEnded) if what.phase == "verify"]
    return verify.end if verify and status[-1:] != ["interrupted"] else None


def _cleaned(events: Sequence[Event]) -> float:
    """Return the time at which the cleanup, or an undo after a successful verification, began to change something.

    From this time on, the drill itself may interrupt the service. The time is infinite when nothing was changed.
    """
    verified = False
    for event in session(events).of((PhaseEnded, UndoStarted, StepStarted)):
        match event.what:
            case PhaseEnded(phase="verify", status=status):
                verified = status == "done"
            case UndoStarted() if verified:
                return event.clock
            case StepStarted(phase="cleanup", effect=effect) if effect != "read":
                return event.clock
    return math.inf


def _looks(events: Sequence[Event], end: float) -> dict[str, Look]:
    limit, cleaned = _limit(events, end), _cleaned(events)
    missed = unheard_of(events) | {record.probe: list(record.unheard) for record in canaries(events)}
    return {
        what.probe: Look(what.probe, what.every_s, what.timeout_s, limit, cleaned, missed[what.probe])
        for what in contents(events, ProbeStarted)
    }


def _relapsed(left: Sequence[Sample | None], events: Sequence[Event]) -> list[Finding]:
    """Make a finding about a service that was good before the cleanup or undo, but not afterwards. Return an empty list if
    there is no such service.
    """
    if (waited := _settling(events)) and waited.interrupted:
        return [
            _not_good_again(waited, None, f"the last bad sample began at {sample.start:.3f} s") for sample in left if sample
        ][:1]
    return [
        finding(
            "not-recovered",
            wanted="good again after the drill's own cleanup and undo",
            measured=f"the last bad sample began at {sample.start:.3f} s",
        )
        for sample in left
        if sample
    ][:1]


def _unseen(result: Figures, probes: dict[str, list[Sample]], disruption: float, looks: Mapping[str, Look]) -> None:
    """Record that the fault caused no bad sample: add a finding, and mark RTO, outage and detection as not measured.

    The finding names the length of the longest outage that would not have been noticed between two samples.
    """
    limit = max(look.limit for look in looks.values())
    grid = max(
        b.end - a.start
        for samples in probes.values()
        for a, b in pairwise(samples)
        if b.end >= disruption and a.start <= limit
    )
    result.findings.append(
        finding("no-outage-seen", measured=f"no bad sample; an outage of up to {grid:.3f} s would not be noticed")
    )
    _none(result, "no probe saw the fault, so its end could not be measured")
