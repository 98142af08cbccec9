"""Recovering from a run that died: put back what it left, from its journal alone, newest first; safe to run twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from drillbook.engine import backup_restore
from drillbook.engine.hold import Hold
from drillbook.engine.lab_gone import lab_gone
from drillbook.engine.leases import Owner
from drillbook.engine.liveness import controller
from drillbook.engine.open_hosts import Hosts
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
from drillbook.engine.steps import Stage, fault_gone, saved_facts
from drillbook.engine.stop_requests import Stop
from drillbook.engine.teardown import ANSWER_S, release
from drillbook.errors import DrillbookError, JournalError, PlanError, PluginError, UnknownName
from drillbook.events.event import contents, each, last
from drillbook.events.holds import LockTaken
from drillbook.events.probes import CanarySurvivors, ProbePrepared
from drillbook.events.runs import Ended, PhaseEnded, RecoveryFinished, RecoveryStarted, Session, opening
from drillbook.events.steps import StepStarted
from drillbook.findings import Finding, finding
from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal import damaged
from drillbook.journal.intents import Intent, intents
from drillbook.journal.journal import FILE, History, Journal, Observer, alive, read, salvage
from drillbook.journal.manual_undo import PAGE
from drillbook.journal.own_writes import Written
from drillbook.judge.residue import settled
from drillbook.judge.result import Residue
from drillbook.language import template
from drillbook.plan.planner import Plan, PlannedProbe, PlannedStep, checked
from drillbook.redact import Redactor
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.identity import LockName
from drillbook.sdk.probe import find_probe
from drillbook.sdk.target_folders import is_former
from drillbook.sdk.vouchers import Vouchers

LATE_S = 10.0
READ_BACK_S = 30.0
Place = tuple[str, int | None, str]
"""Address, port and scratch folder: what makes two hosts of inventories the same one."""


def needs_recovery(history: History) -> bool:
    """True for a run that ended without its last word, or said that something is left."""
    end = last(history.events, Ended)
    return end is None or bool(end[1].residue)


def in_the_way(plan: Plan, folders: Iterable[Path]) -> list[Finding]:
    """Runs that left something on hosts of ``plan``: they must be recovered before anything else is broken there.

    A drill that only restores may run all the same: it is how they are mended. A run whose journal is damaged keeps it
    away too.

    A run whose journal is damaged may have left anything on the hosts of its plan, which the first line names; where
    even that one is damaged, or the journal is gone, on any host.
    """
    targets = {_place(plan, name) for name in plan.hosts()}
    mends = plan.only_restores()
    found = [
        _in_the_way(targets, folder, mends=mends) for folder in folders if not damaged.settled(folder) and not alive(folder)
    ]
    return [one for one in found if one is not None]


def _in_the_way(targets: set[Place], folder: Path, *, mends: bool) -> Finding | None:
    """Why the run in ``folder`` keeps ``targets`` from being changed; None when it does not."""
    wrong = damaged.damage(folder)
    try:
        events = salvage(folder / FILE)[0].events
    except JournalError:
        events = ()
    if not events:
        return _refusal(folder, wrong, "so its hosts are not known: they may be the same") if wrong else None
    if not needs_recovery(History(events, torn=False)) or lab_gone(events[0].model_dump()):
        return None
    try:
        other = checked(opening(events).plan)
    except (PlanError, JournalError):
        return None
    if not targets & {_place(other, name) for name in other.hosts()} or (mends and not wrong):
        return None
    if wrong:
        return _refusal(folder, wrong, "so it is not known what it left on the same hosts")
    return finding(
        "unfinished-run",
        title=folder.name,
        wanted="no run that died or left something",
        measured=f"{folder.name} is not finished on the same hosts",
        remedy=f"Recover it first: invoke drill.recover {folder.name}",
    )


def _refusal(folder: Path, wrong: str, so: str) -> Finding:
    return finding(
        "unfinished-run",
        title=folder.name,
        wanted="no run that died or left something",
        measured=f"the journal of {folder.name} is damaged, {so}: {wrong}",
        remedy=f"`invoke drill.recover {folder.name}` says what is known and what to do by hand. When that is "
        f"done, move {folder} out of reports/.",
    )


def _place(plan: Plan, name: str) -> Place:
    target = plan.inventory.target(name)
    return target.address, target.port, target.scratch


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovers one run; ``redactor_for`` gives what hides the secrets of its plan."""

    folder: Path
    open_host: Callable[[Plan, str], Host]
    redactor_for: Callable[[Plan], Redactor]
    observer: Observer
    others: Sequence[Path] = ()
    """Folders of the project's other runs: one that only restores may have mended what this run destroyed."""
    from_backup: bool = False
    """Restore from the backup that the run proved, by the system's own action, in place of the drill's restore phase."""
    vouchers: Vouchers | None = None
    written: Written = field(default_factory=Written)
    """What this recovery wrote of the journal."""

    def run(self, header: Session) -> list[Residue]:
        """Put everything back; returns what is still left.

        Raises JournalError while the run is alive, and UsageError when it proved no backup to restore ``from_backup``.
        """
        with self.resumed() as (stage, history):
            if not needs_recovery(history):
                return []
            steps = backup_restore.steps(stage, history.events) if self.from_backup else []
            self.begin(stage, history, header)
            residue = self._put_back(stage, history, steps)
            if settled(history.events):  # closed by somebody who died right after that
                self.close(stage, residue)
                return []
            told = tuple(one.model_dump(mode="json") for one in residue)
            stage.journal.append(RecoveryFinished(residue=told, unwritten=stage.journal.failure), sync=True)
            return residue

    def close(self, stage: Stage, residue: Sequence[Residue]) -> tuple[str, ...]:
        """Write down the end of a run whose residue was closed; returns what of it stays on hosts that do not answer."""
        kept = tuple(
            f"{one.host}: {one.what}: {one.why}; an undo that is armed there may still be carried out when the "
            f"host comes back (see {PAGE})"
            for one in residue
        )
        stage.journal.append(RecoveryFinished(residue=(), kept=kept), sync=True)
        return kept

    @contextmanager
    def resumed(self) -> Iterator[tuple[Stage, History]]:
        """The run as its journal tells it, with its journal locked and its hosts at hand. Raises JournalError."""
        plan = checked(opening(read(self.folder / FILE).events).plan)
        journal = Journal.resume(self.folder, self.redactor_for(plan), origin=time.monotonic(), observer=self.observer)
        journal.also(self.written)
        hosts = Hosts(lambda name: self.open_host(plan, name))
        stage: Stage | None = None
        try:
            history = read(journal.path)
            first = opening(history.events)
            run = {"id": first.run, "started": history.events[0].at, "operator": first.operator}
            journal.patient = True  # something is broken: it is put back, whatever can be recorded of it
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
            )
            yield stage, history
        finally:
            if stage is not None and stage.hold is not None:
                stage.hold.end()  # nothing happens when that was done
            hosts.close()
            journal.close()

    def begin(self, stage: Stage, history: History, header: Session) -> None:
        """Write down that a recovery begins, and take over locks and leases. Raises Locked while the run is alive."""
        stage.journal.append(RecoveryStarted(**header), sync=True)
        stage.hold = self._hold(stage, history, header)
        stage.former = _former(stage, history)

    def _hold(self, stage: Stage, history: History, header: Session) -> Hold:
        """The locks and leases of the dead run, taken over. Raises Locked while another run, or this one, is alive."""
        run = stage.run["id"]
        owner = Owner(run=run, operator=header["operator"], controller=controller(), drill=stage.plan.drill)
        hold = Hold(stage.plan, stage.journal, stage.host, owner, Stop(), over=run, also=_older_locks(stage.plan, history))
        try:
            hold.take(patience=stage.plan.guard.lease_s + LATE_S, lenient=True)
            # By intent, not by `lease.armed`: the controller may have died between arming and writing that down.
            armed = [
                intent
                for intent in intents(history.events, stage.plan.steps)
                if intent.undo.kind == "commands" and _may_lease(intent)
            ]
            for host in sorted({intent.host for intent in armed}):
                hold.adopt(host, [intent.seq for intent in armed if intent.host == host and not intent.settled])
        except BaseException:
            hold.end()
            raise
        return hold

    def _put_back(self, stage: Stage, history: History, steps: Sequence[PlannedStep]) -> list[Residue]:
        done, _ = restored(history.events, stage.plan)
        self._accept(stage, history)
        if (steps or not done) and awaits_restore(stage):
            put_back(stage, stage.journal.decisive(), restores=False)  # first what may stand in the way of a restore
            if needs_restore(stage, stage.journal.decisive()):
                _restore(stage, steps)
        residue = put_back(stage, stage.journal.decisive())
        return residue + self.clean(stage, history, scratch=not awaits_restore(stage)) + release(stage)

    def _accept(self, stage: Stage, history: History) -> None:
        """Write down as put back each fault that is proven gone and that another run restored and compared."""
        for intent in intents(history.events, stage.plan.steps):
            if intent.settled or intent.undo.kind != "restore":
                continue
            by = restored_since(stage.plan, history.events, intent, self.others)
            with suppress(DrillbookError):  # what cannot be asked is not accepted
                if by and fault_gone(stage, intent.step, intent.action(), intent.host, patience=0.0):
                    settle(stage, intent, f"the run {by.run} restored it from {by.source} and compared its content")

    def clean(self, stage: Stage, history: History, *, scratch: bool = True) -> list[Residue]:
        """Remove what the run only needed itself: rows of canaries and temporary files; returns what could not be.

        Without ``scratch`` its temporary files stay, for a restore that is still to come.
        """
        residue: list[Residue] = []
        for planned in _canaries(stage.plan, history):
            try:
                probe = find_probe(planned.name).model_validate(template.evaluate(planned.params, stage.names()))
            except (UnknownName, PluginError) as error:
                residue.append(_rows(planned, str(error)))
                continue
            if not any(what.probe == planned.id for what in contents(history.events, CanarySurvivors)):
                context = stage.context(planned.id, CONTROLLER, Deadline.after(READ_BACK_S))
                read_back(stage.journal, planned.id, probe, context)
            residue += clean_canary(stage, planned.id, probe)
        return residue + remove_scratch(stage, _touched(history) if scratch else [])


def _may_lease(intent: Intent) -> bool:
    """May a lease hold the undo of ``intent``? One of a plugin that is not here may: its undo is in the journal."""
    try:
        return bool(find(intent.step.action).may_lease(intent.effect))
    except (UnknownName, PluginError):
        return True


def _rows(planned: PlannedProbe, why: str) -> Residue:
    """Rows that a canary wrote whose plugin is not installed here."""
    return Residue(
        step=planned.id,
        host=CONTROLLER,
        what=f"rows of {planned.name}",
        why=why,
        by_hand=f"once its plugin is there: invoke drill.recover; or remove what {planned.name} wrote for this run",
    )


def _touched(history: History) -> list[str]:
    """Hosts on which a step began: each may hold temporary files."""
    return sorted({str(event.host) for event, _ in each(history.events, StepStarted)})


def _former(stage: Stage, history: History) -> frozenset[str]:
    """Hosts on which the run has its temporary files where a version before this one had them."""
    hosts = opening(history.events).plan["inventory"]["hosts"].values()
    if hosts and all("state" in target for target in hosts):  # this version, or a newer one, made the plan
        return frozenset()
    touched = _touched(history)
    with ThreadPoolExecutor(max_workers=max(1, min(64, len(touched)))) as pool:
        found = pool.map(partial(_has_former, stage), touched)
        return frozenset(name for name, has in zip(touched, found, strict=True) if has)


def _has_former(stage: Stage, name: str) -> bool:
    with suppress(DrillbookError, TimeoutError):  # of one that is away nothing can be used
        return is_former(stage.host(name), stage.run["id"], deadline=Deadline.after(ANSWER_S))
    return False


def _restore(stage: Stage, steps: Sequence[PlannedStep]) -> None:
    """Restore by ``steps``; without any, replay the drill's restore and verify phases.

    What only was not compared any more, because the run died before that, is compared first: it may be restored already.
    """
    if steps:
        backup_restore.carry_out(stage, steps)
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
    """Locks that the run took by names which this version of Drillbook does not give: it may still be alive elsewhere."""
    names = {(one.name, one.host) for one in plan.locks()}
    taken = {(what.name, str(event.host)) for event, what in each(history.events, LockTaken)}
    return tuple(LockName(name, host) for name, host in sorted(taken - names))


def _canaries(plan: Plan, history: History) -> list[PlannedProbe]:
    """The canaries that may have made their table."""
    prepared = {what.probe for what in contents(history.events, ProbePrepared)}
    return [planned for planned in plan.probes if planned.id in prepared]
