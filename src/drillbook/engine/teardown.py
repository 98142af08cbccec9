"""Teardown of a run: undoes every change, no matter what failed before. A failed part does not prevent the other parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from drillbook.engine.probing import Probes
from drillbook.engine.revert import awaits_restore, clean_canary, put_back, remove_scratch
from drillbook.engine.step_context import Stage
from drillbook.engine.stop_requests import Stop
from drillbook.engine.unreachable import patiently
from drillbook.errors import DrillbookError
from drillbook.events.event import Event, each
from drillbook.events.holds import LeaseLog
from drillbook.events.steps import StepStarted, UndoStarted
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import intents
from drillbook.judge.result import Residue
from drillbook.sdk.host import Deadline

READ_BACK_S = 30.0
REACH_S = 10.0
"""Seconds for which unreachable hosts are still retried after the leases have expired."""
ANSWER_S = 10.0


@dataclass(slots=True)
class Ending:
    """Teardown of one run. It undoes the run's changes.

    ``cleanup``: function that runs the drill's cleanup phase.
    """

    stage: Stage
    probes: Probes
    stop: Stop
    cleanup: Callable[[], object] | None
    replay: Callable[[], object] | None = None
    """Function that runs the restore and verify phases. It is called if the run ended before these phases."""
    settle: Callable[[], object] | None = None
    """Function that waits until the service is good again. It is needed because an undo may have restarted the service."""
    early: bool = False
    """True when the run ended early after it recorded that it would inject a fault. The teardown then waits until the
    service is good again, even if no undo ran, because the fault may have affected the service. It does not wait if changes
    remain that could not be undone.
    """
    residue: list[Residue] = field(default_factory=list)
    _reach: Deadline | None = field(default=None, init=False)

    @property
    def reach(self) -> Deadline:
        """Deadline for retrying unreachable hosts. All parts of the teardown share this deadline. Its time is counted from the
        first use of this property.

        A second request to stop ends the retries.
        """
        if self._reach is None:
            lease_s = self.stage.hold.lease_s if self.stage.hold else 0.0
            self._reach = Deadline.after(lease_s + REACH_S, self.stop.hurry)
        return self._reach

    def run(self) -> list[Residue]:
        """Run all parts of the teardown. Return the changes that could not be undone.

        If the drill's restore phase must still run, the faults are undone first, and then this phase runs. The canary is read
        back before the cleanup.
        """
        self.stage.journal.patient = True
        if self.replay:
            self._part("undo", partial(self._undo, before_restore=True))
            self._part("restore", partial(self._restore, self.replay))
        self._part("canary", self._read_back)
        self._part("cleanup", self._cleanup)
        begun = self.stage.journal.clock()
        self._part("undo", self._undo)
        self._part("settle", partial(self._settle, begun))
        self._part("probes", self._stop_probes)
        for canary in self.probes.canaries:
            self._part(canary.id, partial(clean_canary, self.stage, canary.id, canary.probe, canary.written))
        self._part("scratch", self._remove_scratch)
        self._part("hold", lambda: release(self.stage, self.reach))
        return self.residue

    def _part(self, what: str, work: Callable[[], list[Residue]]) -> None:
        try:
            self.residue += work()
        except Exception as error:  # noqa: BLE001  any error becomes residue
            self.residue.append(
                Residue(
                    step=what,
                    host=CONTROLLER,
                    what=f"the part `{what}` of the teardown failed",
                    why=f"{type(error).__name__}: {error}",
                    by_hand="invoke drill.recover",
                )
            )

    def _undo(self, *, before_restore: bool = False) -> list[Residue]:
        """Undo the changes that are not undone yet. Return the changes that could not be undone.

        The teardown undoes changes twice: before the restore and after it. When ``before_restore`` is true, only faults
        that have an undo of their own are undone, and the result is empty. The second call returns the changes that are
        still not undone.
        """
        left = put_back(self.stage, self._events(), restores=not before_restore, reach=self.reach)
        return [] if before_restore else left

    def _settle(self, begun: float) -> list[Residue]:
        """Wait until all probes are good. The wait is needed if an undo ran since ``begun``, or if the run ended early.

        This function does not wait when changes remain that could not be undone.
        """
        undone = any(event.clock >= begun for event, _ in each(self._events(), UndoStarted))
        if self.settle is not None and not self.residue and (undone or self.early):
            self.settle()
        return []

    def _restore(self, replay: Callable[[], object]) -> list[Residue]:
        """Run the restore as soon as its hosts answer.

        When the deadline for retries has passed, run the restore in any case.
        """
        for name in sorted({host for step in self.stage.plan.phase("restore") for host in step.hosts} - {CONTROLLER}):
            with suppress(DrillbookError, TimeoutError):
                patiently(partial(self._answers, name), self.reach)
        replay()
        return []

    def _answers(self, name: str) -> None:
        self.stage.host(name).run(("true",), deadline=Deadline.after(ANSWER_S))

    def _read_back(self) -> list[Residue]:
        if self.stop.hurry.is_set():
            return []
        for canary in self.probes.canaries:
            canary.stop()
            canary.read_back(self.stage.context(canary.id, CONTROLLER, Deadline.after(READ_BACK_S)))
        return []

    def _cleanup(self) -> list[Residue]:
        if self.cleanup is not None and not self.stop.hurry.is_set():
            self.cleanup()
        return []

    def _remove_scratch(self) -> list[Residue]:
        """Remove temporary files. They stay when a restore must still run, because the restore may need them."""
        return [] if awaits_restore(self.stage) else remove_scratch(self.stage, self._touched(), self.reach)

    def _stop_probes(self) -> list[Residue]:
        self.probes.stop()
        return []

    def _touched(self) -> list[str]:
        """Return the names of hosts on which a step began. Temporary files of the run may exist there."""
        return sorted({event.host for event, _ in each(self._events(), StepStarted) if event.host})

    def _events(self) -> Sequence[Event]:
        return self.stage.journal.decisive()


def release(stage: Stage, reach: Deadline | None = None) -> list[Residue]:
    """End the leases, store their logs as evidence, and release the locks. Return the locks and leases that could not
    be released.

    There is one exception: the lease of a change that is not undone yet is not ended. The target undoes this change when the
    lease expires.
    """
    if stage.hold is None:
        return []
    open_ones = [intent.seq for intent in intents(stage.journal.decisive(), stage.plan.steps) if not intent.settled]
    logs, failed = stage.hold.end(keep=open_ones, reach=reach)
    for host, log in logs.items():
        try:
            facts = stage.context("lease", host, Deadline.after(READ_BACK_S)).evidence("log", log)
            stage.journal.append(LeaseLog(**facts), host=host)
        except (DrillbookError, OSError) as error:
            stage.journal.append(LeaseLog(error=str(error)), host=host)
    return [
        Residue(
            step="hold",
            host=host,
            what="the run's lock or lease",
            why=why,
            by_hand=(
                f"the lock or lease expires by itself after {stage.hold.lease_s:.0f} s; `Safety` in the documentation names its folder"
            ),
        )
        for host, why in failed.items()
    ]
