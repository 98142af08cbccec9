"""The clocks (measured durations) of a run, computed only from the events of its journal.

Most clocks are computed in the modules `rto` and `rpo`. Every figure is in seconds on the controller's monotonic clock and
has an error. The error is the largest possible difference from the true value, given the interval of the probe and the
duration of its samples. docs/clocks.md defines the clocks.
"""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, contents, each
from drillbook.events.probes import AlertFiring, AlertReceived, ProbeEnded
from drillbook.events.runs import PhaseEnded, RunFinished
from drillbook.events.steps import Waited
from drillbook.findings import finding
from drillbook.judge import detection, faultstate
from drillbook.judge.figures import Figure, Figures, phase_spans, session, sleeps
from drillbook.judge.result import FaultResult, Injection
from drillbook.judge.rpo import data_loss, read_back_later
from drillbook.judge.rto import availability
from drillbook.judge.samples import probe_tracks
from drillbook.plan.planner import Plan

CLOCKS = ("disruption_s", "detection_s", "outage_s", "rto_s", "restore_s", "verified_s", "waiting_s", "rpo_s")
OF_DISRUPTION = ("disruption_s", "detection_s", "outage_s", "rto_s", "verified_s", "rpo_s")
"""Figures about a disruption. They have no value when no disruption is known."""


def figures(events: Sequence[Event], plan: Plan, faults: tuple[FaultResult, ...]) -> Figures:
    """Compute all figures of a run. The figures of a disruption are computed only if a fault was injected."""
    own = session(events)
    result = Figures(end=_end(own), faults=faults, sleeps=sleeps(own))
    disruption = faultstate.begun(faults)
    if disruption is not None:
        result.marks["disruption"] = disruption
    result.keep(
        "disruption_s", Figure(disruption, 0.0) if disruption is not None else Figure(None, None, "no fault was injected")
    )
    availability(result, own, disruption)
    _alerts(result, own, plan, disruption)
    data_loss(result, events, own, plan, disruption)
    _phases(result, own, disruption)
    _by_state(result)
    if result.slept:
        result.findings.append(
            finding(
                "controller-suspended",
                wanted="a controller that was never suspended",
                measured=f"the controller was suspended for {result.slept:.3f} s",
            )
        )
    result.tracks = probe_tracks([*own, *read_back_later(events, own)])
    for ended in contents(own, ProbeEnded):
        if ended.error:
            result.findings.append(finding("probe-failed", measured=ended.error, step=ended.probe))
    return result


def _end(own: Sequence[Event]) -> float:
    """Return the time of ``run.finished`` on the run's clock. Without that event, return the time of the last event.

    Notifications after the end are ignored.
    """
    return next((event.clock for event, _ in each(own, RunFinished)), max(event.clock for event in own))


def _alerts(result: Figures, own: Sequence[Event], plan: Plan, disruption: float | None) -> None:
    """Measure how long the expected alert took to detect the fault.

    This time replaces the detection time of the probes. If the drill expects no alert, the detection time of the probes stays.
    """
    detected = None if disruption is None else detection.by_alert(own, plan, disruption)
    if detected is None or disruption is None:
        return
    result.unmeasured.pop("detection_s", None)
    figure = Figure(detected.seconds, detected.error, detected.reason, detected.missed)
    asked = max((event.clock for event in own if isinstance(event.what, AlertFiring | AlertReceived)), default=result.end)
    result.objectives["detect"] = figure = result.keep("detection_s", figure, (disruption, asked))
    if figure.seconds is not None and detected.seconds is not None:
        result.marks["alerted"] = disruption + detected.seconds


def _by_state(result: Figures) -> None:
    """Remove results that have no meaning when no fault was injected.

    If no injection is proven, the finding `no-outage-seen` is removed. If no fault was injected, or if it is unknown whether
    one was injected, a reason replaces each figure of the disruption, such as the RTO.
    """
    if not any(fault.injection is Injection.INJECTED for fault in result.faults):
        result.findings = [problem for problem in result.findings if problem.code != "no-outage-seen"]
    why = faultstate.withheld(result.faults)
    if not why:
        return
    for clock in OF_DISRUPTION:
        result.keep(clock, Figure(None, None, why))
    result.objectives = dict.fromkeys(("rto", "rpo", "detect"), Figure(None, None, why))
    result.marks.clear()
    result.lost_writes = result.acknowledged = None
    result.lost_numbers, result.lost_spans = [], []


def _phases(result: Figures, events: Sequence[Event], disruption: float | None) -> None:
    spans = {span.label: span for span in phase_spans(events)}
    status = {what.phase: what.status for what in contents(events, PhaseEnded)}
    restore, verify = spans.get("restore"), spans.get("verify")
    if restore is None or restore.end is None:
        figure = Figure(None, None, "no restore phase finished")
    else:
        figure = (
            Figure(restore.end - restore.start, 0.0)
            if status["restore"] == "done"
            else Figure(None, None, "the restore failed")
        )
    result.keep("restore_s", figure, (restore.start, restore.end) if restore and restore.end is not None else None)
    if disruption is None or verify is None or verify.end is None:
        result.keep("verified_s", Figure(None, None, "no verification finished after a disruption"))
    elif status["verify"] != "done":
        was = "was interrupted" if status["verify"] == "interrupted" else "failed"
        result.keep("verified_s", Figure(None, None, f"the verification {was}"))
    else:
        result.keep("verified_s", Figure(verify.end - disruption, 0.0), (disruption, verify.end))
        result.marks["verified"] = verify.end
    waited = [(event.clock, what.seconds) for event, what in each(events, Waited)]
    span = (min(clock - took for clock, took in waited), max(clock for clock, _ in waited)) if waited else None
    result.keep("waiting_s", Figure(sum(took for _, took in waited), 0.0), span)
