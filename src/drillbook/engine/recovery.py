"""Recovery of a run whose controller died. It undoes the run's changes, the newest first, and needs only the journal
for this.

It is safe to run a recovery twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from drillbook.engine import backup_restore, unfinished_runs
from drillbook.engine.host_locks import of_lease
from drillbook.engine.lab_gone import lab_gone
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.parallel import on_each
from drillbook.engine.probing import read_back
from drillbook.engine.provenance import Provenance
from drillbook.engine.restored_elsewhere import restored_since
from drillbook.engine.revert import (
    awaits_restore,
    clean_canary,
    needs_restore,
    put_back,
    remove_scratch,
    restored,
    settle,
    uncompared,
)
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import fault_gone, saved_facts
from drillbook.engine.stop_requests import Stop
from drillbook.engine.teardown import ANSWER_S, release
from drillbook.errors import DrillbookError, JournalError, PlanError, PluginError, UnknownName
from drillbook.events.event import Event, contents, each
from drillbook.events.first_event import opening
from drillbook.events.holds import LockTaken
from drillbook.events.probes import CanarySurvivors, ProbePrepared
from drillbook.events.runs import PhaseEnded, RecoveryFinished, RecoveryStarted
from drillbook.events.session import Session
from drillbook.events.steps import StepStarted
from drillbook.findings import Finding
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import Intent, added, intents
from drillbook.journal.journal import FILE, History, Journal, Observer, first
from drillbook.journal.manual_undo import PAGE
from drillbook.journal.own_writes import Written
from drillbook.journal.run_state import RunState, needs_recovery
from drillbook.judge.residue import settled
from drillbook.judge.result import Residue
from drillbook.judge.samples import last_written
from drillbook.language import template
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.planner import Plan, checked
from drillbook.redact import Redactor
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.identity import LockName
from drillbook.sdk.manifest_signatures import Vouchers
from drillbook.sdk.probe import find_probe
from drillbook.sdk.target_folders import is_former

LATE_S = 10.0
READ_BACK_S = 30.0
Place = tuple[str, int | None, str]
"""Value that identifies the machine of a host: its address, its port, and its folder for temporary files. If the inventory
lists the same machine as two hosts, both hosts have the same value.
"""


def in_the_way(plan: Plan, folders: Iterable[Path]) -> list[Finding]:
    """Return a finding for each earlier run that must be recovered before ``plan`` is carried out. Such a run died or left
    changes, and its plan uses hosts of ``plan``. A drill that only restores need not wait for the recovery, because its
    restore may repair the data. But if the journal of the earlier run is damaged, every drill must wait, because it is unknown
    which changes that run left. If even the first line is unreadable, a drill on any host must wait.
    """
    targets = {_place(plan, name) for name in plan.hosts()}
    mends = plan.only_restores()
    others = (state for state in map(RunState, folders) if not state.settled and not state.alive)
    problems = [_in_the_way(targets, state, mends=mends) for state in others]
    return [problem for problem in problems if problem is not None]


def _in_the_way(targets: set[Place], state: RunState, *, mends: bool) -> Finding | None:
    """Return a finding if the run of ``state`` must be recovered first, and otherwise None.

    The function ``in_the_way`` describes the rules. ``mends``: True for a drill that only restores. Such a drill gets a finding
    only when the journal is damaged.
    """
    folder, wrong = state.folder, state.damage
    if not state.events:
        unknown = "it is unknown which hosts that run used, and it may have used hosts of this drill"
        return _refusal(folder, wrong, unknown) if wrong else None
    if not state.needs_recovery or lab_gone(state.first):
        return None
    try:
        other = checked(opening(state.events).plan)
    except (PlanError, JournalError):
        return None
    if not targets & {_place(other, name) for name in other.hosts()} or (mends and not wrong):
        return None
    if wrong:
        return _refusal(folder, wrong, "it is unknown which changes that run left on the same hosts")
    return unfinished_runs.refusal(folder.name, f"the run {folder.name} uses the same hosts and is not finished")


def _refusal(folder: Path, wrong: str, unknown: str) -> Finding:
    return unfinished_runs.refusal(
        folder.name,
        f"the journal of {folder.name} is damaged: {wrong}; {unknown}",
        f"`invoke drill.recover {folder.name}` shows the steps of the manual cleanup. When they are done, move {folder} "
        "out of reports/.",
    )


def _place(plan: Plan, name: str) -> Place:
    target = plan.inventory.target(name)
    return target.address, target.port, target.scratch


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovery of one run.

    ``redactor_for``: function that makes the redactor for the secrets of the run's plan.
    """

    folder: Path
    open_host: Callable[[Plan, str], Host]
    redactor_for: Callable[[Plan], Redactor]
    observer: Observer
    others: Sequence[Path] = ()
    """Folders of the project's other runs. One of these runs may have restored the data that this run lost."""
    from_backup: bool = False
    """True when the recovery restores lost data from the backup that the run verified, with Drillbook's own restore action for
    the system. False when the recovery runs the drill's restore phase for this.
    """
    vouchers: Vouchers | None = None
    written: Written = field(default_factory=Written)
    """Recorder of the events that this recovery wrote to the journal."""

    def run(self, header: Session) -> list[Residue]:
        """Undo all changes of the run. Return the changes that could not be undone.

        Raises JournalError while the run is alive. Raises UsageError when ``from_backup`` is true and the run verified no
        backup.
        """
        with self.resumed() as (stage, history):
            if not needs_recovery(history):
                return []
            steps = backup_restore.steps(stage, history.events) if self.from_backup else []
            self.begin(stage, history, header)
            residue = self._put_back(stage, history, steps)
            if settled(history.events):  # an earlier process recorded the closing of the residue and died right after
                self.close(stage, residue)
                return []
            told = tuple(change.model_dump(mode="json") for change in residue)
            stage.journal.append(RecoveryFinished(residue=told, unwritten=stage.journal.failure), sync=True)
            return residue

    def close(self, stage: Stage, residue: Sequence[Residue]) -> tuple[str, ...]:
        """End the recovery of a run after a person declared that the remaining changes are settled. ``residue``: these
        changes.

        Return a text for each of these changes.
        """
        kept = tuple(
            (
                f"{change.host}: {change.what}: {change.why}; when the host comes back, the lease may still undo changes there "
                f"(see {PAGE})"
            )
            for change in residue
        )
        stage.journal.append(RecoveryFinished(residue=(), kept=kept), sync=True)
        return kept

    @contextmanager
    def resumed(self) -> Iterator[tuple[Stage, History]]:
        """Open the run's journal to continue it, and open access to the run's hosts. Raises JournalError when this fails."""
        # Only the first line is read here, for the secrets of the plan. The events are read under the lock of the journal.
        plan = checked(opening((first(self.folder / FILE),)).plan)
        journal = Journal.resume(self.folder, self.redactor_for(plan), origin=time.monotonic(), observer=self.observer)
        journal.also(self.written)
        hosts = Hosts(lambda name: self.open_host(plan, name))
        stage: Stage | None = None
        try:
            history = journal.before
            begun = opening(history.events)
            run = {"id": begun.run, "started": history.events[0].at, "operator": begun.operator}
            journal.patient = True  # the fault may be active, so it is undone even if the journal cannot be written
            stage = Stage(
                plan,
                journal,
                hosts.get,
                self.folder,
                run,
                journal.redactor,
                saved=saved_facts(plan, history.events),
                provenance=Provenance.of(history.events),
                vouchers=self.vouchers,
                added={step.id: step for step in added(history.events)},
                accounts={(intent.step.id, intent.host): intent.become for intent in intents(history.events, plan.steps)},
            )
            yield stage, history
        finally:
            if stage is not None:
                stage.pool.shutdown(wait=False)
                if stage.hold is not None:
                    stage.hold.end()  # has no effect when the hold has already ended
            hosts.close()
            journal.close()

    def begin(self, stage: Stage, history: History, header: Session) -> None:
        """Write the beginning of the recovery to the journal, and take over locks and leases.

        Raises Locked while the run is alive.
        """
        stage.journal.append(RecoveryStarted(**header), sync=True)
        stage.hold = self._hold(stage, history, header)
        stage.former = _former(stage, history)

    def _hold(self, stage: Stage, history: History, header: Session) -> Hold:
        """Take over the locks and leases of the dead run.

        Raises Locked while that run is alive, or when another run holds a lock.
        """
        run = stage.run["id"]
        owner = Owner(run=run, operator=header["operator"], controller=controller(), drill=stage.plan.drill)
        hold = Hold(stage.plan, stage.journal, stage.host, owner, Stop(), over=run, also=_older_locks(stage.plan, history))
        try:
            hold.take(patience=stage.plan.guard.lease_s + LATE_S, lenient=True)
            # Taken from the intents, not from `lease.armed` events: the controller may have died after arming, before
            # journalling it.
            armed = [
                intent
                for intent in intents(history.events, stage.plan.steps)
                if intent.undo.kind == "commands" and _may_lease(intent)
            ]
            of: dict[tuple[str, str], list[Intent]] = {}
            for intent in sorted(armed, key=lambda intent: intent.host):
                account = of_lease(stage.become(intent.step.id, intent.host))
                of.setdefault((intent.host, account.user if account else ""), []).append(intent)
            on_each(partial(_adopt, stage, hold), [*of.values()], name="adopt")
        except BaseException:
            hold.end()
            raise
        return hold

    def _put_back(self, stage: Stage, history: History, steps: Sequence[PlannedStep]) -> list[Residue]:
        done, _ = restored(history.events, stage.plan)
        self._accept(stage, history)
        if (steps or not done) and awaits_restore(stage):
            put_back(stage, stage.journal.decisive(), restores=False)  # first undo the faults that may obstruct a restore
            if needs_restore(stage, stage.journal.decisive()):
                _restore(stage, steps)
        residue = put_back(stage, stage.journal.decisive())
        return residue + self.clean(stage, history, scratch=not awaits_restore(stage)) + release(stage)

    def _accept(self, stage: Stage, history: History) -> None:
        """Journal a fault as undone when another run repaired it.

        The fault must be gone. The other run must have restored the data that the fault destroyed, and compared the content.
        """
        for intent in intents(history.events, stage.plan.steps):
            if intent.settled or intent.undo.kind != "restore":
                continue
            by = restored_since(stage.plan, history.events, intent, self.others)
            with suppress(DrillbookError):  # a fault that cannot be checked does not count as gone
                if by and fault_gone(stage, intent.step, intent.action(), intent.host, patience=0.0):
                    settle(stage, intent, f"the run {by.run} restored the data from {by.source} and compared the content")

    def clean(self, stage: Stage, history: History, *, scratch: bool = True) -> list[Residue]:
        """Remove the canary rows and temporary files of the run. Return the rows and files that could not be removed.

        When ``scratch`` is false, the temporary files stay, because a later restore needs them.
        """
        residue: list[Residue] = []
        for planned in _canaries(stage.plan, history):
            try:
                probe = find_probe(planned.name).model_validate(template.evaluate(planned.params, stage.names()))
            except (UnknownName, PluginError) as error:
                residue.append(_rows(planned, str(error)))
                continue
            written = last_written(history.events, planned.id)
            if not any(what.probe == planned.id for what in contents(history.events, CanarySurvivors)):
                context = stage.context(planned.id, CONTROLLER, Deadline.after(READ_BACK_S))
                read_back(stage.journal, planned.id, probe, replace(context, written=written))
            residue += clean_canary(stage, planned.id, probe, written)
        # Also those of a restore that this recovery carried out again, on hosts that the run had not reached.
        return residue + remove_scratch(stage, _touched(stage.journal.decisive()) if scratch else [])


def _adopt(stage: Stage, hold: Hold, of: Sequence[Intent]) -> None:
    """Take over a dead controller's lease on one host. ``of``: intents (announced changes) that have an undo in the lease."""
    host = of[0].host
    open_ones = [intent.seq for intent in of if not intent.settled]
    hold.adopt(host, open_ones, stage.become(of[0].step.id, host))


def _may_lease(intent: Intent) -> bool:
    """Return True when it is possible that a lease contains the undo of the announced change ``intent``.

    Returns True also when the plugin of the action is missing.
    """
    try:
        return bool(find(intent.step.action).may_lease(intent.effect))
    except (UnknownName, PluginError):
        return True


def _rows(planned: PlannedProbe, why: str) -> Residue:
    """Describe the canary rows that could not be removed, because this machine cannot use the canary's plugin.

    ``why``: reason why the plugin cannot be used.
    """
    return Residue(
        step=planned.id,
        host=CONTROLLER,
        what=f"rows of {planned.name}",
        why=why,
        by_hand=(
            f"install the plugin of {planned.name}, then: invoke drill.recover; or remove by hand the rows that "
            "this canary wrote in the run"
        ),
    )


def _touched(events: Sequence[Event]) -> list[str]:
    """Return the names of hosts on which a step began. Temporary files of the run may exist there."""
    return sorted({str(event.host) for event, _ in each(events, StepStarted)})


def _former(stage: Stage, history: History) -> frozenset[str]:
    """Return the hosts on which temporary files are in the folder that older versions of Drillbook used."""
    hosts = opening(history.events).plan["inventory"]["hosts"].values()
    if hosts and all("state" in target for target in hosts):  # this version, or a newer one, made the plan
        return frozenset()
    touched = _touched(history.events)
    answers = on_each(partial(_has_former, stage), touched, name="former")
    return frozenset(name for name, has in zip(touched, answers, strict=True) if has)


def _has_former(stage: Stage, name: str) -> bool:
    with suppress(DrillbookError, TimeoutError):  # a host that does not answer counts as having no temporary files
        return is_former(stage.host(name), stage.run["id"], deadline=Deadline.after(ANSWER_S))
    return False


def _restore(stage: Stage, steps: Sequence[PlannedStep]) -> None:
    """Run the restore ``steps``. Without ``steps``, run the drill's restore and verify phases again.

    A run may have died after a successful restore and before the end of the verify phase. In this case, only the verify
    phase is run at first. When it fails, both phases are run.
    """
    if steps:
        backup_restore.restore(stage, steps)
        return
    events = stage.journal.decisive()
    ended = {what.phase: what.status for what in contents(events, PhaseEnded)}
    died = "verify" not in ended
    if (
        ended.get("restore") == "done"
        and died
        and backup_restore.replay(stage, "verify")
        and not uncompared(stage.journal.decisive(), stage.plan)
    ):
        return
    if backup_restore.replay(stage, "restore"):
        backup_restore.replay(stage, "verify")


def _older_locks(plan: Plan, history: History) -> tuple[LockName, ...]:
    """Return the locks that the run took under names that only an older version of Drillbook uses.

    The recovery must take these locks, too, because the run may still be alive on another machine.
    """
    names = {(lock.name, lock.host) for lock in plan.locks()}
    taken = {(what.name, str(event.host)) for event, what in each(history.events, LockTaken)}
    return tuple(LockName(name, host) for name, host in sorted(taken - names))


def _canaries(plan: Plan, history: History) -> list[PlannedProbe]:
    """Return the canaries (probes that write rows) that may have created a table for their rows in the service."""
    prepared = {what.probe for what in contents(history.events, ProbePrepared)}
    return [planned for planned in plan.probes if planned.id in prepared]
