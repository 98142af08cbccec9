"""The findings of a run. They are made from its steps, probes, clocks and remaining changes.

If a later recovery undid changes, the findings are corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.events.event import Event, contents, of_kinds
from drillbook.events.holds import LeaseAdopted
from drillbook.events.runs import PhaseStarted, RecoveryFinished, RecoveryStarted, RunEndedEarly, RunFinished
from drillbook.events.steps import Done, Failed, Skipped
from drillbook.findings import Finding, finding
from drillbook.judge import notes, residue, shortfall
from drillbook.judge.figures import Figures
from drillbook.judge.recovered_later import CONTROLLER_DIED_FIRST, NOT_GOOD_AGAIN, RECOVERED
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
    problems = _unproven(events, figures.faults)
    left_out = {step.id for step in plan.phase("verify")}
    for event in of_kinds(events, Skipped, Failed, RunEndedEarly, Done):
        match event.what:
            case Skipped(why=why) if event.step in left_out and why.startswith("when: "):
                problems.append(finding("verification-skipped", step=event.step, measured=why))
            case Failed() as what:
                problems += _of_failure(event, what)
            case RunEndedEarly() as what:
                problems += _of_early_end(what)
            case Done(facts={"findings": told}):
                place = {"step": event.step, "host": event.host}
                problems += [Finding.model_validate(fields).model_copy(update=place) for fields in told]
    problems += figures.findings
    problems += shortfall.findings([view.result for view in views])
    problems += notes.findings(events, problems)
    problems = [_with_cause(problem, events) for problem in problems]
    # A run that ended before the disruption has one finding with the reason, not a finding for every objective.
    told = "disruption" not in figures.marks and bool(contents(events, RunEndedEarly))
    problems += [] if told else _of_objectives(objectives)
    problems += _of_residue(left, views, finished=bool(contents(events, RunFinished)))
    order = ["critical", "high", "medium", "low"]
    return sorted(problems, key=lambda problem: order.index(problem.severity))


def _of_residue(left: Sequence[Residue], views: Sequence[StepView], *, finished: bool) -> list[Finding]:
    """Make a finding for each change that was not undone. Its title says whether an undo failed, or whether none was recorded."""
    problems = []
    for change in left:
        what = f"{change.what} on {change.host}"
        told = finding("residue", title=what, measured=change.why, remedy=change.by_hand, step=change.step, host=change.host)
        known = residue.tried(change, views, finished=finished)
        problems.append(told if known else told.model_copy(update={"title": f"{UNRECORDED}: {what}"}))
    return problems


def _of_objectives(objectives: Mapping[str, Objective]) -> list[Finding]:
    """Make a finding for each objective that was missed, or could not be verified."""
    problems = []
    for key, objective in objectives.items():
        if objective.met:
            continue
        measured = f"{objective.measured_s:.3f} s" if objective.measured_s is not None else "not measured"
        if objective.met is None:
            measured = f"{measured}: {objective.reason}"
        elif objective.measured_s is None:
            measured = objective.reason or measured
        code = "objective-missed" if objective.met is False else "objective-not-verified"
        problems.append(finding(code, title=key.upper(), wanted=f"at most {objective.target_s:g} s", measured=measured))
    return problems


def _with_cause(problem: Finding, events: Sequence[Event]) -> Finding:
    """Add the last failures of a probe to a finding about this probe. The finding says one of two things: the probe was never
    good, or it was already bad before the fault.

    Return any other finding unchanged, and also a finding that already contains a measurement.
    """
    if problem.code not in ("probe-never-good", "probe-bad-before") or problem.measured or not problem.step:
        return problem
    return problem.model_copy(
        update={"wanted": "a good sample before the disruption", "measured": last_reasons(events, problem.step)}
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
    problems = [Finding.model_validate(fields) for fields in what.findings]
    return [*problems, finding("aborted", measured=what.message)] if what.why == "aborted" else problems


def _of_failure(event: Event, what: Failed) -> list[Finding]:
    problems = [Finding.model_validate(fields) for fields in what.findings]
    if what.allowed:
        return [finding("allowed-failure", wanted=what.allowed, measured=what.message, step=event.step, host=event.host)]
    if not problems and what.outcome != "cancelled":
        problems = [finding("step-failed", measured=what.message, step=event.step, host=event.host)]
    return problems


def mended(problem: Finding, events: Sequence[Event]) -> Finding:
    """Return the finding ``problem``, corrected if needed. A correction is needed if the finding says that the service did
    not become good again, but a later recovery undid all changes. The title then gets the time and the operator of this
    recovery, and the remedy is replaced.
    """
    last = events[-1]
    if (
        problem.code not in NOT_GOOD_AGAIN
        or not isinstance(last.what, RecoveryFinished)
        or last.what.residue
        or residue.settled(events)
    ):
        return problem
    why = (
        "Find out why the run itself did not undo the faults."
        if any(contents(events, RunFinished))
        else CONTROLLER_DIED_FIRST
    )
    operator = [" ".join(what.operator.split()) for what in contents(events, RecoveryStarted)][-1:]
    later = f"{problem.title}; {RECOVERED} at {last.at[:19]}Z{f' by {operator[0]}' if operator else ''}"
    return problem.model_copy(update={"title": later, "remedy": f"{_undone(events)} {why}"})


def _undone(events: Sequence[Event]) -> str:
    """Return a sentence that names who undid the faults after the run: the targets by their leases, or the recovery."""
    at = f"at {events[-1].at[:19]}Z"
    targets = sorted({event.host or "a target" for event in events if _reverted(event)})
    if not targets:
        return f"`invoke drill.recover` undid the faults {at}."
    return (
        f"{' and '.join(targets)} undid the faults without the controller, when the lease ended (the log of the lease, among the "
        f"evidence, tells when). `invoke drill.recover` confirmed it {at}."
    )


def _reverted(event: Event) -> bool:
    return isinstance(event.what, LeaseAdopted) and event.what.reverted and bool(event.what.armed)
