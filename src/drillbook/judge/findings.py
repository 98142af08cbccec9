"""The findings of a run. They are made from its steps, probes, clocks and remaining changes.

If a later recovery undid changes, the findings are corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.events.event import Event, contents, of_kinds
from drillbook.events.runs import PhaseStarted, RecoveryFinished, RecoveryStarted, RunEndedEarly, RunFinished
from drillbook.events.steps import Done, Failed, Skipped
from drillbook.findings import Finding, finding
from drillbook.judge import notes, residue, shortfall
from drillbook.judge.figures import Figures
from drillbook.judge.mended import RECOVERED
from drillbook.judge.result import FaultResult, Injection, Objective, Residue, StepView
from drillbook.judge.samples import last_reasons
from drillbook.plan.planner import Plan

UNRECORDED = "No undo of a change was recorded"
"""Title of the finding about a change, if the controller died before it recorded an undo of this change."""


def findings(
    events: Sequence[Event],
    plan: Plan,
    figures: Figures,
    objectives: Mapping[str, Objective],
    left: Sequence[Residue],
    *,
    views: Sequence[StepView],
) -> list[Finding]:
    """Return all findings of the run, the most severe first.

    ``left``: the changes that could not be undone; ``views``: all steps of the run.
    """
    found = _unproven(events, figures.faults)
    left_out = {step.id for step in plan.phase("verify")}
    for event in of_kinds(events, Skipped, Failed, RunEndedEarly, Done):
        match event.what:
            case Skipped(why=why) if event.step in left_out and why.startswith("when: "):
                found.append(finding("verification-skipped", step=event.step, measured=why))
            case Failed() as what:
                found += _of_failure(event, what)
            case RunEndedEarly() as what:
                found += _of_early_end(what)
            case Done(facts={"findings": told}):
                place = {"step": event.step, "host": event.host}
                found += [Finding.model_validate(one).model_copy(update=place) for one in told]
    found += figures.findings
    found += shortfall.findings([view.result for view in views])
    found += notes.findings(events, found)
    found = [_with_cause(one, events) for one in found]
    # A run that ended before the disruption has one finding with the reason, not a finding for every objective.
    told = "disruption" not in figures.marks and bool(contents(events, RunEndedEarly))
    found += [] if told else _of_objectives(objectives)
    found += _of_residue(left, views, finished=bool(contents(events, RunFinished)))
    order = ["critical", "high", "medium", "low"]
    return sorted(found, key=lambda one: order.index(one.severity))


def _of_residue(left: Sequence[Residue], views: Sequence[StepView], *, finished: bool) -> list[Finding]:
    """Make a finding for each change that was not undone. Its title says if an undo failed, or if none was recorded."""
    found = []
    for one in left:
        what = f"{one.what} on {one.host}"
        told = finding("residue", title=what, measured=one.why, remedy=one.by_hand, step=one.step, host=one.host)
        known = residue.tried(one, views, finished=finished)
        found.append(told if known else told.model_copy(update={"title": f"{UNRECORDED}: {what}"}))
    return found


def _of_objectives(objectives: Mapping[str, Objective]) -> list[Finding]:
    """Make a finding for each objective that was missed, or could not be verified."""
    found = []
    for key, objective in objectives.items():
        if objective.met:
            continue
        measured = f"{objective.measured_s:.3f} s" if objective.measured_s is not None else "not measured"
        if objective.met is None:
            measured = f"{measured}: {objective.reason}"
        elif objective.measured_s is None:
            measured = objective.reason or measured
        code = "objective-missed" if objective.met is False else "objective-not-verified"
        found.append(finding(code, title=key.upper(), wanted=f"at most {objective.target_s:g} s", measured=measured))
    return found


def _with_cause(one: Finding, events: Sequence[Event]) -> Finding:
    """Add the last failures of the probe to a finding which says that a probe was never good, or was bad before the fault.
    Return all other findings unchanged.
    """
    if one.code not in ("probe-never-good", "probe-bad-before") or one.measured or not one.step:
        return one
    return one.model_copy(
        update={"wanted": "a good sample before the disruption", "measured": last_reasons(events, one.step)}
    )


def _unproven(events: Sequence[Event], faults: Sequence[FaultResult]) -> list[Finding]:
    """Make a finding for each planned fault that was not proven active.

    No finding is made if the run did not reach the phase `inject`.
    """
    if not any(what.phase == "inject" for what in contents(events, PhaseStarted)):
        return []
    return [
        finding(
            "fault-unproven", step=fault.step, host=fault.host, measured=fault.why, wanted="proof that the fault is active"
        )
        for fault in faults
        if fault.injection is not Injection.INJECTED
    ]


def _of_early_end(what: RunEndedEarly) -> list[Finding]:
    found = [Finding.model_validate(one) for one in what.findings]
    return [*found, finding("aborted", measured=what.message)] if what.why == "aborted" else found


def _of_failure(event: Event, what: Failed) -> list[Finding]:
    found = [Finding.model_validate(one) for one in what.findings]
    if what.allowed:
        return [finding("allowed-failure", wanted=what.allowed, measured=what.message, step=event.step, host=event.host)]
    if not found and what.outcome != "cancelled":
        found = [finding("step-failed", measured=what.message, step=event.step, host=event.host)]
    return found


def mended(one: Finding, events: Sequence[Event]) -> Finding:
    """Return the finding ``one``. If it says that the service did not become good again, and a later recovery undid all
    changes, then its title gets the time and the operator of this recovery, and its remedy is replaced. All other
    findings are returned unchanged."""
    last = events[-1]
    gone = ("not-recovered", "recovery-not-awaited")
    if one.code not in gone or not isinstance(last.what, RecoveryFinished) or last.what.residue or residue.settled(events):
        return one
    why = (
        "Find out why the run itself did not undo the faults."
        if any(contents(events, RunFinished))
        else "The run itself did not undo the faults because its controller died."
    )
    operator = [" ".join(what.operator.split()) for what in contents(events, RecoveryStarted)][-1:]
    later = f"{one.title}; {RECOVERED} at {last.at[:19]}Z{f' by {operator[0]}' if operator else ''}"
    return one.model_copy(
        update={"title": later, "remedy": f"`invoke drill.recover` undid the faults at {last.at[:19]}Z. {why}"}
    )
