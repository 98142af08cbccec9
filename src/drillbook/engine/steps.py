"""Execution of one planned step on its hosts in parallel.

This module makes the attempts of the step, keeps its deadlines, and checks its expectations. All of this is journalled.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from drillbook.engine import expectations
from drillbook.engine.parallel import AT_ONCE
from drillbook.engine.provenance import elsewhere
from drillbook.engine.step_context import Stage
from drillbook.engine.step_findings import of_step
from drillbook.engine.unreachable import LOST
from drillbook.engine.vouching import vouched
from drillbook.errors import Cancelled, CouldNotVerify, DrillbookError, HostError, NotReady, PlanError, StepFailed
from drillbook.events.event import Event, each
from drillbook.events.steps import Done, Failed, FaultActive, FaultGone, IntentRecorded, Skipped, StepStarted
from drillbook.findings import Finding
from drillbook.installation.program_name import as_called
from drillbook.journal.suspension import suspended
from drillbook.language import explaining, template
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan
from drillbook.sdk.action import Action, Context, Effect, Facts, Fault, find
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, once_more, printable
from drillbook.sdk.outcomes import Tally
from drillbook.sdk.web import traced

PROOF_S = 10.0
"""Longest time, in seconds, until a check must show that an injected fault is active, or that an undone fault is gone."""
ANSWERS = {True: "the fault is active", False: "the fault is not active", None: "the state of the fault is unknown"}
"""Results of the check which shows whether a fault is active, as texts."""
NEARLY_S = 0.005
"""Seconds before the step's deadline. An attempt that fails this late was probably cut off by the deadline, so that its error
says little. The step then reports the error of the previous attempt."""
CUT = "; the last attempt did not end within the step's time"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a step on one host."""

    status: str  # done, failed, unverified, error, cancelled
    facts: Facts


def build(step: PlannedStep, names: Mapping[str, Any]) -> Action:
    """Build the action of ``step`` with every expression evaluated. Raises PlanError when a parameter is invalid."""
    try:
        action = explaining.validated(find(step.action), step.params, template.evaluate(step.params, names))
    except ValueError as error:
        raise PlanError(f"{step.line}: {step.action}: {error}") from None
    assert isinstance(action, Action)  # noqa: S101  find() returns actions
    return action


def for_ready(step: PlannedStep, names: Mapping[str, Any]) -> Action:
    """Build the action of ``step`` for its ``ready`` check. Parameters that need results of earlier steps are left out.
    Raises PlanError when another parameter is invalid.
    """
    kind: type[Action] = find(step.action)
    known: dict[str, Any] = {}
    unknown: set[str] = set()
    for key, value in step.params.items():
        try:
            known[key] = template.evaluate(value, names)
        except ValueError:
            unknown.add(key)
    try:
        return kind.with_unknown(known, unknown)
    except ValidationError as error:
        why = explaining.evaluated(error.errors()[0], kind, step.params, known)
        raise PlanError(f"{step.line}: {step.action}: {why}") from None


def carry_out(stage: Stage, steps: Sequence[PlannedStep]) -> bool:
    """Run ``steps`` in parallel. Each step runs on all its hosts in parallel.

    Returns True when every step succeeded or was allowed to fail.
    """
    stage.add(steps)
    if len(steps) == 1:
        return _step(stage, steps[0], stage.pool)
    with ThreadPoolExecutor(max_workers=max(1, len(steps)), thread_name_prefix="step") as pool:
        return all(list(pool.map(lambda step: _beside(stage, step), steps)))


def _beside(stage: Stage, step: PlannedStep) -> bool:
    """Run ``step`` while other steps run, too. The threads for its hosts belong to this step alone, so the step never waits
    until threads of other steps are free.
    """
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(step.hosts)), thread_name_prefix=step.id) as pool:
        return _step(stage, step, pool)


def _step(stage: Stage, step: PlannedStep, pool: ThreadPoolExecutor) -> bool:
    try:
        names = stage.names()
        if step.when is not None and not template.expression(step.when, names):
            stage.journal.append(Skipped(why=f"when: {step.when}"), step=step.id)
            return True
        action = build(step, names)
    except (ValueError, PlanError) as error:
        for host in step.hosts:
            _start(stage, step, host)
            _failed(stage, step, host, error if isinstance(error, DrillbookError) else PlanError(str(error)))
        return step.allow_failure is not None
    running = [pool.submit(_on_host, stage, step, action, host) for host in step.hosts]
    wait(running)
    outcomes = [future.result() for future in running]
    if step.save:
        facts = {host: outcome.facts for host, outcome in zip(step.hosts, outcomes, strict=True)}
        stage.saved[step.save] = facts if len(step.hosts) > 1 else outcomes[0].facts
    return all(outcome.status == "done" for outcome in outcomes) or (
        step.allow_failure is not None and not any(outcome.status == "cancelled" for outcome in outcomes)
    )


def _start(stage: Stage, step: PlannedStep, host: str) -> None:
    stage.journal.append(
        StepStarted(action=step.action, phase=step.phase, name=step.name, effect=step.effect, params=step.params),
        step=step.id,
        host=host,
    )


def _on_host(stage: Stage, step: PlannedStep, action: Action, host: str) -> Outcome:
    _start(stage, step, host)
    begun, attempts, last, tally = time.monotonic(), 0, Exception("no attempt"), Tally()
    poll = step.every_s is not None and not step.retries
    deadline = stage.deadline(step.timeout_s)
    attempt = _Attempt(stage, step, host, action)
    while True:
        attempts += 1
        if not poll:
            deadline = stage.deadline(step.timeout_s)
        try:
            facts = attempt.carry_out(deadline)
            stage.journal.append(
                Done(facts=facts, seconds=time.monotonic() - begun, attempts=attempts), step=step.id, host=host
            )
            return Outcome("done", facts)
        except Exception as error:  # noqa: BLE001  any error of an action must be journalled
            stopped = isinstance(error, Cancelled | PlanError) or stage.cancel.is_set()
            if stopped or not (attempts <= step.retries or (poll and deadline.remaining() > float(step.every_s or 0))):
                cut = poll and attempts > 1 and not stopped and deadline.remaining() < NEARLY_S
                told, seconds = last if cut else error, time.monotonic() - begun
                if not (cut or stopped):
                    tally.add(classify(error)[2])
                note = (tally.times(classify(told)[2], seconds) if poll and not stopped else "") + (CUT if cut else "")
                return _failed(stage, step, host, told, seconds=seconds, attempts=attempts, note=note, tally=tally)
            tally.add(classify(error)[2])
            last = error
            stage.cancel.wait(float(step.every_s or 0))


@dataclass(slots=True)
class _Attempt:
    """Attempts of one step on one host.

    Later attempts use the same backup and the same announced undo as the first attempt.
    """

    stage: Stage
    step: PlannedStep
    host: str
    action: Action
    announced: bool = False
    doubt: Facts = field(default_factory=dict)

    def carry_out(self, deadline: Deadline) -> Facts:
        """Announce the action in the journal, run it, and check its expectations.

        For a fault, also check that the fault is active. Returns the facts of the action.
        """
        stage, step = self.stage, self.step
        changes, breaks = self.action.effect is not Effect.READ, self.action.effect is Effect.FAULT
        leased = self.action.may_lease(self.action.effect)
        context = stage.context(step.id, self.host, deadline, changes=changes, fault=leased, breaks=breaks)
        action = self._pinned(context, changes=changes)
        deadline.check()
        with traced(context.traceparent), under(deadline):
            facts = stage.provenance.examine(action, context, _carried_out(action, context)) | self.doubt
            facts |= elsewhere(action, context, stage.plan, facts)
        expectations.check(stage, step, facts)
        if breaks and isinstance(action, Fault):
            _prove(stage, step, action, context, wanted=True)
        stage.provenance.remember(facts)
        return facts

    def _pinned(self, context: Context, *, changes: bool) -> Action:
        """Return the action, with the digest of its backup added to its parameters. The first attempt also announces the
        change.
        """
        first = changes and not self.announced
        if first:
            self.action = self.stage.provenance.pinned(self.action, context)
        action, doubt = vouched(self.stage, self.action, context)
        self.doubt |= doubt
        if first:
            _announce(self.stage, self.step, action, context)
            self.announced, self.action = True, action
        return action


def _carried_out(action: Action, context: Context) -> Facts:
    """Run the action. A read-only action is repeated once if the connection was lost."""
    run = partial(action.run, context)
    return once_more(run) if action.effect is Effect.READ else run()


def _announce(stage: Stage, step: PlannedStep, action: Action, context: Context) -> None:
    """Announce a change before it is made: check the locks, and write the change and its undo to the journal. If the
    host has a lease, also store the undo commands on the target, which runs them when the lease expires.
    """
    if stage.hold:
        stage.hold.check()
    with under(context.deadline):
        host, undo = context.host.name, action.undo(context)
    account = context.host.target.account
    what = IntentRecorded(
        action=step.action,
        params=action.model_dump(mode="json", by_alias=True),
        effect=action.effect.value,
        undo=undo.model_dump(mode="json"),
        **({"become": account} if account else {}),
    )
    if stage.redactor.value(what.data()) != what.data():
        raise PlanError(
            f"{step.line}: {step.action}: its parameters or its undo contain a secret. The journal must not contain "
            "a secret, so the change could not be undone from the journal",
            hint="let the action read the secret from the inventory",
        )
    fault = action.effect is Effect.FAULT
    if fault and stage.disrupted_at is None:
        stage.disrupted_at, stage.asleep_s = time.monotonic(), suspended() or 0.0
    event = stage.journal.append(what, step=step.id, host=host, sync=True, required=fault)
    stage.journal.patient = stage.journal.patient or fault  # from here on, a fault may be active
    if stage.hold and action.may_lease(action.effect) and undo.kind == "commands":
        stage.hold.arm(event.seq, step.action, host, undo.commands, stage.become(step.id, host))


def _prove(
    stage: Stage, step: PlannedStep, action: Action, context: Context, *, wanted: bool, patience: float = PROOF_S
) -> tuple[bool | None, HostError | None]:
    """Repeat a check of a fault for at most ``patience`` seconds, until the fault is in the wanted state. Journal the last
    answer, and the number of checks with each answer. A check is ignored if it was cut off by the end of the step's time.

    A check that ends with an error is repeated as well. A possible reason of the error: the lease of the fault expired, and
    the target was undoing the fault at that moment. ``wanted``: true when the fault should be active, false when it should be
    gone.

    Return two values. The first is True when the fault is active, False when it is gone, and None when this is unknown.
    The second is the error of a host that did not answer, or None.
    """
    until, tally, known = time.monotonic() + patience, Tally(), None
    while True:
        active: bool | None = None
        detail, lost = "", None
        try:
            with under(context.deadline):
                active = once_more(partial(action.active, context))
        except LOST as error:
            detail, lost = error.message, error
        except Exception as error:  # noqa: BLE001  an error in the check proves nothing, and must not end the run
            detail = f"{type(error).__name__}: {error}"
        cut = bool(detail) and known is not None and context.deadline.remaining() < NEARLY_S
        if cut and known:
            (active, detail), lost = known, None
        else:
            known = active, detail
            tally.add(detail or ANSWERS[active])
        settled = active is wanted or (active is None and not detail)  # the action cannot determine the state
        if settled or lost or time.monotonic() >= until or cut:
            break
        context.deadline.wait(0.1)
    kind = FaultActive if wanted else FaultGone
    answer = kind(active=active, detail=detail, **_counted(stage, tally.entries()))
    stage.journal.append(answer, step=step.id, host=context.host.name)
    return active, lost


def fault_gone(stage: Stage, step: PlannedStep, action: Action, host: str, *, patience: float) -> bool | None:
    """Wait at most ``patience`` seconds until the fault of ``step`` on ``host`` is gone. Return True when it is gone, False
    when it is still active, and None when this is unknown.

    The answer is journalled. Raises HostError when the host did not answer.
    """
    context = stage.context(step.id, host, stage.deadline(PROOF_S + 5))
    active, lost = _prove(stage, step, action, context, wanted=False, patience=patience)
    if lost:
        raise lost
    return None if active is None else not active


def _failed(
    stage: Stage,
    step: PlannedStep,
    host: str,
    error: Exception,
    *,
    seconds: float = 0.0,
    attempts: int = 0,
    note: str = "",
    tally: Tally | None = None,
) -> Outcome:
    """Journal the failure of a step. ``note``: text after the message of ``error``, before its hint. ``tally``: outcomes of
    all attempts, except an attempt that was cut off by the end of the step's time.
    """
    outcome, code, message = classify(error)
    first, line, hint = message.partition("\n")
    findings: tuple[Finding, ...] = error.findings if isinstance(error, StepFailed) else ()
    facts = error.facts if isinstance(error, StepFailed) else {}
    stage.journal.append(
        Failed(
            outcome=outcome,
            code=code,
            message=printable(stage.redactor.text(f"{first}{note}{line}{hint}")),
            seconds=seconds,
            attempts=attempts,
            findings=tuple(
                of_step(problem, step, stage.plan).model_dump(mode="json") | {"host": host} for problem in findings
            ),
            facts=facts,
            allowed=step.allow_failure,
            **_counted(stage, getattr(error, "outcomes", ()) or (tally.entries() if tally else ())),
        ),
        step=step.id,
        host=host,
    )
    return Outcome(outcome, facts)


def _counted(stage: Stage, outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the field `outcomes` of an event. It is left out if there was only one attempt."""
    if sum(row["count"] for row in outcomes) < 2:
        return {}
    return {"outcomes": tuple(row | {"outcome": stage.redactor.text(row["outcome"])} for row in outcomes)}


def classify(error: Exception) -> tuple[str, str, str]:
    """Return the outcome, the error code and the message for an exception that an action raised."""
    if isinstance(error, StepFailed):
        return "failed", error.code, error.message
    if isinstance(error, Cancelled):
        return "cancelled", error.code, error.message
    if isinstance(error, CouldNotVerify):
        return "unverified", error.code, as_called(str(error))
    if isinstance(error, NotReady | PlanError | HostError | DrillbookError):
        return "error", error.code, as_called(str(error))
    if isinstance(error, TimeoutError):
        return "error", "timeout", str(error) or "the step's timeout expired"
    return "error", "unexpected", f"{type(error).__name__}: {error}"


def groups(steps: Sequence[PlannedStep]) -> list[list[PlannedStep]]:
    """Divide ``steps`` into groups, in their order.

    The steps of one ``parallel`` block form one group. Every other step is a group of its own.
    """
    result: list[list[PlannedStep]] = []
    for step in steps:
        if result and step.group is not None and result[-1][-1].group == step.group:
            result[-1].append(step)
        else:
            result.append([step])
    return result


def saved_facts(plan: Plan, events: Sequence[Event]) -> dict[str, Any]:
    """Read the events of a journal. Return the facts that steps stored with `save`."""
    by_step = {step.id: step for step in plan.steps if step.save}
    saved: dict[str, Any] = {}
    for event, done in each(events, Done):
        if event.step in by_step:
            step = by_step[event.step]
            if len(step.hosts) > 1:
                saved.setdefault(str(step.save), {})[event.host] = done.facts
            else:
                saved[str(step.save)] = done.facts
    return saved
