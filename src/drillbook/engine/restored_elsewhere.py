"""Searches for another run that restored the data that a dead run destroyed.

A dead run is a run that has ended without undoing all its changes. The drill of the other run must contain no fault, only a
restore and its verification.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.errors import JournalError, PlanError
from drillbook.events.event import Event, contents, last
from drillbook.events.first_event import opening
from drillbook.events.runs import PhaseEnded, RunFinished
from drillbook.events.steps import Done, IntentRecorded, StepStarted, UndoStarted
from drillbook.journal.intents import Intent, intents
from drillbook.journal.run_state import RunState
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan, checked
from drillbook.plan.step_roles import compares, is_free, lost_service, proves, restorers, same_service, source_of
from drillbook.sdk.action import Fault, find


@dataclass(frozen=True, slots=True)
class Restored:
    """Result of a search which found that another run restored the data that the dead run destroyed. ``run``: id of the other
    run. ``source``: location of the backup that the other run restored."""

    run: str
    source: str


@dataclass(frozen=True, slots=True)
class _Run:
    """A successful run of a drill that restores and verifies, without a fault."""

    id: str
    plan: Plan
    events: Sequence[Event]

    def done(self, step: PlannedStep) -> Done | None:
        """Return the event that reports the success of ``step``. Returns None when the step did not succeed."""
        success = last((event for event in self.events if event.step == step.id), Done)
        return success and success[1]


def restored_since(plan: Plan, events: Sequence[Event], intent: Intent, folders: Iterable[Path]) -> Restored | None:
    """Search ``folders`` for another run that restored and compared the data which was destroyed by the fault ``intent`` of
    a dead run. Return the newest such run, or None if there is none.

    ``plan`` and ``events`` belong to the dead run. The other run must have begun after the dead run's last change. It
    must have restored the data with an action that is meant for this fault, and compared the content with the backup's
    manifest. The caller must also check that the fault is gone.
    """
    since = max(event.at for event in events if isinstance(event.what, IntentRecorded | StepStarted | UndoStarted))
    own = opening(events).run
    for folder in sorted((folder for folder in folders if folder.name > own), key=lambda folder: folder.name, reverse=True):
        run = _whole(folder, since)
        if run is not None and (source := _source(run, plan, intent)):
            return Restored(run.id, source)
    return None


def _whole(folder: Path, since: str) -> _Run | None:
    """Return the run in ``folder`` if it meets four conditions: its drill only restores, it began after the time
    ``since``, it succeeded, and it undid all its changes.

    Returns None for any other run.
    """
    state = RunState(folder)
    try:
        if state.alive:
            return None
        events = state.history.events
        first = events[0]
        plan = checked(opening(events).plan)
    except (JournalError, PlanError):
        return None
    ended = {what.phase: what.status for what in contents(events, PhaseEnded)}
    end = last(events, RunFinished)
    good = (
        first.at > since
        and plan.only_restores()
        and end is not None
        and not end[1].residue
        and all(ended.get(phase) == "done" for phase in ("restore", "verify"))
    )
    return _Run(opening(events).run, plan, events) if good else None


def _source(run: _Run, plan: Plan, intent: Intent) -> str:
    """Return the location of the backup from which ``run`` restored the data that the fault ``intent`` destroyed.

    The result is empty when ``run`` did not restore this data, or did not compare its content.
    """
    service = lost_service(plan, intent.step)
    if not _same_service(plan, run.plan, service):
        return ""
    inventory, wanted = run.plan.inventory, _wanted(plan, intent)
    compared = any(compares(inventory, step, service, intent.step) and run.done(step) for step in run.plan.phase("verify"))
    for restored in intents(run.events, run.plan.steps) if compared else ():
        done, source = run.done(restored.step), source_of(restored.step.model_copy(update={"params": restored.params}))
        if (
            source
            and done
            and same_service(inventory, source.service, service)
            and (source.free or (restored.step.action in wanted and _covers({**restored.params, **done.facts}, intent)))
        ):
            return str(source.origin)
    return ""


def _wanted(plan: Plan, intent: Intent) -> set[str]:
    """Return the names of the actions that can restore the data that the fault ``intent`` destroyed."""
    fault = find(intent.step.action)
    proofs = [step for step in plan.phase("backup") if proves(plan.inventory, step, intent.step)]
    return {name for proof in proofs for name in restorers(proof, intent.step)} | set(
        fault.RESTORED_BY.values() if issubclass(fault, Fault) else ()
    )


def _same_service(plan: Plan, other: Plan, name: str) -> bool:
    """Return True when the services with the name ``name`` in the inventories of both plans are the same service."""
    inventories = (plan.inventory, other.inventory)
    return all(name in inventory.services for inventory in inventories) and inventories[0].thing(name) == inventories[
        1
    ].thing(name)


def _covers(restored: dict[str, Any], intent: Intent) -> bool:
    """Return True when the restore wrote exactly the table, path or prefix that the fault destroyed."""
    return is_free(intent.step) or all(
        restored[key] == value for key, value in intent.params.items() if key in restored and key not in ("from", "service")
    )
