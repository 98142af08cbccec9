"""Running a plan: the phases in order, probes beside them, everything journalled, and at the end everything put back.

The runner decides what happens next; it judges nothing. What a run showed is read from its journal by ``judge``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from drillbook.engine import readiness
from drillbook.engine.abort_conditions import Watch
from drillbook.engine.backup_gate import Gate
from drillbook.engine.probing import Probes, Track
from drillbook.engine.revert import needs_restore
from drillbook.engine.steps import Stage, carry_out, groups
from drillbook.engine.stop_requests import Stop, by_signals
from drillbook.engine.teardown import Ending
from drillbook.errors import CouldNotVerify, DrillbookError, HostError, HostUnreachable, JournalError, Locked
from drillbook.events.event import contents, each
from drillbook.events.runs import (
    CapacityHistory,
    PhaseEnded,
    PhaseStarted,
    RunEndedEarly,
    RunFinished,
    RunSession,
    RunStarted,
    Session,
)
from drillbook.events.steps import Failed, IntentRecorded, Skipped
from drillbook.findings import Finding, finding
from drillbook.inventory.inventory import CONTROLLER
from drillbook.judge.result import Residue
from drillbook.judge.samples import enough_s
from drillbook.plan import guard
from drillbook.plan.planner import Plan, PlannedStep
from drillbook.sdk.action import Effect
from drillbook.sdk.host import Deadline

BASELINE_S = 15.0
"""Time in which every probe must be good once before anything is broken."""
FIT_S = 1.0
"""A probe is ready once it was good without a break for this long, or for five intervals where these are shorter."""
DETECT_LIMIT_S = 10.0
NOT_RUN = "not run here"
"""End of a run of which a service is not there."""


class EndedEarly(Exception):
    """The run goes no further, for a reason that the journal holds."""


@dataclass(slots=True)
class Runner:
    """One run of a plan."""

    stage: Stage
    open_hosts: Callable[[Sequence[str]], dict[str, HostError]]
    header: Session | RunSession
    stop: Stop = field(default_factory=Stop)
    refusals: Sequence[Finding] = ()
    """Why the drill may not begin, found before any host was asked."""
    history: Callable[[], list[dict[str, Any]]] | None = None
    """What earlier runs measured of the size of services; asked at the end, when the plan measures it too."""
    vouch: Callable[[str], None] = field(default=lambda occasion: None)  # signs the head of the journal
    probes: Probes = field(init=False)
    watch: Watch = field(init=False)
    injected: bool = field(default=False, init=False)
    injected_at: float = field(default=0.0, init=False)
    changed_at: float = field(default=-math.inf, init=False)
    """When the last step ended that may have changed something."""
    underway: bool = field(default=False, init=False)
    """True once the drill was found ready: before that nothing was touched, and there is nothing to clean up."""
    replays: bool = field(default=False, init=False)
    """True when the run ended between the injection and the restore, so that the restore is still to be carried out."""
    restoring: bool = field(default=False, init=False)
    """True once the restore has begun: what is told from then on does not end it."""
    recovered: bool = field(default=False, init=False)
    """True when the verification went well, and was not stopped."""
    early: bool = field(default=False, init=False)
    """True once the run ended early."""

    def __post_init__(self) -> None:
        self.probes = Probes(self.stage.journal)
        self.stage.cancel = self.stop.flag
        self.stage.journal.alarm = self._unrecorded
        self.watch = Watch(self.stage, self._tripped)

    @property
    def plan(self) -> Plan:
        """The plan that is run."""
        return self.stage.plan

    def run(self) -> list[Residue]:
        """Run the plan to its end, whatever happens; the journal then holds ``run.finished``. Returns what is left."""
        stage = self.stage
        stage.journal.append(
            RunStarted(
                run=stage.run["id"], plan=self.plan.model_dump(mode="json"), plan_digest=self.plan.digest, **self.header
            ),
            sync=True,
        )
        residue: list[Residue] = []
        with by_signals(self.stop, stage.journal):
            try:
                self.vouch("begin")
                self._forward()
            except EndedEarly:
                pass
            except Exception as error:  # noqa: BLE001  what nobody foresaw must not keep the rest from being put back
                self._unforeseen(error)
            finally:
                self.watch.stop()
                stage.cancel = threading.Event()
                cleanup = self._cleanup if self.underway else None
                residue = Ending(
                    stage,
                    self.probes,
                    self.stop,
                    cleanup,
                    self._replay if self.replays else None,
                    self._settle_anew,
                    early=self._broken_off(),
                ).run()
        self._remember()
        stage.journal.append(
            RunFinished(residue=tuple(one.model_dump(mode="json") for one in residue), unwritten=stage.journal.failure),
            sync=True,
        )
        return residue

    def _remember(self) -> None:
        """Put what earlier runs measured into this journal, so that its report shows the same wherever it is made again."""
        if self.history is None:
            return
        try:
            self.stage.journal.append(CapacityHistory(points=tuple(self.history())))
        except Exception as error:  # noqa: BLE001  a look at the past must not cost this run its last word
            self.stage.journal.append(CapacityHistory(points=(), message=f"{type(error).__name__}: {error}"))

    def _unforeseen(self, error: Exception) -> None:
        self.stage.journal.patient = True
        self.replays = self.replays or not any(
            what.phase == "restore" for what in contents(self.stage.journal.decisive(), PhaseEnded)
        )
        message = str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
        self._note_early("inconclusive" if isinstance(error, JournalError) else "failed", message)

    def _unrecorded(self, why: str) -> None:
        """Go no further than what puts things back; a restore that has begun already does."""
        if not self.restoring:
            self.stop.ask(f"the run could not be recorded: {why}", why="inconclusive")

    def _forward(self) -> None:
        self._guard()
        self._here()
        self._open()
        self._take()
        self._start_probes()
        self._ready()
        self._baseline()
        self._watch()
        self.underway = True
        self._must("backup", "failed", "the backup failed; nothing was injected")
        self._inject()
        self._detect()
        self._diagnose()
        self._restore()
        self._verify()

    def _guard(self) -> None:
        if self.refusals:
            self._end("refused", guard.message(self.refusals), self.refusals)

    def _here(self) -> None:
        """A drill of which a service is not there could not be judged: it is not run."""
        if lacking := guard.lacking(self.plan):
            self._end(NOT_RUN, "; ".join(one.measured for one in lacking), lacking)

    def _open(self) -> None:
        failed = self.open_hosts(self.plan.hosts())
        if failed:
            self._end(
                "refused",
                "not every host can be reached: " + "; ".join(error.message for error in failed.values()),
                [
                    finding(
                        "not-ready",
                        title="host cannot be reached",
                        wanted="an SSH connection",
                        measured=error.message,
                        remedy=error.hint,
                        host=name,
                    )
                    for name, error in failed.items()
                ],
            )

    def _take(self) -> None:
        """Take the locks, so that no other drill works on the same services."""
        if self.stage.hold is None:
            return
        try:
            self.stage.hold.take()
        except Locked as error:
            self._end(
                "refused",
                error.message,
                [finding("locked", title=self.plan.service, measured=error.message, remedy=error.hint)],
            )
        except (DrillbookError, TimeoutError) as error:
            message, unread = getattr(error, "message", str(error)), isinstance(error, CouldNotVerify)
            self._end(
                "inconclusive" if unread else "refused",
                f"no lock could be taken: {message}",
                [finding("not-ready", title="lock", measured=message, remedy=getattr(error, "hint", ""))],
            )

    def _start_probes(self) -> None:
        for planned in self.plan.probes:
            try:
                context = self.stage.context(planned.id, CONTROLLER, Deadline.after(readiness.READY_S))
                self.probes.add(planned.id, readiness.made(self.stage, planned), context)
            except Exception as error:  # noqa: BLE001  a driver may raise anything; the drill then never begins
                self._end(
                    "refused",
                    f"{planned.line}: the probe {planned.name} cannot start: {error}",
                    [finding("not-ready", title=f"probe {planned.name}", measured=str(error), step=planned.id)],
                )

    def _ready(self) -> None:
        self._must("ready", "refused", "the system is not ready; nothing was touched")
        wrong = [*readiness.of_steps(self.stage), *readiness.of_leases(self.stage)]
        self._stopped()  # a check that was stopped found nothing out
        if wrong:
            self._end("refused", "the system is not ready; nothing was touched", wrong)

    def _baseline(self) -> None:
        """Wait until every probe is good."""
        if track := self._not_good(lambda track: -math.inf):
            self._end(
                "inconclusive",
                f"the probe {track.id} was never good, so nothing was broken",
                [finding("probe-never-good", title=f"{track.id} {track.probe.name()}", step=track.id)],
            )

    def _good_still(self) -> None:
        """Every probe must be good right before the injection too, or what it sees is not the fault's.

        It takes no time where they are, and were since the last step that changed something.
        """
        begun = self.stage.journal.clock()
        if track := self._not_good(lambda track: max(self.changed_at, begun - enough_s(track.every))):
            self._end(
                "inconclusive",
                f"the probe {track.id} was not good right before the fault, so nothing was broken",
                [finding("probe-bad-before", title=f"{track.id} {track.probe.name()}", step=track.id)],
            )

    def _not_good(self, since: Callable[[Track], float]) -> Track | None:
        """The first probe that does not become good in time; ``since`` tells from when on a sample must be of it."""
        for track in self.probes.all():
            enough = partial(track.good_for, min(FIT_S, 5 * track.every), since(track))
            if not self.probes.wait(enough, BASELINE_S, self.stage.cancel):
                self._stopped()
                return track
        return None

    def _watch(self) -> None:
        """Look at what must stay good, and from now on beside everything; when it is not good now, nothing is touched."""
        wrong = self.watch.first()
        if wrong:
            self._end("refused", "what must stay good is not good now; nothing was touched", wrong)
        self.watch.start()

    def _tripped(self, found: Finding) -> None:
        self.stop.ask(f"a guard stopped the run: {found.title}: {found.measured}", [found])

    def _inject(self) -> None:
        steps = self.plan.phase("inject")
        self._gate(steps)
        self.injected = any(step.effect is Effect.FAULT for step in steps)
        if self.injected:
            self.vouch("inject")
            self._good_still()
        self.injected_at = self.stage.journal.clock()
        if not self._phase("inject"):
            self._stopped()
            self.replays = True
            self._end("inconclusive", "the fault could not be injected as planned")

    def _gate(self, steps: Sequence[PlannedStep]) -> None:
        """Require a backup proven in this run, of the very thing that a restore-only fault destroys, and its restore."""
        refusals = Gate(self.stage, self.stage.journal.decisive()).refusals(steps)
        self._stopped()
        if refusals:
            self._end(
                "inconclusive",
                "no backup was proven whole in this run of what would be destroyed, so nothing was broken",
                refusals,
            )

    def _detect(self) -> None:
        if not self.injected:
            return
        self.stage.journal.append(PhaseStarted(phase="detect"))
        limit = self.plan.objectives.get("detect", DETECT_LIMIT_S)
        if self.probes.availability:
            self.probes.wait(
                lambda: any(track.bad_since(self.injected_at) for track in self.probes.availability),
                limit,
                self.stage.cancel,
            )
        done = self._steps(self.plan.phase("detect"))
        self.stage.journal.append(PhaseEnded(phase="detect", status="done" if done else "failed"), sync=True)
        self._stopped()

    def _diagnose(self) -> None:
        """Look for the cause; what is found or not is judged later, and keeps nothing from being restored."""
        self._phase("diagnose")
        self._stopped()

    def _restore(self) -> None:
        """Restore; one that failed because a host was lost on the way is carried out again once the host answers."""
        self.restoring = True
        if not self._phase("restore"):
            self._stopped()
            steps = {step.id for step in self.plan.phase("restore")}
            self.replays = any(
                event.step in steps and what.code == HostUnreachable.code
                for event, what in each(self.stage.journal.decisive(), Failed)
            )
            self._end("failed", "the restore failed")
        self._stopped()

    def _verify(self) -> None:
        self._verify_phase(self.stage.cancel)
        self._affirm()
        self._stopped()

    def _affirm(self) -> None:
        """A run that stood still may have lost its locks, and its targets their faults, without having heard of it yet."""
        try:
            if self.stage.hold and not self.stage.cancel.is_set():
                self.stage.hold.affirm()
        except (DrillbookError, TimeoutError) as error:
            self._stopped()
            self._end(
                "inconclusive",
                f"whether the targets were held to the end could not be asked: {getattr(error, 'message', str(error))}",
            )

    def _verify_phase(self, cancel: threading.Event) -> None:
        """Carry out the verify phase; when it went well, it ends once every probe was good for long enough."""
        self.stage.journal.append(PhaseStarted(phase="verify"))
        done = self._look_on(self.plan.phase("verify"))
        if done:
            self.probes.settle(self.probes.all(), cancel, "verify")
        self.recovered = done and not cancel.is_set()
        status = "interrupted" if cancel.is_set() else "done" if done else "failed"
        self.stage.journal.append(PhaseEnded(phase="verify", status=status), sync=True)

    def _cleanup(self) -> None:
        """Carry out the cleanup."""
        changes = any(step.effect is not Effect.READ for step in self.plan.phase("cleanup"))
        if self._phase("cleanup") and changes and self.recovered:
            self._settle_anew()

    def _settle_anew(self) -> None:
        """Wait for services that the drill's own cleanup or undo interrupted.

        Not after a verification that failed: that decides.
        """
        if self.recovered or self._broken_off():
            self.probes.settle(
                self.probes.availability, self.stop.hurry, "early end" if self.early else "undo", self.stage.journal.clock()
            )

    def _broken_off(self) -> bool:
        """Did the run end early after a fault was announced? Its probes may then still see what is being put back."""
        return self.early and any(
            what.effect == Effect.FAULT for what in contents(self.stage.journal.decisive(), IntentRecorded)
        )

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
        self.stage.journal.append(PhaseStarted(phase=phase))
        done = self._steps(steps)
        self.stage.journal.append(PhaseEnded(phase=phase, status="done" if done else "failed"), sync=True)
        return done

    def _steps(self, steps: Sequence[PlannedStep]) -> bool:
        for number, group in enumerate(found := groups(steps)):
            done = not self.stage.cancel.is_set() and carry_out(self.stage, group)
            if any(step.effect is not Effect.READ for step in group):
                self.changed_at = self.stage.journal.clock()
            if not done:
                self._skip([step for later in found[number + 1 :] for step in later], "a step before it failed")
                return False
        return True

    def _skip(self, steps: Sequence[PlannedStep], why: str) -> None:
        for step in steps:
            self.stage.journal.append(Skipped(why=why), step=step.id)

    def _stopped(self) -> None:
        """End the run when somebody stopped it; a fault that only a restore mends is mended first."""
        if self.stage.cancel.is_set():
            self.replays = True
            self._end(self.stop.why, self.stop.message, self.stop.findings)

    def _replay(self) -> None:
        """Restore and verify when something only a restore can mend was, or may have been, broken."""
        if needs_restore(self.stage, self.stage.journal.decisive()) and self._phase("restore"):
            self._verify_phase(self.stop.hurry)

    def _note_early(self, why: str, message: str, found: Sequence[Finding] = ()) -> None:
        self.early = True
        self.stage.journal.append(
            RunEndedEarly(why=why, message=message, findings=tuple(one.model_dump(mode="json") for one in found)), sync=True
        )

    def _end(self, why: str, message: str, found: Sequence[Finding] = ()) -> None:
        self._note_early(why, message, found)
        raise EndedEarly
