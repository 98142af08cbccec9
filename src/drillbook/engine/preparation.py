"""Preparation of a run before any fault: the guard, connections to hosts, locks, probes, the `ready` check of each step,
and the baseline, in which every probe must become good.

This module also contains the code that runs a phase. `drill.check` runs only the preparation, and leaves no run folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from drillbook.engine import lock_holder, readiness
from drillbook.engine.abort_conditions import Watch
from drillbook.engine.leases import Owner
from drillbook.engine.probing import Probes, Track
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import carry_out, groups
from drillbook.engine.stop_requests import Stop
from drillbook.errors import CouldNotVerify, DrillbookError, HostError, JournalError, Locked, message_of
from drillbook.events.event import contents
from drillbook.events.runs import PhaseEnded, PhaseStarted, RunEndedEarly
from drillbook.events.steps import Skipped
from drillbook.findings import Finding, finding
from drillbook.inventory.inventory import CONTROLLER
from drillbook.plan import guard
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan
from drillbook.sdk.action import Effect
from drillbook.sdk.host import Deadline

BASELINE_S = 15.0
"""Seconds within which every probe must become good, before the first fault."""
FIT_S = 1.0
"""Seconds without a failure after which a probe counts as good. If five samples of the probe take less time, the time of five
samples is used instead."""
UNREACHED = "host cannot be reached"
NOT_RUN = "not run here"
"""Reason that the journal records when a run ended early because this machine lacks a required service."""


class EndedEarly(Exception):
    """Raised to end a run early. The reason is in the journal already."""


@dataclass(slots=True)
class Preparation:
    """The part of a run before faults are injected. Later parts of the run also use the methods of this class."""

    stage: Stage
    open_hosts: Callable[[Sequence[str]], dict[str, HostError]]
    stop: Stop = field(default_factory=Stop)
    refusals: Sequence[Finding] = ()
    """Findings that forbid the start of the drill. They were made before any host was contacted."""
    doubts: list[str] | None = None
    """List that collects texts about things that the `ready` checks of the steps cannot verify. Only `drill.check` sets this
    list. With the list, the `ready` checks start no command of unknown cost.
    """
    notes: list[str] | None = None
    """List that collects the remarks of the `ready` checks for the reader. Only `drill.check` sets this list."""
    probes: Probes = field(init=False)
    watch: Watch = field(init=False)
    changed_at: float = field(default=-math.inf, init=False)
    """End of the last step that may have changed something, as a time on the run's clock."""
    replays: bool = field(default=False, init=False)
    """True when the run ended after the injection and before the restore. The restore must then be run later."""
    restoring: bool = field(default=False, init=False)
    """True once the restore has begun. From then on, the run continues even when its journal cannot be written."""
    early: bool = field(default=False, init=False)
    """True once the run has ended early."""

    def __post_init__(self) -> None:
        self.probes = Probes(self.stage.journal)
        self.stage.cancel = self.stop.flag
        self.stage.journal.alarm = self._unrecorded
        self.watch = Watch(self.stage, self._tripped)

    @property
    def plan(self) -> Plan:
        """Plan that the run carries out."""
        return self.stage.plan

    def _prepare(self) -> None:
        """Check every precondition of the drill, and take its locks. Raises EndedEarly when a precondition does not hold."""
        self._guard()
        self._here()
        self._open()
        self._take()
        self._start_probes()
        self._ready()
        self._baseline()
        self._watch()

    def _guard(self) -> None:
        if self.refusals:
            self._end("refused", guard.message(self.refusals), self.refusals)

    def _here(self) -> None:
        """End the run when this machine lacks a required service."""
        if lacking := guard.lacking(self.plan):
            self._end(NOT_RUN, "; ".join(problem.measured for problem in lacking), lacking)

    def _open(self) -> None:
        failed = self.open_hosts(self.plan.hosts())
        if failed:
            self._end(
                "refused",
                "some hosts cannot be reached: " + "; ".join(error.message for error in failed.values()),
                [
                    finding(
                        "not-ready",
                        title=UNREACHED,
                        wanted="an SSH connection",
                        measured=error.message,
                        remedy=error.hint,
                        host=name,
                    )
                    for name, error in failed.items()
                ],
            )
        if wrong := readiness.of_privileges(self.stage):
            self._end("refused", "; ".join(f"{problem.measured}; {problem.remedy}" for problem in wrong), wrong)

    def _take(self) -> None:
        """Take the locks. They keep other drills from using the same services."""
        if self.stage.hold is None:
            return
        try:
            self.stage.hold.take()
        except Locked as error:
            holder = Owner(run=error.run, controller=error.controller)
            refusal = lock_holder.refusal(error.message, holder, self.plan.service, self.stage.runs(), error.hint)
            self._end("refused", refusal.measured, [refusal])
        except (DrillbookError, TimeoutError) as error:
            message, unread = message_of(error), isinstance(error, CouldNotVerify)
            self._end(
                "inconclusive" if unread else "refused",
                f"the run could not take its locks: {message}",
                [finding("not-ready", title="lock", measured=message, remedy=getattr(error, "hint", ""))],
            )

    def _start_probes(self) -> None:
        for planned in self.plan.probes:
            try:
                context = self.stage.context(planned.id, CONTROLLER, Deadline.after(readiness.READY_S))
                self.probes.add(planned.id, readiness.made(self.stage, planned), context)
            except Exception as error:  # noqa: BLE001  a driver may raise any error; the drill then does not begin
                self._end(
                    "refused",
                    f"{planned.line}: the probe {planned.name} cannot start: {error}",
                    [finding("not-ready", title=f"probe {planned.name}", measured=str(error), step=planned.id)],
                )

    def _ready(self) -> None:
        self._must("ready", "refused", "the system is not ready for the drill; nothing was changed")
        wrong = [*readiness.of_steps(self.stage, self.doubts, self.notes), *readiness.of_leases(self.stage)]
        self._stopped()  # a check that the stop interrupted is not a finding
        if wrong:
            self._end("refused", "the system is not ready for the drill; nothing was changed", wrong)

    def _baseline(self) -> None:
        """Wait until every probe is good. End the run when a probe does not become good in time."""
        if track := self._not_good(lambda track: -math.inf):
            self._end(
                "inconclusive",
                f"no fault was injected, because the probe {track.id} was never good",
                [finding("probe-never-good", title=f"{track.id} {track.probe.name()}", step=track.id)],
            )

    def _not_good(self, since: Callable[[Track], float]) -> Track | None:
        """Return the first probe that does not become good in time. Returns None when all probes become good.

        Samples that began before the time ``since(track)`` do not count.
        """
        for track in self.probes.all():
            enough = partial(track.good_for, min(FIT_S, 5 * track.every), since(track))
            if not self.probes.wait(enough, BASELINE_S, self.stage.cancel):
                self._stopped()
                return track
        return None

    def _watch(self) -> None:
        """Check every abort condition, and end the run when one is not good. Then start the continuous checks."""
        wrong = self.watch.first()
        if wrong:
            said = "a condition that must stay good during the drill is bad already before the drill; nothing was changed"
            self._end("refused", said, wrong)
        self.watch.start()

    def _tripped(self, tripped: Finding) -> None:
        self.stop.ask(f"a guard stopped the run: {tripped.title}: {tripped.measured}", [tripped])

    def _unforeseen(self, error: Exception) -> None:
        self.stage.journal.patient = True
        self.replays = self.replays or not any(
            what.phase == "restore" for what in contents(self.stage.journal.decisive(), PhaseEnded)
        )
        message = str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
        self._note_early("inconclusive" if isinstance(error, JournalError) else "failed", message)

    def _unrecorded(self, why: str) -> None:
        """End the run because its journal cannot be written. A restore that has begun is finished first."""
        if not self.restoring:
            self.stop.ask(f"the journal of the run could not be written: {why}", why="inconclusive")

    def _must(self, phase: str, ended: str, message: str) -> None:
        if not self._phase(phase):
            self._stopped()
            self._end(ended, message)
        self._stopped()

    def _phase(self, phase: str) -> bool:
        steps = self.plan.phase(phase)
        if not steps:
            return True
        self.stage.journal.append(PhaseStarted(phase=phase))
        done = self._steps(steps)
        self.stage.journal.append(PhaseEnded(phase=phase, status="done" if done else "failed"), sync=True)
        return done

    def _steps(self, steps: Sequence[PlannedStep]) -> bool:
        for number, group in enumerate(grouped := groups(steps)):
            done = not self.stage.cancel.is_set() and carry_out(self.stage, group)
            if any(step.effect is not Effect.READ for step in group):
                self.changed_at = self.stage.journal.clock()
            if not done:
                why = "the run was stopped" if self.stage.cancel.is_set() else "an earlier step failed"
                self._skip([step for later in grouped[number + 1 :] for step in later], why)
                return False
        return True

    def _skip(self, steps: Sequence[PlannedStep], why: str) -> None:
        for step in steps:
            self.stage.journal.append(Skipped(why=why), step=step.id)

    def _stopped(self) -> None:
        """End the run early after a request to stop. The teardown then restores the data that faults destroyed."""
        if self.stage.cancel.is_set():
            self.replays = True
            self._end(self.stop.why, self.stop.message, self.stop.findings)

    def _note_early(self, why: str, message: str, findings: Sequence[Finding] = ()) -> None:
        self.early = True
        self.stage.journal.append(
            RunEndedEarly(why=why, message=message, findings=tuple(problem.model_dump(mode="json") for problem in findings)),
            sync=True,
        )

    def _end(self, why: str, message: str, findings: Sequence[Finding] = ()) -> None:
        self._note_early(why, message, findings)
        raise EndedEarly
