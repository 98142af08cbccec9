"""The judge: a run's journal -> what it showed. Pure: the same events give the same verdict, today and in ten years.

Clocks, loss and verdict are each made in one place here, and nothing in a report is computed anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drillbook.events.event import Event, contents, each
from drillbook.events.runs import (
    CapacityHistory,
    Ended,
    PhaseEnded,
    PhaseStarted,
    RecoveryFinished,
    RunEndedEarly,
    RunFinished,
    opening,
)
from drillbook.events.steps import CommandRun, Done, Failed, IntentRecorded, OfUndo, Skipped, StepStarted
from drillbook.exits import Exit
from drillbook.findings import Finding, finding
from drillbook.inventory.inventory import Inventory
from drillbook.journal.journal import History
from drillbook.judge import detection, diagnosis, faultstate, measure, notes
from drillbook.judge import residue as left
from drillbook.judge.figures import Figures, phase_spans, session
from drillbook.judge.outlook import Outlook, outlooks
from drillbook.judge.result import (
    EXIT,
    CommandView,
    FaultResult,
    Injection,
    Objective,
    PhaseResult,
    Residue,
    Result,
    RunView,
    StepResult,
    StepView,
    Timeline,
    Verdict,
)
from drillbook.judge.samples import last_reasons
from drillbook.judge.size_points import Point, of_run
from drillbook.plan.planner import Plan, PlannedStep, checked


def judge(history: History) -> RunView:
    """The whole view of one run. Raises JournalError when the journal is not that of a run."""
    events = history.events
    first = opening(events)
    plan = checked(first.plan)
    own = session(events)  # a later recovery changes what is left, never what the run showed
    residue, closed = left.residue(events, plan), left.settled(events)
    faults = faultstate.faults(own, events, plan, residue)
    figures = measure.figures(events, plan, faults)
    steps = _steps(own, events, plan)
    objectives = _objectives(plan, figures, _verified(steps, own))
    findings = [_mended(one, events) for one in _findings(own, plan, figures, objectives, residue)]
    verdict, reason = _verdict(own, steps, objectives, findings)
    result = Result(
        run=first.run,
        drill=plan.drill,
        title=plan.title,
        service=plan.service,
        environment=plan.inventory.environment,
        operator=first.operator,
        tool=first.tool,
        verdict=verdict,
        reason=reason,
        residue=tuple(residue),
        exit=Exit.RESIDUE if residue else EXIT[verdict],
        started=events[0].at,
        finished=next((event.at for event in reversed(events) if isinstance(event.what, Ended)), None),
        plan_digest=first.plan_digest,
        objectives=objectives,
        clocks=figures.clocks,
        unmeasured=figures.unmeasured,
        phases=_phases(own),
        steps=tuple(view.result for view in steps),
        faults=faults,
        findings=tuple(findings),
        diagnosis=diagnosis.diagnosis(own, plan),
        settled=closed,
    )
    result = result.model_copy(update={"capacity": _capacity(result, own, plan)})
    timeline = Timeline(
        seconds=figures.end, phases=phase_spans(own), probes=figures.tracks, marks={**figures.marks, **notes.marks(own)}
    )
    return RunView(
        result=result,
        plan=first.plan,
        contacts=_contacts(plan.inventory),
        owner=plan.owner,
        timeline=timeline,
        steps=tuple(steps),
        journal_events=len(events),
        journal_head=history.head,
        torn=history.torn,
        controller=first.controller,
        notes=notes.notes(own),
    )


CLOCK_OF = {
    "rto": "disruption to sustained recovery",
    "rpo": "acknowledged writes",
    "detect": "disruption to first bad probe",
}
BY_ALERT = "disruption to the expected alert"
_DOUBTS = ("fault-unproven", "probe-failed", "probe-never-good", "probe-bad-before", "recovery-not-awaited")
_BAD = ("failed", "unverified", "error", "unknown", "cancelled")


def points(result: Result) -> list[Point]:
    """Sizes of services that a run measured, with the time of its restore where its RTO was measured and verified."""
    rto = result.objectives.get("rto")
    counts = rto is not None and rto.met is not None and result.verdict in (Verdict.PASSED, Verdict.FAILED)
    return of_run(
        run=result.run,
        at=result.started,
        drill=result.drill,
        service=result.service,
        steps=[(step.action, step.status, step.facts) for step in result.steps],
        rto_s=rto.measured_s if rto and counts else None,
        restore_s=result.clocks.get("restore_s") if counts else None,
    )


def _capacity(result: Result, events: Sequence[Event], plan: Plan) -> tuple[Outlook, ...]:
    """Growth of the measured services, from this run and from the earlier ones in its journal."""
    earlier = [Point.model_validate(one) for what in contents(events, CapacityHistory) for one in what.points]
    return outlooks(points(result), earlier, plan.objectives.get("rto"))


def _contacts(inventory: Inventory) -> dict[str, dict[str, str]]:
    return {
        name: contact.model_dump(include={"role", "duty", "email", "phone"}) for name, contact in inventory.contacts.items()
    }


def _phases(events: Sequence[Event]) -> tuple[PhaseResult, ...]:
    spans: dict[str, PhaseResult] = {}
    begun: dict[str, float] = {}
    for event in events:
        match event.what:
            case PhaseStarted(phase=phase):
                begun[phase] = event.clock
                spans[phase] = PhaseResult(phase=phase, status="interrupted", seconds=0.0)
            case PhaseEnded(phase=phase) as what:
                status: Any = what.status
                spans[phase] = PhaseResult(phase=phase, status=status, seconds=event.clock - begun[phase])
    return tuple(spans.values())


def _steps(own: Sequence[Event], events: Sequence[Event], plan: Plan) -> list[StepView]:
    """Every step on every host: what it did in the run, and how it was put back then or later."""
    views: list[StepView] = []
    for step in plan.steps:
        mine = [event for event in own if event.step == step.id]
        later = [(event.host, what) for event, what in each(events, OfUndo) if event.step == step.id]
        skipped = next(iter(contents(mine, Skipped)), None)
        hosts = [host for host in step.hosts if any(event.host == host for event in mine)] or list(step.hosts)
        for host in hosts:
            settled = next((what for where, what in reversed(later) if where == host), None)
            views.append(_view(step, host, [e for e in mine if e.host in (host, None)], skipped, settled))
    return views


def _view(
    step: PlannedStep, host: str, events: Sequence[Event], skipped: Skipped | None, settled: OfUndo | None
) -> StepView:
    outcome = next((event.what for event in reversed(events) if isinstance(event.what, Done | Failed)), None)
    started = next((event.clock for event, _ in each(events, StepStarted)), None)
    intent = next(iter(contents(events, IntentRecorded)), None)
    status: Any = "skipped" if started is None else "unknown"
    message = skipped.why if skipped and outcome is None else ""
    match outcome:
        case Done():
            status = "done"
        case Failed(outcome=how, allowed=allowed):
            status, message = "allowed" if allowed else how, outcome.message
    result = StepResult(
        id=step.id,
        action=step.action,
        host=host,
        status=status,
        seconds=outcome.seconds if outcome else None,
        facts=outcome.facts if outcome else {},
    )
    return StepView(
        result=result,
        name=step.name,
        phase=step.phase,
        effect=step.effect,
        start=started,
        params=step.params,
        undo=_undo_text(intent),
        message=message,
        undone=faultstate.ending(intent, settled),
        commands=tuple(_command(what) for what in contents(events, CommandRun)),
    )


def _command(what: CommandRun) -> CommandView:
    return CommandView(
        argv=what.argv,
        exit=what.exit,
        signal=what.signal,
        seconds=what.seconds,
        stdout=what.stdout,
        stderr=what.stderr,
        stdout_bytes=what.stdout_bytes,
        stderr_bytes=what.stderr_bytes,
        error=what.error,
    )


def _undo_text(intent: IntentRecorded | None) -> str:
    if intent is None:
        return ""
    undo = intent.undo
    return {
        "commands": "; ".join(" ".join(argv) for argv in undo["commands"]),
        "action": f"{undo['action']} {undo['params']}",
        "restore": f"only by a restore: {undo['why']}",
        "nothing": f"nothing: {undo['why']}",
    }[undo["kind"]]


def _verified(steps: Sequence[StepView], events: Sequence[Event]) -> str | None:
    """None when the verification passed, otherwise why it did not."""
    checks = [view for view in steps if view.phase == "verify"]
    if not checks:
        return "the drill has no verify steps"
    ended = [what.status for what in contents(events, PhaseEnded) if what.phase == "verify"]
    if not ended:
        return "the verification did not take place"
    if ended[-1] == "interrupted":
        return "the verification was interrupted"
    doubted = next((view.result.id for view in steps if view.result.facts.get("unvouched")), None)
    if doubted:
        return f"{doubted} read a backup that nobody vouches for"
    bad = [view.result.id for view in checks if view.result.status in (*_BAD, "allowed")]
    if bad:
        return f"the verification did not pass ({', '.join(bad)})"
    left_out = next((view for view in checks if view.result.status == "skipped"), None)
    return f"the verification {left_out.result.id} was skipped ({left_out.message})" if left_out else None


def _objectives(plan: Plan, figures: Figures, unverified: str | None) -> dict[str, Objective]:
    result = {}
    for key, target in plan.objectives.items():
        figure = figures.objectives[key]
        reason = figure.reason
        if reason is None and key in ("rto", "rpo") and unverified:
            reason = unverified
        measured, error = figure.seconds, figure.error
        met = False if figure.missed else None if measured is None or reason else measured + (error or 0.0) <= target
        if met is False and measured is not None and measured <= target:
            reason, met = f"{measured:.3f} s is within {target:g} s only without its error of {error:.3f} s", None
        clock = BY_ALERT if key == "detect" and detection.expected(plan) else CLOCK_OF[key]
        one = Objective(target_s=target, measured_s=measured, error_s=error, met=met, reason=reason, clock=clock)
        if key == "rpo" and figures.lost_writes is not None:
            one = one.model_copy(
                update={
                    "lost_writes": figures.lost_writes,
                    "acknowledged_writes": figures.acknowledged,
                    "lost_numbers": tuple(figures.lost_numbers),
                }
            )
        result[key] = one
    return result


def _mended(one: Finding, events: Sequence[Event]) -> Finding:
    """A service that a later recovery brought back is not to be brought back by hand."""
    last = events[-1]
    gone = ("not-recovered", "recovery-not-awaited")
    if one.code not in gone or not isinstance(last.what, RecoveryFinished) or last.what.residue or left.settled(events):
        return one
    return one.model_copy(
        update={
            "remedy": f"Put back since, by `invoke drill.recover` at {last.at[:19]}Z; look at why the run itself did not."
        }
    )


def _findings(
    events: Sequence[Event], plan: Plan, figures: Figures, objectives: dict[str, Objective], residue: Sequence[Residue]
) -> list[Finding]:
    found: list[Finding] = _unproven(events, figures.faults)
    left_out = {step.id for step in plan.phase("verify")}
    for event in events:
        match event.what:
            case Skipped(why=why) if event.step in left_out and why.startswith("when: "):
                found.append(finding("verification-skipped", step=event.step, measured=why))
            case Failed() as what:
                found += _of_failure(event, what)
            case RunEndedEarly() as what:
                found += _of_early_end(what)
            case Done(facts=facts):
                place = {"step": event.step, "host": event.host}
                found += [Finding.model_validate(one).model_copy(update=place) for one in facts.get("findings", [])]
    found += figures.findings
    found += notes.findings(events, found)
    found = [_with_cause(one, events) for one in found]
    # A run that ended before anything was broken says why once, not once more for every objective.
    told = "disruption" not in figures.marks and bool(contents(events, RunEndedEarly))
    for key, objective in () if told else objectives.items():
        unit = f"{objective.measured_s:.3f} s" if objective.measured_s is not None else "not measured"
        if objective.met is False and objective.measured_s is None:
            found.append(
                finding(
                    "objective-missed",
                    title=key.upper(),
                    wanted=f"at most {objective.target_s:g} s",
                    measured=objective.reason or unit,
                )
            )
        elif objective.met is False:
            found.append(
                finding("objective-missed", title=key.upper(), wanted=f"at most {objective.target_s:g} s", measured=unit)
            )
        elif objective.met is None:
            found.append(
                finding(
                    "objective-not-verified",
                    title=key.upper(),
                    wanted=f"at most {objective.target_s:g} s",
                    measured=f"{unit}: {objective.reason}",
                )
            )
    found += [
        finding(
            "residue", title=f"{one.what} on {one.host}", measured=one.why, remedy=one.by_hand, step=one.step, host=one.host
        )
        for one in residue
    ]
    order = ["critical", "high", "medium", "low"]
    return sorted(found, key=lambda one: order.index(one.severity))


def _with_cause(one: Finding, events: Sequence[Event]) -> Finding:
    """A probe that was never good, with what it was answered last."""
    if one.code not in ("probe-never-good", "probe-bad-before") or one.measured or not one.step:
        return one
    return one.model_copy(
        update={"wanted": "a good sample before the disruption", "measured": last_reasons(events, one.step)}
    )


def _unproven(events: Sequence[Event], faults: Sequence[FaultResult]) -> list[Finding]:
    """A finding for each planned fault that was not proven active, once the drill came as far as injecting."""
    if not any(what.phase == "inject" for what in contents(events, PhaseStarted)):
        return []
    return [
        finding("fault-unproven", step=one.step, host=one.host, measured=one.why, wanted="proof that the fault is active")
        for one in faults
        if one.injection is not Injection.INJECTED
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


def _verdict(
    events: Sequence[Event], steps: Sequence[StepView], objectives: dict[str, Objective], findings: Sequence[Finding]
) -> tuple[Verdict, str]:
    """The verdict and its reason in one sentence."""
    early = contents(events, RunEndedEarly)
    for why, verdict in (("aborted", Verdict.ABORTED), ("refused", Verdict.REFUSED), (Verdict.NOT_RUN, Verdict.NOT_RUN)):
        if stopped := next((what for what in early if what.why == why), None):
            return verdict, stopped.message
    if not contents(events, RunFinished):
        return Verdict.ABORTED, "the run ended without its last word: its controller died"
    failed = next((what.message for what in early if what.why == "failed"), "")
    if reason := _why_failed(steps, objectives, findings) or failed:
        return Verdict.FAILED, reason
    unknown = early[0].message if early else _why_unknown(steps, objectives, findings, _verified(steps, events))
    unknown = unknown or _unwritten(events)
    if unknown:
        return Verdict.INCONCLUSIVE, unknown
    return Verdict.PASSED, "every step done, every objective measured and met, every verification passed"


def _unwritten(events: Sequence[Event]) -> str:
    """Why the record of the run may have holes; empty when it has none."""
    why = next((what.unwritten for what in contents(events, RunFinished)), "")
    return f"not all of the run could be recorded in time: {why}" if why else ""


def _why_failed(steps: Sequence[StepView], objectives: dict[str, Objective], findings: Sequence[Finding]) -> str:
    for view in steps:
        broken = ("failed", "error") if view.phase in ("backup", "restore") else ("failed",)
        if view.phase != "inject" and view.result.status in broken:
            return f"{view.result.id} {view.result.action} failed: {view.message.splitlines()[0] if view.message else ''}"
    fatal = [one for one in findings if one.code in ("not-recovered", "hole-in-survivors")]
    if fatal:
        return fatal[0].title
    missed = [key.upper() for key, objective in objectives.items() if objective.met is False]
    return f"objective missed: {', '.join(missed)}" if missed else ""


def _why_unknown(
    steps: Sequence[StepView], objectives: dict[str, Objective], findings: Sequence[Finding], unverified: str | None
) -> str:
    doubtful = [one for one in findings if one.code in _DOUBTS]
    if doubtful:
        return doubtful[0].title
    open_steps = [view for view in steps if view.result.status in _BAD]
    if open_steps:
        return f"{open_steps[0].result.id} {open_steps[0].result.action} could not be carried out"
    unknown = [f"{key.upper()} ({objective.reason})" for key, objective in objectives.items() if objective.met is None]
    if unknown:
        return f"objective not verified: {', '.join(unknown)}"
    return unverified or ""
