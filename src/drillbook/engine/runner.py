"""Runs a plan. The phases run in their order, and the probes run in parallel with them. The runner journals every event, and
undoes every change at the end.

The runner does not judge the run: ``judge`` derives the result from the journal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drillbook.engine.backup_gate import Gate
from drillbook.engine.preparation import EndedEarly, Preparation
from drillbook.engine.revert import needs_restore
from drillbook.engine.steps import carry_out, groups
from drillbook.engine.stop_requests import by_signals
from drillbook.engine.teardown import Ending
from drillbook.errors import DrillbookError, HostUnreachable
from drillbook.events.event import contents, each
from drillbook.events.runs import (
    CapacityHistory,
    EarlierRuns,
    PhaseEnded,
    PhaseStarted,
    RunFinished,
    RunStarted,
)
from drillbook.events.session import RunSession, Session
from drillbook.events.steps import Failed, IntentRecorded
from drillbook.findings import finding
from drillbook.judge.result import Residue
from drillbook.judge.samples import enough_s
from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk.action import Effect

DETECT_LIMIT_S = 10.0


@dataclass(slots=True)
class Runner(Preparation):
    """One run of a plan."""

    header: Session | RunSession = field(kw_only=True)
    """Extra fields of the `run.started` event."""
    history: Callable[[], list[dict[str, Any]]] | None = field(default=None, kw_only=True)
    """Function that returns the sizes of services, as measured by earlier runs. It is called at the end of the run."""
    before: Callable[[], list[dict[str, Any]]] | None = field(default=None, kw_only=True)
    """Function that returns the newest earlier runs of the same drill. It is called at the end of the run."""
    vouch: Callable[[str], None] = field(default=lambda occasion: None, kw_only=True)  # signs the latest hash of the journal
    injected: bool = field(default=False, init=False)
    injected_at: float = field(default=0.0, init=False)
    underway: bool = field(default=False, init=False)
    """True once the preparation succeeded. Until then nothing was changed, so no cleanup is needed."""
    recovered: bool = field(default=False, init=False)
    """True when the verify phase succeeded and no request to stop interrupted it."""

    def run(self) -> list[Residue]:
        """Run the plan and undo its changes, whatever fails. Journal ``run.finished``.

        Return the changes that could not be undone.
        """
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
            except Exception as error:  # noqa: BLE001  after any unexpected error the changes must still be undone
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
            left = tuple(change.model_dump(mode="json") for change in residue)
            stage.journal.append(RunFinished(residue=left, unwritten=stage.journal.failure), sync=True)
        return residue

    def _remember(self) -> None:
        """Copy data of earlier runs into the journal: sizes of services, and the last runs.

        So the report needs no other journal.
        """
        if self.history is not None:
            points, why = _collected(self.history)
            self.stage.journal.append(CapacityHistory(points=points, message=why) if why else CapacityHistory(points=points))
        if self.before is not None:
            runs, why = _collected(self.before)
            self.stage.journal.append(EarlierRuns(runs=runs, message=why) if why else EarlierRuns(runs=runs))

    def _forward(self) -> None:
        self._prepare()
        self.underway = True
        of_fault, of_restore = (
            "no fault was injected, because the backup failed",
            "no backup was restored, because the phase backup failed",
        )
        self._must("backup", "failed", of_restore if self._rehearses() else of_fault)
        self._inject()
        self._detect()
        self._diagnose()
        self._restore()
        self._verify()

    def _rehearses(self) -> bool:
        """Return True for a rehearsal: it restores a backup, and injects no fault."""
        return not any(step.effect is Effect.FAULT for step in self.plan.phase("inject"))

    def _good_still(self) -> None:
        """Require that every probe is good right before the injection. A later failure can then be attributed to the fault.

        The run does not wait when the probes have been good since the last step that changed something.
        """
        begun = self.stage.journal.clock()
        if track := self._not_good(lambda track: max(self.changed_at, begun - enough_s(track.every))):
            self._end(
                "inconclusive",
                f"no fault was injected, because the probe {track.id} was not good right before the injection",
                [finding("probe-bad-before", title=f"{track.id} {track.probe.name()}", step=track.id)],
            )

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
        """Require that this run verified a backup for each fault that destroys data for good. The backup must contain
        exactly the data that the fault destroys.

        The restore phase must use this backup.
        """
        refusals = Gate(self.stage, self.stage.journal.decisive()).refusals(steps)
        self._stopped()
        if refusals:
            self._end(
                "inconclusive",
                "no fault was injected, because this run verified no backup of the data to be destroyed",
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
        """Run the phase `diagnose`. The restore follows even if this phase fails. The result of the phase is judged
        later."""
        self._phase("diagnose")
        self._stopped()

    def _restore(self) -> None:
        """Run the restore. If the restore fails because a host was lost, it is repeated once the host answers."""
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
        """Renew locks and leases at the end of the verification. They may have expired during a stall of the controller."""
        try:
            if self.stage.hold and not self.stage.cancel.is_set():
                self.stage.hold.affirm()
        except (DrillbookError, TimeoutError) as error:
            self._stopped()
            self._end(
                "inconclusive",
                f"the locks and leases could not be checked at the end of the run: {getattr(error, 'message', str(error))}",
            )

    def _verify_phase(self, cancel: threading.Event) -> None:
        """Run the verify phase. If it succeeds, wait until every probe has been good for long enough."""
        self.stage.journal.append(PhaseStarted(phase="verify"))
        done = self._look_on(self.plan.phase("verify"))
        if done:
            self.probes.settle(self.probes.all(), cancel, "verify")
        self.recovered = done and not cancel.is_set()
        status = "interrupted" if cancel.is_set() else "done" if done else "failed"
        self.stage.journal.append(PhaseEnded(phase="verify", status=status), sync=True)

    def _cleanup(self) -> None:
        """Run the cleanup phase. If a step changed something, wait until the service is good."""
        changes = any(step.effect is not Effect.READ for step in self.plan.phase("cleanup"))
        if self._phase("cleanup") and changes and self.recovered:
            self._settle_anew()

    def _settle_anew(self) -> None:
        """Wait until all availability probes are good again. A cleanup or an undo may have interrupted services.

        Does nothing after a failed verification, since the drill has failed already.
        """
        if self.recovered or self._broken_off():
            self.probes.settle(
                self.probes.availability, self.stop.hurry, "early end" if self.early else "undo", self.stage.journal.clock()
            )

    def _broken_off(self) -> bool:
        """Return True when the run ended early, and had announced a fault before. In this case, the fault may be the reason
        why probes are still bad.
        """
        return self.early and any(
            what.effect == Effect.FAULT for what in contents(self.stage.journal.decisive(), IntentRecorded)
        )

    def _look_on(self, steps: Sequence[PlannedStep]) -> bool:
        """Run the verification steps. Return True when all of them succeed.

        After a failure, the next steps still run as long as they are read-only, so that one run finds all problems. The
        first later step that makes changes is skipped, together with all steps after it.
        """
        good = True
        for number, group in enumerate(grouped := groups(steps)):
            if not good and any(step.effect is not Effect.READ for step in group):
                self._skip([step for later in grouped[number:] for step in later], "an earlier verification failed")
                return False
            if self.stage.cancel.is_set():
                return False
            good = carry_out(self.stage, group) and good
        return good

    def _replay(self) -> None:
        """Run the restore and verify phases if a fault destroyed data, or may have destroyed data."""
        if needs_restore(self.stage, self.stage.journal.decisive()) and self._phase("restore"):
            self._verify_phase(self.stop.hurry)


def _collected(source: Callable[[], list[dict[str, Any]]]) -> tuple[tuple[dict[str, Any], ...], str]:
    """Read data of earlier runs. Return the data and an empty reason. When the data cannot be read, return no data and the
    reason.
    """
    try:
        return tuple(source()), ""
    except Exception as error:  # noqa: BLE001  a failure to read earlier runs must not prevent the final event
        return (), f"{type(error).__name__}: {error}"
