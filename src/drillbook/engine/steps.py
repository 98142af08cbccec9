"""Carrying out one planned step: on its hosts in parallel, with attempts, deadlines and expectations, all journalled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drillbook.diagnosis.run import Book
from drillbook.engine.hold import Hold
from drillbook.engine.provenance import Provenance
from drillbook.engine.recorded_host import RecordingHost
from drillbook.engine.unreachable import LOST
from drillbook.errors import Cancelled, CouldNotVerify, DrillbookError, HostError, NotReady, PlanError, StepFailed
from drillbook.events.content import Content
from drillbook.events.event import Event, each
from drillbook.events.steps import Done, Failed, FaultActive, FaultGone, IntentRecorded, Skipped, StepStarted
from drillbook.findings import Finding, finding
from drillbook.journal.journal import Journal
from drillbook.language import template
from drillbook.plan.planner import Plan, PlannedStep
from drillbook.redact import Redactor
from drillbook.sdk import vouchers
from drillbook.sdk.action import Action, Context, Effect, Facts, Fault, find
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, Host, excerpt, once_more, printable
from drillbook.sdk.vouchers import Vouchers
from drillbook.sdk.web import traced
from drillbook.telemetry.ids import traceparent

PROOF_S = 10.0
"""Seconds in which a fault must show that it is active, or gone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended on one host."""

    status: str  # done, failed, unverified, error, cancelled
    facts: Facts


@dataclass(slots=True)
class Stage:
    """What all steps of a run share: plan, journal, hosts, the names saved so far, and the flag that stops them."""

    plan: Plan
    journal: Journal
    host: Callable[[str], Host]
    folder: Path
    run: dict[str, str]
    redactor: Redactor
    cancel: threading.Event = field(default_factory=threading.Event)
    saved: dict[str, Any] = field(default_factory=dict)
    traced: str = ""
    """The run, or the suite's, whose trace requests carry the context of; empty: none."""
    hold: Hold | None = None
    """The locks and leases of the run; ``None`` where nothing is changed."""
    provenance: Provenance = field(default_factory=Provenance)
    """Backups found proven before the injection, and the things that restores made of them."""
    vouchers: Vouchers | None = None
    """Keys that sign the manifests of backups; ``None``: none are signed, and none are checked."""
    former: frozenset[str] = frozenset()
    """Hosts on which a run that is recovered has its temporary files where a version before this one had them."""

    def names(self) -> dict[str, Any]:
        """What expressions see now."""
        return {**self.plan.names(self.run), **self.saved}

    def context(
        self, step: str, host: str, deadline: Deadline, *, changes: bool = False, fault: bool = False, breaks: bool = False
    ) -> Context:
        """A context for an action of ``step`` on ``host``; one that ``changes`` something does so only under our lock.

        A ``fault`` needs its lease as well. One that ``breaks`` something must be able to keep its evidence.
        """

        def named(name: str) -> Host:
            fence = self.hold.fence(name, fault=fault) if changes and self.hold else None
            return RecordingHost(self.host(name), self.journal, step, self.redactor, fence)

        def note(what: Content) -> None:
            self.journal.append(what, step=step, host=host)

        return Context(
            run_id=self.run["id"],
            step=step,
            host=named(host),
            services=self.plan.inventory.services,
            host_named=named,
            deadline=deadline,
            folder=self.folder,
            note=note,
            redactor=self.redactor,
            book=Book(self.plan.diagnosis, self.plan.inventory),
            proofs=self._proofs(step),
            spares=self.journal.patient and not breaks,
            traceparent=self._traceparent(step, host),
            hosts=self.plan.inventory.hosts,
            vouchers=self.vouchers,
            former=self.former,
        )

    def _proofs(self, step: str) -> frozenset[str]:
        """Actions that proved the backups from which this fault is restored; before the gate, those that are sure to run."""
        if found := [one.proof for one in self.provenance.proven if one.fault == step]:
            return frozenset(found)
        fault = next((one for one in self.plan.steps if one.id == step), None)
        return frozenset(
            one.action
            for one in self.plan.phase("backup")
            if fault
            and one.proves_backup
            and one.when is None
            and one.allow_failure is None
            and self._same_service(one, fault)
        )

    def _same_service(self, one: PlannedStep, other: PlannedStep) -> bool:
        names = [str(step.params.get("service") or "") for step in (one, other)]
        return self.plan.inventory.same_thing(*names)

    def _traceparent(self, step: str, host: str) -> str:
        if not self.traced:
            return ""
        probe = any(one.id == step for one in self.plan.probes)
        return traceparent(self.run["id"], step, "" if probe else host, trace=self.traced)

    def deadline(self, seconds: float) -> Deadline:
        """A deadline that the run's stop flag ends."""
        return Deadline.after(seconds, self.cancel)


def build(step: PlannedStep, names: Mapping[str, Any]) -> Action:
    """The action of ``step`` with every expression evaluated. Raises PlanError."""
    try:
        action = find(step.action).model_validate(template.evaluate(step.params, names))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise PlanError(f"{step.line}: {step.action}: {key}: {first['msg']}, after its expressions were evaluated") from None
    except ValueError as error:
        raise PlanError(f"{step.line}: {step.action}: {error}") from None
    assert isinstance(action, Action)  # noqa: S101  find() gives actions
    return action


def for_ready(step: PlannedStep, names: Mapping[str, Any]) -> Action:
    """The action of ``step`` for its ``ready`` check: without the parameters that depend on earlier steps."""
    kind: type[Action] = find(step.action)
    by_alias = {info.alias or name: name for name, info in kind.model_fields.items()}
    known: dict[str, Any] = {}
    unknown: set[str] = set()
    for key, value in step.params.items():
        try:
            known[key] = template.evaluate(value, names)
        except ValueError:
            unknown.add(by_alias.get(key, key))
    if not unknown:
        return kind.model_validate(known)
    values = {by_alias.get(key, key): value for key, value in known.items()}
    action = kind.model_construct(**values)
    for name in unknown:
        action.__dict__.pop(name, None)
    return action


def carry_out(stage: Stage, steps: Sequence[PlannedStep]) -> bool:
    """Carry out ``steps`` at once, each on its hosts in parallel; True when all succeeded or were allowed to fail."""
    with ThreadPoolExecutor(max_workers=max(1, len(steps)), thread_name_prefix="step") as pool:
        return all(list(pool.map(lambda step: _step(stage, step), steps)))


def _step(stage: Stage, step: PlannedStep) -> bool:
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
    with ThreadPoolExecutor(max_workers=min(64, len(step.hosts)), thread_name_prefix=step.id) as pool:
        outcomes = list(pool.map(lambda host: _on_host(stage, step, action, host), step.hosts))
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
    begun, attempts = time.monotonic(), 0
    poll = step.every_s is not None and not step.retries
    deadline = stage.deadline(step.timeout_s)
    intended, named, doubt = False, action, Facts()
    while True:
        attempts += 1
        if not poll:
            deadline = stage.deadline(step.timeout_s)
        try:
            context = stage.context(
                step.id,
                host,
                deadline,
                changes=action.effect is not Effect.READ,
                fault=action.may_lease(action.effect),
                breaks=action.effect is Effect.FAULT,
            )
            if not intended and action.effect is not Effect.READ:
                named = stage.provenance.pinned(named, context)
            action, doubted = _vouched(stage, named, context)
            doubt |= doubted
            if not intended and action.effect is not Effect.READ:
                _announce(stage, step, action, context)
                intended, named = True, action
            deadline.check()
            with traced(context.traceparent), under(deadline):
                facts = stage.provenance.examine(action, context, _carried_out(action, context)) | doubt
            _expect(stage, step, facts)
            if isinstance(action, Fault) and action.effect is Effect.FAULT:
                _prove(stage, step, action, context, wanted=True)
            stage.provenance.remember(facts)
            stage.journal.append(
                Done(facts=facts, seconds=time.monotonic() - begun, attempts=attempts), step=step.id, host=host
            )
            return Outcome("done", facts)
        except Exception as error:  # noqa: BLE001  whatever an action raises must end in the journal
            again = attempts <= step.retries or (poll and deadline.remaining() > float(step.every_s or 0))
            if isinstance(error, Cancelled | PlanError) or not again or stage.cancel.is_set():
                return _failed(stage, step, host, error, seconds=time.monotonic() - begun, attempts=attempts)
            stage.cancel.wait(float(step.every_s or 0))


def _carried_out(action: Action, context: Context) -> Facts:
    """Run the action; one that only reads is asked once more when it was lost on the way."""
    run = partial(action.run, context)
    return once_more(run) if action.effect is Effect.READ else run()


def _vouched(stage: Stage, action: Action, context: Context) -> tuple[Action, Facts]:
    """Pin the backup that ``action`` reads, which must be vouched for; once something is broken, a restore goes on without.

    Raises CouldNotVerify. Returns also the fact that nobody vouches for it.
    """
    action, doubt = vouchers.pinned(action, context)
    if doubt and (action.effect is Effect.READ or not stage.journal.patient):
        raise CouldNotVerify(
            f"{action.name()}: {doubt}; nothing was read or written",
            hint="take a new backup; one that you know is named with its digest: s3://...#sha256=HEX",
        )
    return action, {"unvouched": doubt} if doubt else {}


def _announce(stage: Stage, step: PlannedStep, action: Action, context: Context) -> None:
    """Before anything is changed: the lock is still ours, the undo is on our disk, and a fault's on the target as well."""
    if stage.hold:
        stage.hold.check()
    with under(context.deadline):
        host, undo = context.host.name, action.undo(context)
    what = IntentRecorded(
        action=step.action,
        params=action.model_dump(mode="json", by_alias=True),
        effect=action.effect.value,
        undo=undo.model_dump(mode="json"),
    )
    if stage.redactor.value(what.data()) != what.data():
        raise PlanError(
            f"{step.line}: {step.action}: a secret stands in its parameters or its undo, so it could not be put "
            "back from the journal",
            hint="let the action read the secret from the inventory",
        )
    fault = action.effect is Effect.FAULT
    event = stage.journal.append(what, step=step.id, host=host, sync=True, required=fault)
    stage.journal.patient = stage.journal.patient or fault  # from now on nothing may depend on what can be recorded
    if stage.hold and action.may_lease(action.effect) and undo.kind == "commands":
        stage.hold.arm(event.seq, step.action, host, undo.commands)


def _expect(stage: Stage, step: PlannedStep, facts: Facts) -> None:
    for text in step.expect:
        try:
            held = template.expression(text, {**stage.names(), "result": facts})
        except ValueError as error:
            raise CouldNotVerify(f"expect: {error}") from None
        if not held:
            seen = {key: value for key, value in facts.items() if key in text} or facts
            raise StepFailed(
                f"expected {text}",
                facts=facts,
                findings=[
                    finding(
                        "expectation", title=step.name or step.action, wanted=text, measured=excerpt(str(seen), limit=400)
                    )
                ],
            )


def _prove(
    stage: Stage, step: PlannedStep, action: Action, context: Context, *, wanted: bool, patience: float = PROOF_S
) -> tuple[bool | None, HostError | None]:
    """Ask until the fault is as wanted or ``patience`` seconds are over; the answer is journalled.

    Returns it, and the error when the host could not be asked. A proof that breaks is tried again: it may have looked at
    what a lease was just putting back.
    """
    until = time.monotonic() + patience
    while True:
        active: bool | None = None
        detail, lost = "", None
        try:
            with under(context.deadline):
                active = once_more(partial(action.active, context))
        except LOST as error:
            detail, lost = error.message, error
        except Exception as error:  # noqa: BLE001  a proof that breaks proves nothing and stops nothing
            detail = f"{type(error).__name__}: {error}"
        settled = active is wanted or (active is None and not detail)  # it never tells
        if settled or lost or time.monotonic() >= until:
            break
        context.deadline.wait(0.1)
    answer = FaultActive(active=active, detail=detail) if wanted else FaultGone(active=active, detail=detail)
    stage.journal.append(answer, step=step.id, host=context.host.name)
    return active, lost


def fault_gone(stage: Stage, step: PlannedStep, action: Action, host: str, *, patience: float) -> bool | None:
    """Is the fault of ``step`` on ``host`` gone, at the latest after ``patience`` seconds? ``None``: it cannot tell.

    The answer is journalled. Raises HostError when the host could not be asked.
    """
    context = stage.context(step.id, host, stage.deadline(PROOF_S + 5))
    active, lost = _prove(stage, step, action, context, wanted=False, patience=patience)
    if lost:
        raise lost
    return None if active is None else not active


def _failed(
    stage: Stage, step: PlannedStep, host: str, error: Exception, *, seconds: float = 0.0, attempts: int = 0
) -> Outcome:
    outcome, code, message = classify(error)
    findings: tuple[Finding, ...] = error.findings if isinstance(error, StepFailed) else ()
    facts = error.facts if isinstance(error, StepFailed) else {}
    stage.journal.append(
        Failed(
            outcome=outcome,
            code=code,
            message=printable(stage.redactor.text(message)),
            seconds=seconds,
            attempts=attempts,
            findings=tuple(one.model_dump(mode="json") | {"step": step.id, "host": host} for one in findings),
            facts=facts,
            allowed=step.allow_failure,
        ),
        step=step.id,
        host=host,
    )
    return Outcome(outcome, facts)


def classify(error: Exception) -> tuple[str, str, str]:
    """Outcome, code and message of what an action raised."""
    if isinstance(error, StepFailed):
        return "failed", error.code, error.message
    if isinstance(error, Cancelled):
        return "cancelled", error.code, error.message
    if isinstance(error, CouldNotVerify):
        return "unverified", error.code, str(error)
    if isinstance(error, NotReady | PlanError | HostError | DrillbookError):
        return "error", error.code, str(error)
    if isinstance(error, TimeoutError):
        return "error", "timeout", str(error) or "the step's timeout is over"
    return "error", "unexpected", f"{type(error).__name__}: {error}"


def groups(steps: Sequence[PlannedStep]) -> list[list[PlannedStep]]:
    """``steps`` in order, those of one ``parallel`` group together."""
    result: list[list[PlannedStep]] = []
    for step in steps:
        if result and step.group is not None and result[-1][-1].group == step.group:
            result[-1].append(step)
        else:
            result.append([step])
    return result


def saved_facts(plan: Plan, events: Sequence[Event]) -> dict[str, Any]:
    """What steps saved, as a journal tells it."""
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
