"""Read-only check if a drill could start now: its hosts, its probes, and the steps of its phase `ready`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.cli import access, run_identity
from drillbook.engine import readiness
from drillbook.engine.hold import Hold
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.preparation import EndedEarly, Preparation
from drillbook.engine.stage import Stage
from drillbook.engine.stop_requests import Stop, by_signals
from drillbook.events.event import contents
from drillbook.events.runs import CheckStarted, RunEndedEarly
from drillbook.events.steps import Failed
from drillbook.exits import Exit
from drillbook.findings import Finding, finding
from drillbook.journal.journal import Journal, Observer, read
from drillbook.judge.result import EXIT, Verdict
from drillbook.language import template
from drillbook.plan.plan import PlannedStep
from drillbook.plan.planner import Plan
from drillbook.redact import Redactor
from drillbook.trust.items import SILENCING, Item

UNREDACTED = "no host was contacted: the check needs a secret or tool that is not trusted"


@dataclass(frozen=True, slots=True)
class Check:
    """Result of a check; ``message`` is empty when the drill could begin."""

    message: str
    findings: tuple[dict[str, Any], ...]
    exit: int = 0
    """Exit status that a run would return; at least 3 when untrusted commands or secrets were left out of the check."""
    beside: tuple[str, ...] = ()
    """`ready` steps that were skipped because they use results of skipped steps; each as ``line: action``."""

    @property
    def ready(self) -> bool:
        """Return True when the drill could begin and the check left nothing out."""
        return not self.message and not self.exit


@dataclass(slots=True)
class _Checker(Preparation):
    """Performs the read-only part of a run's preparation, and stops before anything is changed."""

    silent: bool = field(default=False, kw_only=True)
    """True when no host may be contacted, because a secret cannot be redacted."""

    def check(self) -> None:
        """Check the guard, the hosts, one sample of each probe, and the phase ``ready``; write the results to the journal.

        Canaries (probes that write rows) are skipped.
        """
        with by_signals(self.stop, self.stage.journal):
            try:
                self._guard()
                self._here()
                if self.silent:
                    self._end(Verdict.INCONCLUSIVE, UNREDACTED)
                self._open()
                self._free()
                self._sample()
                self._ready()
                if wrong := self.watch.first():
                    self._end("refused", "an abort condition does not hold now", wrong)
            except EndedEarly:
                pass
            except Exception as error:  # noqa: BLE001  any other error also ends the check
                self._unforeseen(error)

    def _free(self) -> None:
        held = self.stage.hold.others() if self.stage.hold else []
        if held:
            self._end(
                "refused",
                "another run is in progress",
                [finding("locked", title=self.plan.service, measured=one) for one in held],
            )

    def _sample(self) -> None:
        if wrong := readiness.of_probes(self.stage):
            self._end("refused", "a probe is not good before the fault", wrong)


def check(whole: Plan, observer: Observer, refusals: Sequence[Finding] = (), left_out: Sequence[Item] = ()) -> Check:
    """Check the plan ``whole`` on its hosts; ``observer`` receives the events of the check. Raises SecretError, UsageError.

    ``refusals`` are reasons to refuse the drill that were found without contacting a host. ``left_out`` are the untrusted
    commands, secrets and tools: steps with untrusted commands are skipped; with an untrusted secret or tool, no host
    is contacted.
    """
    silent = any(item.kind in SILENCING for item in left_out)
    redactor = Redactor(()) if silent else access.redactor_for(whole)
    one, beside = without(whole, {item.key[-1] for item in left_out})
    with tempfile.TemporaryDirectory(prefix="drillbook-check-") as name:
        folder = Path(name)
        journal = Journal(folder, redactor, origin=time.monotonic(), observer=observer)
        hosts = Hosts(lambda host: access.connect(one.inventory, host))
        who, now = run_identity.operator(), datetime.now(UTC).isoformat(timespec="seconds")
        run = {"id": run_identity.new_run_id(one.drill), "started": now, "operator": who}
        try:
            journal.append(CheckStarted(drill=one.drill))
            owner = Owner(run=run["id"], operator=who, controller=controller(), drill=one.drill)
            hold = Hold(one, journal, hosts.get, owner, Stop())
            stage = Stage(one, journal, hosts.get, folder, run, redactor, hold=hold)
            _Checker(stage, hosts.open, refusals=refusals, silent=silent).check()
        finally:
            hosts.close()
            journal.close()
        return _told(journal.path, left_out, beside)


def _told(path: Path, left_out: Sequence[Item], beside: tuple[str, ...]) -> Check:
    """Read the journal of a check at ``path``, and return the result of the check."""
    events = read(path).events
    least = Exit.UNVERIFIED if left_out else 0
    ended = contents(events, RunEndedEarly)
    if not ended:
        return Check("", (), least, beside)
    failed = [found for what in contents(events, Failed) for found in what.findings]
    unrun = ended[0].why == Verdict.NOT_RUN or ended[0].message == UNREDACTED
    status = EXIT[Verdict.NOT_RUN if unrun else Verdict.REFUSED]
    return Check(ended[0].message, (*failed, *ended[0].findings), max(status, least), beside)


def without(plan: Plan, ids: Collection[str]) -> tuple[Plan, tuple[str, ...]]:
    """Return ``plan`` without the steps and conditions ``ids``, and without the `ready` steps that use their results.

    Also returns a text ``line: action`` for each `ready` step removed because it uses such a result.
    """
    if not ids:
        return plan, ()
    gone, names = set(ids), {step.save for step in plan.steps if step.id in ids and step.save}
    for step in plan.phase("ready"):
        if step.id not in gone and names & set(_names(step)):
            gone.add(step.id)
            names |= {step.save} if step.save else set()
    steps = tuple(step for step in plan.steps if step.id not in gone)
    conditions = tuple(one for one in plan.guard.conditions if one.id not in gone)
    rest = plan.model_copy(update={"steps": steps, "guard": plan.guard.model_copy(update={"conditions": conditions})})
    return rest, tuple(f"{step.line}: {step.action}" for step in plan.steps if step.id in gone - set(ids))


def _names(step: PlannedStep) -> Iterator[str]:
    """Names of saved results that expressions of ``step`` refer to."""
    for text in filter(template.is_template, template.texts(step.params)):
        yield from (reference[0] for reference in template.references(text))
    for text in (step.when or "true", *step.expect):
        yield from (reference[0] for reference in template.references(text, bare=True))
