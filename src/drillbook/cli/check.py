"""Checks whether a drill could begin now, without changing anything. It examines the hosts, the probes, and the steps
of the phase `ready`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from drillbook.cli import access, run_identity
from drillbook.engine import lock_holder, readiness
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.preparation import UNREACHED as NO_CONNECTION
from drillbook.engine.preparation import EndedEarly, Preparation
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import carry_out, groups
from drillbook.engine.stop_requests import Stop, by_signals
from drillbook.errors import DrillbookError, MissingExtra, SecretError
from drillbook.events.event import contents
from drillbook.events.runs import CheckStarted, RunEndedEarly
from drillbook.events.steps import Failed
from drillbook.exits import Exit
from drillbook.findings import Finding, finding
from drillbook.journal.journal import Journal, Observer, read
from drillbook.judge.verdicts import EXIT, Verdict
from drillbook.language import template
from drillbook.plan.permitted import FORBIDDEN
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan
from drillbook.redact import Redactor
from drillbook.sdk.action import Effect
from drillbook.trust.items import SILENCING, Item

Recorded = Callable[[], Sequence[tuple[str, str, tuple[str, ...]]]]
UNREACHED = finding("not-ready", title=NO_CONNECTION).title
UNREDACTED = "no host was contacted: the check needs a secret or tool that is not trusted"


@dataclass(frozen=True, slots=True)
class Check:
    """Result of a check. ``message`` tells why the drill could not begin, and is empty when it could begin."""

    message: str
    findings: tuple[dict[str, Any], ...]
    exit: int = Exit.OK
    """Exit status that a run would have now. The status is at least 3 when the check left out untrusted commands or
    secrets, or when it could not verify something.
    """
    beside: tuple[str, ...] = ()
    """Steps of the phase `ready` that were skipped only because they use results of other skipped steps. Each is written as
    ``line: action``.
    """
    unverified: tuple[str, ...] = ()
    """Messages about conditions that could not be verified. Each message is about a condition of one step. It begins with the
    number of the step's line in the file of the drill, then the action and the host.
    """

    notes: tuple[str, ...] = ()
    """Remarks that are no problems, for example about something that a step leaves out. They do not affect the result."""
    unusable: bool = False
    """True when an extra is missing or a secret cannot be read. A run would then not begin, and the exit status would be 2."""

    @property
    def ready(self) -> bool:
        """Return True when the drill could begin, and the check left nothing out and verified everything."""
        return not self.message and not self.exit


@dataclass(slots=True)
class _Checker(Preparation):
    """Performs the read-only part of a run's preparation. It collects all problems, so that one check reports all of
    them.
    """

    silent: bool = field(default=False, kw_only=True)
    """True when no host may be contacted, because a secret cannot be hidden in the output."""
    unusable: Sequence[Finding] = field(default=(), kw_only=True)
    """Findings about missing extras and unreadable secrets. With such a finding, a run would not begin."""
    wrong: list[tuple[str, str, tuple[Finding, ...]]] = field(default_factory=list, init=False)
    """Failed parts of the check. Each entry has the reason, the message and the findings of one part."""
    unreachable: dict[str, str] = field(default_factory=dict, init=False)
    """Messages about the hosts that cannot be reached. The key of each message is the name of the host."""

    def check(self) -> None:
        """Check the guard, the hosts, one sample of each probe, and the phase ``ready``. Write the results to the
        journal.

        Canaries are skipped, because they write rows. When one part fails, the check normally continues with the next
        part. The check ends at once in four cases: this machine lacks the package of a service, the guard forbids the
        environment, the check is stopped, or a secret cannot be hidden in the output.
        """
        with by_signals(self.stop, self.stage.journal):
            try:
                if self.unusable:
                    self._end("refused", "; ".join(problem.measured for problem in self.unusable), self.unusable)
                self._guard()
                self._here()
                if self.silent:
                    self._end(Verdict.INCONCLUSIVE, UNREDACTED)
                if not any(why != "refused" or _forbidden(problems) for why, _, problems in self.wrong):
                    self._all()
            except EndedEarly:
                pass
            except Exception as error:  # noqa: BLE001  any other error also ends the check
                self._unforeseen(error)
                return
            self._conclude()

    def _all(self) -> None:
        """Perform all parts of the check that contact hosts. Steps and conditions on unreachable hosts are left out."""
        for part in (self._open, self._free, self._sample, self._ready, self._conditions):
            part()
            self._stopped()

    def _end(self, why: str, message: str, findings: Sequence[Finding] = ()) -> None:
        """Record that a part of the check failed, with its ``findings``. A finding that only repeats an earlier finding is
        left out; see ``_repeats``. If all findings are left out for this reason, the failed part is not recorded. Raises
        EndedEarly when the check was stopped.
        """
        known = [problem for problem in findings if not self._repeats(problem)]
        if known or not findings:
            self.wrong.append((why, message, tuple(known)))
        if self.stage.cancel.is_set():
            raise EndedEarly

    def _repeats(self, problem: Finding) -> bool:
        """Return True when an earlier finding already reports ``problem``. Three kinds of earlier findings are compared: those
        about an unreachable host, about an unreadable secret, and about a wrong password of `become`.
        """
        if problem.measured in self.unreachable.values():
            return True
        wrong = {error.message for error in self.stage.wrong_passwords.values()}
        if problem.measured in wrong and any(
            other.measured == problem.measured for *_, known in self.wrong for other in known
        ):
            return True
        return any(problem is not other and other.measured.endswith(f": {problem.measured}") for other in self.unusable)

    def _steps(self, steps: Sequence[PlannedStep]) -> bool:
        """Run the steps of the phase ``ready``. After a step has failed, a later step is run only if it changes
        nothing, and uses no result of a step that failed or was skipped. In this way, one check reports as many
        failures as possible.
        """
        failed, lost = False, set[str | None]()
        for group in groups(steps):
            if self.stage.cancel.is_set():
                self._skip(group, "the run was stopped")
            elif failed and not all(_stands_alone(step, lost) for step in group):
                self._skip(group, "an earlier step failed")
            elif carry_out(self.stage, group):
                continue
            failed = True
            lost |= {step.save for step in group}
        return not failed

    def _conclude(self) -> None:
        """Write all problems that the check has found to the journal as one event. Write nothing when there are no
        problems.
        """
        if not self.wrong:
            return
        whys = [why for why, _, _ in self.wrong]
        why = "refused" if "refused" in whys else whys[0]
        messages = dict.fromkeys(message for _, message, _ in self.wrong)
        self._note_early(why, "; ".join(messages), [problem for _, _, problems in self.wrong for problem in problems])

    def _open(self) -> None:
        Preparation._open(self)
        self.unreachable = {
            problem.host or "": problem.measured
            for _, _, problems in self.wrong
            for problem in problems
            if problem.title == UNREACHED
        }
        told = self.unreachable.values()
        self.wrong = [
            (
                why,
                message,
                tuple(problem for problem in problems if problem.title == UNREACHED or problem.measured not in told),
            )
            for why, message, problems in self.wrong
        ]
        self.wrong = [failure for failure in self.wrong if failure[2]]
        steps = [_elsewhere(step, self.unreachable) for step in self.plan.steps]
        conditions = [
            condition
            for condition in self.plan.guard.conditions
            if not condition.step or _elsewhere(condition.step, self.unreachable)
        ]
        guard = self.plan.guard.model_copy(update={"conditions": tuple(conditions)})
        self.stage.plan = self.plan.model_copy(update={"steps": tuple(step for step in steps if step), "guard": guard})

    def _free(self) -> None:
        try:
            held = self.stage.hold.others() if self.stage.hold and not self.unreachable else {}
        except (DrillbookError, TimeoutError) as error:
            self._end("refused", f"the locks cannot be read: {error}")
            return
        folders = tuple(self.stage.runs()) if held else ()
        known = {problem.title for problem in self.refusals}
        problems = [lock_holder.refusal(lock, owner, self.plan.service, folders) for lock, owner in held.items()]
        problems = [problem for problem in problems if problem.title not in known]
        if problems:
            locked = any(problem.code == "locked" for problem in problems)
            self._end("refused", f"another run is {'in progress' if locked else 'unfinished'}", problems)

    def _sample(self) -> None:
        if wrong := readiness.of_probes(self.stage):
            self._end("refused", "a probe is not good before the fault", wrong)

    def _conditions(self) -> None:
        if wrong := self.watch.first():
            self._end(
                "refused",
                "an abort condition is bad or cannot be checked now, but it must be good during the whole run",
                wrong,
            )


def _stands_alone(step: PlannedStep, lost: Collection[str | None]) -> bool:
    """Return True when ``step`` only reads, and uses none of the results ``lost``."""
    return step.effect is Effect.READ and not set(lost) & set(_names(step))


def _unusable(missing: Mapping[str, MissingExtra], unread: Sequence[SecretError]) -> tuple[Finding, ...]:
    """Return the findings about missing extras and unreadable secrets."""
    extras = [
        finding(
            "not-ready", title=f"extra {extra}", wanted="an installed package", measured=error.message, remedy=error.hint
        )
        for extra, error in missing.items()
    ]
    secrets = [
        finding("not-ready", title="secret", wanted="a readable secret", measured=error.message, remedy=error.hint)
        for error in unread
    ]
    return (*extras, *secrets)


def _forbidden(problems: Sequence[Finding]) -> bool:
    """Return True when the guard forbids the environment, according to ``problems``. The check then runs no command there."""
    return any(problem.code == FORBIDDEN for problem in problems)


def _elsewhere(step: PlannedStep, unreachable: Collection[str]) -> PlannedStep | None:
    """Return a copy of ``step`` without the ``unreachable`` hosts. Returns None when no host is left."""
    hosts = tuple(host for host in step.hosts if host not in unreachable)
    return step.model_copy(update={"hosts": hosts}) if hosts else None


def check(
    whole: Plan,
    observer: Observer,
    refusals: Sequence[Finding] = (),
    left_out: Sequence[Item] = (),
    recorded: Recorded = lambda: (),
    *,
    missing: Mapping[str, MissingExtra] = MappingProxyType({}),
    runs: Callable[[], Iterable[Path]] = lambda: (),
) -> Check:
    """Check the plan ``whole`` on its hosts. ``observer`` receives the events of the check.

    ``refusals``: reasons to refuse the drill that are known before a host is contacted. ``left_out``: untrusted
    commands, secrets and tools. Steps with untrusted commands are skipped. If a secret or a tool is untrusted, no host
    is contacted. ``recorded``: function that returns the commands that an earlier run executed by sudo. Each entry of its
    result holds a host, an account and a command. ``missing``: errors about extras that are not installed. ``runs``: function
    that returns the folders of the project's runs.

    Raises UsageError when a secret also appears in plain text in the plan.
    """
    silent = any(item.kind in SILENCING for item in left_out)
    unread: list[SecretError] = []
    redactor = Redactor(()) if silent else access.redactor_for(whole, unread)
    unusable, doubts, notes = _unusable(missing, unread), list[str](), list[str]()
    plan, beside = without(whole, {item.key[-1] for item in left_out})
    with tempfile.TemporaryDirectory(prefix="drillbook-check-") as name:
        journal = Journal(Path(name), redactor, origin=time.monotonic(), observer=observer)
        hosts = Hosts(lambda host: access.connect(plan.inventory, host))
        try:
            journal.append(CheckStarted(drill=plan.drill))
            stage = _stage(plan, journal, hosts, redactor, recorded)
            stage.runs = runs
            told = partial(_Checker, doubts=doubts, notes=notes)
            told(stage, hosts.open, refusals=refusals, silent=silent, unusable=unusable).check()
        finally:
            hosts.close()
            journal.close()
        result = _told(journal.path, left_out, beside, tuple(map(redactor.text, doubts)))
        return replace(_with(result, unusable), notes=tuple(map(redactor.text, notes)))


def _stage(plan: Plan, journal: Journal, hosts: Hosts, redactor: Redactor, recorded: Recorded) -> Stage:
    who, now = run_identity.operator(), datetime.now(UTC).isoformat(timespec="seconds")
    run = {"id": run_identity.new_run_id(plan.drill), "started": now, "operator": who}
    owner = Owner(run=run["id"], operator=who, controller=controller(), drill=plan.drill)
    hold = Hold(plan, journal, hosts.get, owner, Stop())
    return Stage(plan, journal, hosts.get, journal.path.parent, run, redactor, hold=hold, recorded=recorded)


def _with(result: Check, unusable: Sequence[Finding]) -> Check:
    """Return ``result`` with the exit status 2 if ``unusable`` contains findings, because a run with these findings would
    not begin. Otherwise return ``result`` unchanged.
    """
    return replace(result, exit=Exit.USAGE, unusable=True) if unusable else result


def _told(path: Path, left_out: Sequence[Item], beside: tuple[str, ...], unverified: tuple[str, ...]) -> Check:
    """Return the result of a check, as read from the journal of the check at ``path``. ``left_out``: untrusted items that the
    check left out. ``beside`` and ``unverified``: texts that are copied into the result.
    """
    events = read(path).events
    least = Exit.UNVERIFIED if left_out or unverified else Exit.OK
    ended = contents(events, RunEndedEarly)
    if not ended:
        return Check("", (), least, beside, unverified)
    failed = [fields for what in contents(events, Failed) for fields in what.findings]
    unrun = ended[0].why == Verdict.NOT_RUN or ended[0].message == UNREDACTED
    status = EXIT[Verdict.NOT_RUN if unrun else Verdict.REFUSED]
    return Check(ended[0].message, (*failed, *ended[0].findings), max(status, least), beside, unverified)


def without(plan: Plan, ids: Collection[str]) -> tuple[Plan, tuple[str, ...]]:
    """Remove the steps, probes and conditions whose ids are in ``ids`` from a plan. Then also remove the steps of the
    phase `ready` that use a result of a removed step.

    Returns the remaining plan, and a list of the steps that were removed only because they use such a result. Each step
    in the list is written as ``line: action``.
    """
    if not ids:
        return plan, ()
    gone, names = set(ids), {step.save for step in plan.steps if step.id in ids and step.save}
    for step in plan.phase("ready"):
        if step.id not in gone and names & set(_names(step)):
            gone.add(step.id)
            names |= {step.save} if step.save else set()
    steps = tuple(step for step in plan.steps if step.id not in gone)
    conditions = tuple(condition for condition in plan.guard.conditions if condition.id not in gone)
    guard = plan.guard.model_copy(update={"conditions": conditions})
    probes = tuple(probe for probe in plan.probes if probe.id not in gone)
    rest = plan.model_copy(update={"steps": steps, "probes": probes, "guard": guard})
    return rest, tuple(f"{step.line}: {step.action}" for step in plan.steps if step.id in gone - set(ids))


def _names(step: PlannedStep) -> Iterator[str]:
    """Return the names of the saved results to which expressions of ``step`` refer."""
    for text in filter(template.is_template, template.texts(step.params)):
        yield from (reference[0] for reference in template.references(text))
    for text in (step.when or "true", *step.expect):
        yield from (reference[0] for reference in template.references(text, bare=True))
