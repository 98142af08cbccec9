"""Faults of which it is unknown whether they were injected. A report tells all that is known of such a fault in one place, and only
refers to it in other places.
"""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.findings import Finding
from drillbook.judge.faultstate import PUT_BACK, PUT_BACK_GONE
from drillbook.judge.recovery_record import Act, Recovery
from drillbook.judge.result import FaultResult, Injection, Objective, Result, RunView
from drillbook.report.consequences import UNPROVEN
from drillbook.report.figures import one_line, utc, utc_time
from drillbook.report.objective_figures import in_run
from drillbook.report.wording import ENDED, UNRECORDED

NOT_PROVEN = "no injection is proven"
"""Words for the reason why nothing was measured, in all places except the one that tells what is known of the fault."""
RAN = "drill.recover carried out its undo"
IN_CASE = {PUT_BACK: "it was undone in case it was injected", PUT_BACK_GONE: "no undo was needed"}
"""Words for the end of a fault of which it is unknown whether it was injected. The key of each entry is the outcome of its undo."""

FAILING = ("bad", "refused")
"""Labels of stretches in which a probe saw the service fail."""


def story(view: RunView, fault: FaultResult) -> str:
    """Return a text with all that is known of a fault whose injection is unknown, or that is proven to have changed nothing.
    The result is empty for other faults.
    """
    if fault.injection in (Injection.NOT, Injection.INJECTED):
        return ""
    place = f"{one_line(fault.step)} on {one_line(fault.host)}"
    begun = ""
    if fault.injection is Injection.UNKNOWN and fault.since_s is not None:
        begun = f"begun at {utc_time(view.zero, fault.since_s)}; no check of the injection is recorded, so "
    seen = _seen(view, fault.since_s) if begun else ""
    ended = "" if fault.injection is Injection.NEVER else _ended(view, fault)
    return f"{place}: {begun}{'; '.join(filter(None, (one_line(fault.why).rstrip('.'), ended)))}.{seen}"


def _seen(view: RunView, since_s: float | None) -> str:
    """Return a sentence about the first probe that was good, and saw the service fail only after the injection began at
    ``since_s``. The result is empty if there is no such probe.
    """
    for track in sorted(view.timeline.probes, key=lambda track: track.kind != "availability"):
        at = next((n for n, span in enumerate(track.stretches) if span.label in FAILING), 0)
        if not at or since_s is None or track.stretches[at].start < since_s:
            continue
        began = utc_time(view.zero, track.stretches[at].start)
        when = f"from {began} on" if track.stretches[-1].label in FAILING else f"at {began}"
        name = one_line(track.name)
        return f" The probe {name} saw the service fail {when}, so the fault was probably active; this is no proof."
    return ""


def _ended(view: RunView, fault: FaultResult) -> str:
    """Return words for the end of a fault: its undo by a recovery with the check after it, or the outcome as the result of the
    run has it.

    If the journal has no end of the run, the change may have been undone although the journal does not report it.
    """
    told = _recovered(view, fault)
    if told or not fault.ended:
        return told
    words = (ENDED if view.finished else UNRECORDED) | (IN_CASE if fault.injection is Injection.UNKNOWN else {})
    return words.get(fault.ended, one_line(fault.ended))


def _recovered(view: RunView, fault: FaultResult) -> str:
    """Return a text which says that a recovery undid the fault. The text is empty if no recovery recorded an undo of this
    fault.
    """
    last = next(iter(reversed(list(_undos(view, fault)))), None)
    if last is None:
        return ""
    recovery, act = last
    at = utc(recovery.started) if act.end is None else utc_time(recovery.zero, act.end)
    gone = act.check is not None and act.check.active is False
    if act.message == PUT_BACK:
        did = "the target itself ran its undo; later, drill.recover ran it again" if act.by_target else RAN
        return f"{did}, which ended at {at}; {_check(gone=gone)}"
    if act.message == PUT_BACK_GONE:
        why = "its check found that the fault is not active" if gone else "it was gone already"
        did = "the target itself ran its undo; " if act.by_target else ""
        return f"{did}drill.recover had nothing to undo at {at}: {why}"
    return f"drill.recover recorded at {at}: {one_line(act.message).rstrip('.')}"


def _check(*, gone: bool) -> str:
    return "the check after it found that the fault is not active" if gone else "no check is recorded that the fault is gone"


def _undos(view: RunView, fault: FaultResult) -> Iterator[tuple[Recovery, Act]]:
    for recovery in view.recoveries:
        for act in recovery.acts:
            if act.sort == "undo" and act.status == "done" and (act.step, act.host) == (fault.step, fault.host):
                yield recovery, act


def brief(text: str, result: Result) -> str:
    """Return ``text`` with ``NOT_PROVEN`` in place of what is known of a fault whose injection is unknown; see also
    ``in_run``."""
    for fault in result.faults:
        if fault.injection is Injection.UNKNOWN and fault.why:
            text = text.replace(fault.why, NOT_PROVEN)
    return in_run(text, result.objectives, result.reason)


def brief_objectives(result: Result) -> dict[str, Objective]:
    """Return the objectives of a run. In their reasons, ``brief`` replaces what is known of a fault."""
    return {
        key: objective.model_copy(update={"reason": brief(objective.reason, result)}) if objective.reason else objective
        for key, objective in result.objectives.items()
    }


def brief_finding(finding: Finding, result: Result) -> Finding:
    """Return a finding of a run. In what it measured, ``brief`` replaces what is known of a fault. The finding about this fault
    itself keeps its text.
    """
    if finding.code == UNPROVEN:
        return finding
    return finding.model_copy(update={"measured": brief(finding.measured, result)})
