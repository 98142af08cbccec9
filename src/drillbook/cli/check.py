"""Looking whether a drill could run now: hosts, probes and every step's own check. Reads only, and leaves no run behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.cli import conduct
from drillbook.engine import readiness
from drillbook.engine.hold import Hold
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.runner import EndedEarly, Runner
from drillbook.engine.steps import Stage
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

UNREDACTED = "a secret or a tool was left out, without which nothing can be done: no host was asked"


@dataclass(frozen=True, slots=True)
class Check:
    """Result of a check; ``message`` is empty when nothing speaks against the drill."""

    message: str
    findings: tuple[dict[str, Any], ...]
    exit: int = 0
    """Exit status that a run would have had; 3 also when something was left out."""
    beside: tuple[str, ...] = ()
    """Steps that were left out because they see what one that was left out would have found."""

    @property
    def ready(self) -> bool:
        """Could the drill begin? Not when anything was left out."""
        return not self.message and not self.exit


@dataclass(slots=True)
class _Checker(Runner):
    """A run that goes forward as far as nothing is changed."""

    silent: bool = field(default=False, kw_only=True)
    """True when nothing may be asked, since a secret of it could not be hidden."""

    def check(self) -> None:
        """Look at guard, hosts, one sample of each probe, and ``ready``; the journal tells.

        A canary is not tried, since it writes.
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
                    self._end("refused", "what must stay good is not good now", wrong)
            except EndedEarly:
                pass
            except Exception as error:  # noqa: BLE001  what nobody foresaw is told like the rest
                self._unforeseen(error)

    def _free(self) -> None:
        held = self.stage.hold.others() if self.stage.hold else []
        if held:
            self._end(
                "refused",
                "another run is at work",
                [finding("locked", title=self.plan.service, measured=one) for one in held],
            )

    def _sample(self) -> None:
        if wrong := readiness.of_probes(self.stage):
            self._end("refused", "a probe is not good before anything was broken", wrong)


def check(whole: Plan, observer: Observer, refusals: Sequence[Finding] = (), left_out: Sequence[Item] = ()) -> Check:
    """Check the plan ``whole`` on its hosts; ``observer`` sees the events. Raises SecretError, UsageError.

    ``refusals`` are the reasons against it that were found without asking a host; ``left_out`` is not executed: its steps
    are not carried out, and where it is a secret, no host is asked.
    """
    silent = any(item.kind in SILENCING for item in left_out)
    redactor = Redactor(()) if silent else conduct.redactor_for(whole)
    one, beside = without(whole, {item.key[-1] for item in left_out})
    with tempfile.TemporaryDirectory(prefix="drillbook-check-") as name:
        folder = Path(name)
        journal = Journal(folder, redactor, origin=time.monotonic(), observer=observer)
        hosts = Hosts(lambda host: conduct.connect(one.inventory, host))
        who, now = conduct.operator(), datetime.now(UTC).isoformat(timespec="seconds")
        run = {"id": conduct.new_run_id(one.drill), "started": now, "operator": who}
        try:
            journal.append(CheckStarted(drill=one.drill))
            owner = Owner(run=run["id"], operator=who, controller=controller(), drill=one.drill)
            hold = Hold(one, journal, hosts.get, owner, Stop())
            stage = Stage(one, journal, hosts.get, folder, run, redactor, hold=hold)
            _Checker(stage, hosts.open, conduct.header(who), refusals=refusals, silent=silent).check()
        finally:
            hosts.close()
            journal.close()
        return _told(journal.path, left_out, beside)


def _told(path: Path, left_out: Sequence[Item], beside: tuple[str, ...]) -> Check:
    """The check whose journal is ``path``."""
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
    """``plan`` without the steps and conditions ``ids``, and without the steps of `ready` that see what these save.

    The second part of what is returned names the latter.
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
    """Names that expressions of ``step`` refer to."""
    for text in filter(template.is_template, template.texts(step.params)):
        yield from (reference[0] for reference in template.references(text))
    for text in (step.when or "true", *step.expect):
        yield from (reference[0] for reference in template.references(text, bare=True))
