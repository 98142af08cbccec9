"""The clocks and the loss of a run, measured from what its probes saw. Pure functions of the journal's events.

Every figure is on the controller's monotonic clock and carries its error: how far the truth can lie from it, given
the rate of the probe and the time its samples took. The clocks are defined in docs/clocks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.events.event import Event, contents, each
from drillbook.events.probes import AlertFiring, AlertReceived, CanarySurvivors, ProbeEnded
from drillbook.events.runs import PhaseEnded, RunFinished
from drillbook.events.steps import Waited
from drillbook.findings import finding
from drillbook.judge import detection, faultstate
from drillbook.judge.figures import Figure, Figures, phase_spans, session, sleeps
from drillbook.judge.result import FaultResult, Injection
from drillbook.judge.rto import availability
from drillbook.judge.samples import CanaryRecord, canaries, probe_tracks, ranges
from drillbook.plan.planner import Plan

CLOCKS = ("disruption_s", "detection_s", "outage_s", "rto_s", "restore_s", "verified_s", "waiting_s", "rpo_s")
OF_DISRUPTION = ("disruption_s", "detection_s", "outage_s", "rto_s", "verified_s", "rpo_s")
"""Clocks of a disruption: they have no figure where none is known to have been."""


def figures(events: Sequence[Event], plan: Plan, faults: tuple[FaultResult, ...]) -> Figures:
    """All figures of a run; those of a disruption only where a fault was injected."""
    own = session(events)
    result = Figures(end=_end(own), faults=faults, sleeps=sleeps(own))
    disruption = faultstate.begun(faults)
    if disruption is not None:
        result.marks["disruption"] = disruption
    result.keep(
        "disruption_s", Figure(disruption, 0.0) if disruption is not None else Figure(None, None, "nothing was injected")
    )
    availability(result, own, disruption)
    _alerts(result, own, plan, disruption)
    _loss(result, [*own, *_read_back_later(events, own)], plan, disruption)
    _phases(result, own, disruption)
    _by_state(result)
    if result.slept:
        result.findings.append(
            finding(
                "controller-suspended",
                wanted="a clock that goes on all the time",
                measured=f"it was suspended for {result.slept:.3f} s",
            )
        )
    result.tracks = probe_tracks(own)
    for ended in contents(own, ProbeEnded):
        if ended.error:
            result.findings.append(finding("probe-failed", measured=ended.error, step=ended.probe))
    return result


def _end(own: Sequence[Event]) -> float:
    """When the run ended; what is written down after that, such as who was told of it, is no part of it."""
    return next((event.clock for event, _ in each(own, RunFinished)), max(event.clock for event in own))


def _alerts(result: Figures, own: Sequence[Event], plan: Plan, disruption: float | None) -> None:
    """Where an alert is expected, it is what detects: a probe that turned bad before woke nobody."""
    found = None if disruption is None else detection.by_alert(own, plan, disruption)
    if found is None or disruption is None:
        return
    result.unmeasured.pop("detection_s", None)
    figure = Figure(found.seconds, found.error, found.reason, found.missed)
    asked = max((event.clock for event in own if isinstance(event.what, AlertFiring | AlertReceived)), default=result.end)
    result.objectives["detect"] = figure = result.keep("detection_s", figure, (disruption, asked))
    if figure.seconds is not None and found.seconds is not None:
        result.marks["alerted"] = disruption + found.seconds


def _read_back_later(events: Sequence[Event], own: Sequence[Event]) -> list[Event]:
    """What a recovery read back of the canaries, where the run itself died before it could: numbers, no clock."""
    seen = {what.probe for what in contents(own, CanarySurvivors)}
    later = {what.probe: event for event, what in each(events[len(own) :], CanarySurvivors) if what.probe not in seen}
    return list(later.values())


def _by_state(result: Figures) -> None:
    """Take out the figures of a disruption that is not known to have been one; what was found wrong stays."""
    if not any(one.injection is Injection.INJECTED for one in result.faults):
        result.findings = [one for one in result.findings if one.code != "no-outage-seen"]
    why = faultstate.withheld(result.faults)
    if not why:
        return
    for clock in OF_DISRUPTION:
        result.keep(clock, Figure(None, None, why))
    result.objectives = dict.fromkeys(("rto", "rpo", "detect"), Figure(None, None, why))
    result.marks.clear()
    result.lost_writes = result.acknowledged = None
    result.lost_numbers = []


def _phases(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
    spans = {span.label: span for span in phase_spans(events)}
    status = {what.phase: what.status for what in contents(events, PhaseEnded)}
    restore, verify = spans.get("restore"), spans.get("verify")
    if restore is None or restore.end is None:
        figure = Figure(None, None, "there was no restore phase that ended")
    else:
        figure = (
            Figure(restore.end - restore.start, 0.0)
            if status["restore"] == "done"
            else Figure(None, None, "the restore failed")
        )
    result.keep("restore_s", figure, (restore.start, restore.end) if restore and restore.end is not None else None)
    if disruption is None or verify is None or verify.end is None:
        result.keep("verified_s", Figure(None, None, "there was no verification that ended after a disruption"))
    elif status["verify"] != "done":
        was = "was interrupted" if status["verify"] == "interrupted" else "failed"
        result.keep("verified_s", Figure(None, None, f"the verification {was}"))
    else:
        result.keep("verified_s", Figure(verify.end - disruption, 0.0), (disruption, verify.end))
        result.marks["verified"] = verify.end
    waited = [(event.clock, what.seconds) for event, what in each(events, Waited)]
    span = (min(clock - took for clock, took in waited), max(clock for clock, _ in waited)) if waited else None
    result.keep("waiting_s", Figure(sum(took for _, took in waited), 0.0), span)


def _loss(result: Figures, events: Sequence[Event], plan: Plan, disruption: float | None) -> None:
    """RPO: of the canary that lost most."""
    records = canaries(events)
    if not records or disruption is None:
        why = "nothing was injected" if disruption is None else "the drill has no canary"
        result.objectives["rpo"] = result.keep("rpo_s", Figure(None, None, why))
        return
    losses = [_rpo(result, record, disruption) for record in records]
    unknown = [loss for loss in losses if loss.figure.seconds is None]
    worst = unknown[0] if unknown else max(losses, key=lambda loss: loss.figure.seconds or 0.0)
    result.marks |= {
        name: clock
        for name, clock in (("recovery_point", worst.since), ("last_acknowledged", worst.until))
        if clock is not None
    }
    span = (
        min([disruption, *(loss.since for loss in losses if loss.since is not None)]),
        max([disruption, *(loss.until for loss in losses if loss.until is not None)]),
    )
    result.objectives["rpo"] = result.keep("rpo_s", worst.figure, span)
    if result.lost_writes:
        target = plan.objectives.get("rpo")
        wanted = f"at most {target:g} s of writes" if target is not None else "none"
        result.findings.append(
            finding(
                "acknowledged-writes-lost",
                wanted=wanted,
                measured=(
                    f"{result.lost_writes} of {result.acknowledged} acknowledged writes: numbers "
                    + ", ".join(f"{first} to {last}" for first, last in result.lost_numbers[:10])
                ),
            )
        )


@dataclass(frozen=True, slots=True)
class _Loss:
    """What one canary lost, and when the last write that was kept and the one to which loss is counted were acknowledged."""

    figure: Figure
    since: float | None = None
    until: float | None = None


def _rpo(result: Figures, record: CanaryRecord, disruption: float) -> _Loss:
    if record.survivors is None:
        result.findings.append(finding("probe-failed", step=record.probe, measured=record.error or "never read back"))
        return _Loss(Figure(None, None, f"the canary could not be read back: {record.error or 'it was never read back'}"))
    before = [write for write in record.acknowledged if write.acknowledged <= disruption]
    if not before:
        return _Loss(Figure(None, None, "no write was acknowledged before the disruption"))
    lost = [write for write in record.acknowledged if write.number not in record.survivors]
    result.lost_writes = (result.lost_writes or 0) + len(lost)
    result.lost_numbers += ranges(write.number for write in lost)
    lost_before = [write for write in lost if write.acknowledged <= disruption]
    result.acknowledged = (result.acknowledged or 0) + len(before) + len(lost) - len(lost_before)
    blind = disruption - before[-1].sent  # nothing is known of the time between the last write and the disruption
    if not lost:
        return _Loss(Figure(0.0, max(record.every, blind)), None, before[-1].acknowledged)
    end = max(before[-1], lost[-1], key=lambda write: write.acknowledged) if lost_before else lost[-1]
    kept = [write for write in record.acknowledged if write.number < lost[0].number]
    newest = max((w.number for w in before if w.number in record.survivors), default=0)
    if holes := [write for write in lost if write.number < newest]:
        result.findings.append(
            finding(
                "hole-in-survivors",
                step=record.probe,
                wanted=f"every write up to {newest}",
                measured=f"{len(holes)} missing, the first is {holes[0].number}",
            )
        )
    if not kept:
        least = end.acknowledged - record.acknowledged[0].sent
        older = f"the recovery point is older than the canary: at least {least:.3f} s were lost"
        return _Loss(Figure(None, None, older), None, end.acknowledged)
    error = max(lost[0].acknowledged - kept[-1].sent, blind)
    return _Loss(Figure(end.acknowledged - kept[-1].acknowledged, error), kept[-1].acknowledged, end.acknowledged)
