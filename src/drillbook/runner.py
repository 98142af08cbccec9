"""Running a plan: the phases in order, probes beside them, everything journalled, and at the end everything put back.

The runner decides what happens next; it judges nothing. What a run showed is read from its journal by ``judge``.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

from drillbook import template
from drillbook.action import Effect
from drillbook.errors import DrillbookError, HostError
from drillbook.findings import Finding, finding
from drillbook.host import Deadline
from drillbook.intents import intents
from drillbook.inventory import CONTROLLER
from drillbook.journal import read
from drillbook.plan import Plan, PlannedProbe, PlannedStep
from drillbook.probe import Availability, Canary, find_probe
from drillbook.probing import Probes
from drillbook.result import Residue
from drillbook.revert import clean_canary, put_back, remove_scratch
from drillbook.steps import Stage, carry_out, for_ready, groups

BASELINE_S = 15.0
"""Time in which every probe must be good once before anything is broken."""
SETTLE_S = 1.0
"""A service counts as recovered when it was good without a break for this long, or for five intervals."""
SETTLE_LIMIT_S = 60.0
DETECT_LIMIT_S = 10.0
READY_S = 30.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _EndedEarly(Exception):
    """The run goes no further, for a reason that the journal holds."""


@dataclass(slots=True)
class Runner:
    """One run of a plan."""

    stage: Stage
    open_hosts: Callable[[Sequence[str]], dict[str, HostError]]
    header: dict[str, Any]
    probes: Probes = field(init=False)
    injected: bool = field(default=False, init=False)
    injected_at: float = field(default=0.0, init=False)
    underway: bool = field(default=False, init=False)
    """True once the drill was found ready: before that nothing was touched, and there is nothing to clean up."""

    def __post_init__(self) -> None:
        self.probes = Probes(self.stage.journal)

    @property
    def plan(self) -> Plan:
        """The plan that is run."""
        return self.stage.plan

    def run(self) -> None:
        """Run the plan to its end, whatever happens; the journal then holds ``run.finished``."""
        stage = self.stage
        stage.journal.append("run.started", {"run": stage.run["id"], "plan": self.plan.model_dump(mode="json"),
                                             "plan_digest": self.plan.digest, **self.header}, sync=True)
        residue: list[Residue] = []
        with self._signals():
            try:
                self._forward()
            except _EndedEarly:
                pass
            except Exception as error:  # noqa: BLE001  what nobody foresaw must not keep the rest from being put back
                self._unforeseen(error)
            finally:
                residue = self._backward()
        stage.journal.append("run.finished", {"residue": [one.model_dump(mode="json") for one in residue],
                                              "unwritten": stage.journal.failure}, sync=True)

    def check(self) -> None:
        """Go forward as far as nothing is changed: guard, hosts, one sample of each probe, ``ready``; the journal tells.

        A canary is not tried, since it writes.
        """
        with self._signals():
            try:
                self._guard()
                self._open()
                self._sample()
                self._ready()
            except _EndedEarly:
                pass
            except Exception as error:  # noqa: BLE001  what nobody foresaw is told like the rest
                self._unforeseen(error)

    def _sample(self) -> None:
        wrong: list[Finding] = []
        for planned in self.plan.probes:
            try:
                probe = self._probe(planned)
                context = self.stage.context(planned.id, CONTROLLER, Deadline.after(READY_S))
                bad = probe.check(context) if isinstance(probe, Availability) else None
            except Exception as error:  # noqa: BLE001  a driver may raise anything
                bad = str(error)
            if bad is not None:
                wrong.append(finding("not-ready", title=f"probe {planned.name}", wanted="a good sample", measured=bad,
                                     step=planned.id))
        if wrong:
            self._end("refused", "a probe is not good before anything was broken", wrong)

    def _unforeseen(self, error: Exception) -> None:
        self.stage.journal.patient = True
        message = str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
        self._note_early("failed", message)

    def _forward(self) -> None:
        self._guard()
        self._open()
        self._start_probes()
        self._ready()
        self._baseline()
        self.underway = True
        self._must("backup", "failed", "the backup failed; nothing was injected")
        self._inject()
        self._detect()
        self._must("restore", "failed", "the restore failed")
        self._verify()

    def _guard(self) -> None:
        environment = self.plan.inventory.environment
        if environment not in self.plan.environments:
            allowed = ", ".join(self.plan.environments)
            self._end("refused", f"the drill may run in {allowed}, not in {environment}",
                      [finding("not-ready", title="environment", wanted=allowed, measured=environment,
                               remedy="Add the environment to `guard.environments` if the drill is meant for it.")])

    def _open(self) -> None:
        failed = self.open_hosts(self.plan.hosts())
        if failed:
            self._end("refused", "not every host can be reached: " + "; ".join(error.message for error in failed.values()),
                      [finding("not-ready", title="host cannot be reached", wanted="an SSH connection",
                               measured=error.message, remedy=error.hint, host=name) for name, error in failed.items()])

    def _start_probes(self) -> None:
        for planned in self.plan.probes:
            try:
                context = self.stage.context(planned.id, CONTROLLER, Deadline.after(READY_S))
                self.probes.add(planned.id, self._probe(planned), context)
            except Exception as error:  # noqa: BLE001  a driver may raise anything; the drill then never begins
                self._end("refused", f"{planned.line}: the probe {planned.name} cannot start: {error}",
                          [finding("not-ready", title=f"probe {planned.name}", measured=str(error), step=planned.id)])

    def _probe(self, planned: PlannedProbe) -> Availability | Canary:
        params = template.evaluate(planned.params, self.stage.names())
        probe: Availability | Canary = find_probe(planned.name).model_validate(params)
        return probe

    def _ready(self) -> None:
        self._must("ready", "refused", "the system is not ready; nothing was touched")
        wrong = [problem for step in self.plan.steps for host in step.hosts if (problem := self._not_ready(step, host))]
        if wrong:
            self._end("refused", "the system is not ready; nothing was touched", wrong)

    def _not_ready(self, step: PlannedStep, host: str) -> Finding | None:
        try:
            context = self.stage.context(step.id, host, self.stage.deadline(READY_S))
            for_ready(step, self.stage.names()).ready(context)
        except Exception as error:  # noqa: BLE001  whatever keeps a step from being ready refuses the drill
            hint = getattr(error, "hint", "")
            return finding("not-ready", title=step.action, measured=getattr(error, "message", str(error)), step=step.id,
                           host=host, remedy=hint)
        return None

    def _baseline(self) -> None:
        for track in self.probes.all():
            enough = min(SETTLE_S, 5 * track.every)
            if not self.probes.wait(partial(track.good_for, enough), BASELINE_S, self.stage.cancel):
                self._stopped()
                self._end("inconclusive", f"the probe {track.id} was never good, so nothing was broken", [
                    finding("probe-never-good", title=f"{track.id} {track.probe.name()}", step=track.id)])

    def _inject(self) -> None:
        steps = self.plan.phase("inject")
        self._gate(steps)
        self.injected_at = self.stage.journal.clock()
        self.injected = any(step.effect is Effect.FAULT for step in steps)
        if not self._phase("inject"):
            self._stopped()
            self._note_early("inconclusive", "the fault could not be injected as planned; it is put back")
            self._replay_if_needed()
            raise _EndedEarly

    def _gate(self, steps: Sequence[PlannedStep]) -> None:
        """What only a restore mends is broken only when a backup of this very run was read back and found whole."""
        done = {event.step for event in read(self.stage.journal.path).events if event.kind == "done"}
        proven = {step.params.get("service") for step in self.plan.phase("backup") if step.proves_backup and step.id in done}
        if any(step.restore_only and step.params.get("service") not in proven for step in steps):
            self._end("inconclusive", "no backup was proven whole in this run, so nothing was broken")

    def _detect(self) -> None:
        if not self.injected:
            return
        self.stage.journal.append("phase.started", {"phase": "detect"})
        limit = self.plan.objectives.get("detect", DETECT_LIMIT_S)
        if self.probes.availability:
            self.probes.wait(lambda: any(track.bad_since(self.injected_at) for track in self.probes.availability),
                             limit, self.stage.cancel)
        done = self._steps(self.plan.phase("detect"))
        self.stage.journal.append("phase.ended", {"phase": "detect", "status": "done" if done else "failed"}, sync=True)
        self._stopped()

    def _verify(self) -> None:
        self._verify_phase()
        self._stopped()

    def _verify_phase(self) -> None:
        """Carry out the verify phase; when it went well, it ends once every probe was good for long enough."""
        self.stage.journal.append("phase.started", {"phase": "verify"})
        done = self._look_on(self.plan.phase("verify"))
        for track in self.probes.all() if done else ():
            enough = max(SETTLE_S, 5 * track.every)
            self.probes.wait(partial(track.good_for, enough), SETTLE_LIMIT_S, self.stage.cancel)
        self.stage.journal.append("phase.ended", {"phase": "verify", "status": "done" if done else "failed"}, sync=True)

    def _look_on(self, steps: Sequence[PlannedStep]) -> bool:
        """Verify: after a failure the steps that only read go on, to see all that is wrong; the first other one ends it."""
        good = True
        for number, group in enumerate(found := groups(steps)):
            if not good and any(step.effect is not Effect.READ for step in group):
                self._skip([step for later in found[number:] for step in later], "a verification before it failed")
                return False
            if self.stage.cancel.is_set():
                return False
            good = carry_out(self.stage, group) and good
        return good

    def _must(self, phase: str, ended: str, message: str) -> None:
        if not self._phase(phase):
            self._stopped()
            self._end(ended, message)
        self._stopped()

    def _phase(self, phase: str) -> bool:
        steps = self.plan.phase(phase)
        if not steps:
            return True
        self.stage.journal.append("phase.started", {"phase": phase})
        done = self._steps(steps)
        self.stage.journal.append("phase.ended", {"phase": phase, "status": "done" if done else "failed"}, sync=True)
        return done

    def _steps(self, steps: Sequence[PlannedStep]) -> bool:
        for number, group in enumerate(found := groups(steps)):
            if self.stage.cancel.is_set() or not carry_out(self.stage, group):
                self._skip([step for later in found[number + 1:] for step in later], "a step before it failed")
                return False
        return True

    def _skip(self, steps: Sequence[PlannedStep], why: str) -> None:
        for step in steps:
            self.stage.journal.append("skipped", {"why": why}, step=step.id)

    def _stopped(self) -> None:
        """End the run when somebody stopped it; a fault that only a restore mends is mended first."""
        if self.stage.cancel.is_set():
            self._note_early("aborted", "the run was stopped")
            self._replay_if_needed()
            raise _EndedEarly

    def _replay_if_needed(self) -> None:
        """Restore and verify when something only a restore can mend was, or may have been, broken."""
        found = intents(read(self.stage.journal.path).events, self.plan.steps)
        self.stage.cancel = threading.Event()
        if any(intent.undo.kind == "restore" for intent in found) and self._phase("restore"):
            self._verify_phase()

    def _note_early(self, why: str, message: str, found: Sequence[Finding] = ()) -> None:
        self.stage.journal.append("ended.early", {"why": why, "message": message,
                                                  "findings": [one.model_dump(mode="json") for one in found]}, sync=True)

    def _end(self, why: str, message: str, found: Sequence[Finding] = ()) -> None:
        self._note_early(why, message, found)
        raise _EndedEarly

    def _backward(self) -> list[Residue]:
        """Clean up and put everything back; no part of it can keep another from being done."""
        stage = self.stage
        stage.cancel = threading.Event()
        stage.journal.patient = True
        residue: list[Residue] = []
        self._part(residue, "canary", self._read_back)
        if self.underway:
            self._part(residue, "cleanup", self._cleanup)
        self._part(residue, "undo", lambda: put_back(stage, read(stage.journal.path).events))
        self._part(residue, "probes", self._stop_probes)
        for canary in self.probes.canaries:
            self._part(residue, canary.id, partial(clean_canary, stage, canary.id, canary.probe))
        self._part(residue, "scratch", lambda: remove_scratch(stage, self._touched()))
        return residue

    def _part(self, residue: list[Residue], what: str, work: Callable[[], list[Residue]]) -> None:
        try:
            residue += work()
        except Exception as error:  # noqa: BLE001  it becomes residue
            residue.append(Residue(step=what, host=CONTROLLER, what=f"the part `{what}` of putting things back broke off",
                                   why=f"{type(error).__name__}: {error}", by_hand="invoke drill.recover"))

    def _read_back(self) -> list[Residue]:
        for canary in self.probes.canaries:
            canary.stop()
            canary.read_back(self.stage.context(canary.id, CONTROLLER, Deadline.after(READY_S)))
        return []

    def _cleanup(self) -> list[Residue]:
        self._phase("cleanup")
        return []

    def _stop_probes(self) -> list[Residue]:
        self.probes.stop()
        return []

    def _touched(self) -> list[str]:
        """Hosts on which a step began: each may hold temporary files."""
        events = read(self.stage.journal.path).events
        return sorted({str(event.host) for event in events if event.kind == "step.started" and event.host})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """INT, TERM and HUP set the stop flag; what was broken is still put back."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        # Only the way forward can be stopped: replays and undoing run under flags of their own, so a second signal
        # is noted and changes nothing. The flag is set in a thread, since its lock may be held right here.
        forward = self.stage.cancel

        def stop(number: int, frame: FrameType | None) -> None:
            del frame
            threading.Thread(target=self._stop, args=(forward, number), daemon=True).start()

        before = {number: signal.signal(number, stop) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, forward: threading.Event, number: int) -> None:
        again = forward.is_set()
        forward.set()
        self.stage.journal.append("signal", {"name": signal.Signals(number).name, "again": again})
