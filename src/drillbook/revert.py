"""Putting back what a run changed: newest first, past every failure, proven gone, from the journal's intents alone."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.action import Effect, find, scratch_of
from drillbook.errors import DrillbookError
from drillbook.host import Deadline, shown
from drillbook.intents import Intent, intents
from drillbook.inventory import CONTROLLER
from drillbook.journal import Event
from drillbook.probe import Canary
from drillbook.result import Residue
from drillbook.steps import PROOF_S, Stage, fault_gone

UNDO_S = 60.0


def put_back(stage: Stage, events: Sequence[Event]) -> list[Residue]:
    """Undo every unsettled intent of ``events``, newest first; returns what could not be put back.

    What only a restore mends counts as put back when its fault is gone and the restore phase ended well.
    """
    pending = intents(events, stage.plan.steps)
    restored = any(event.kind == "phase.ended" and event.data == {"phase": "restore", "status": "done"} for event in events)
    residue = []
    for intent in reversed([intent for intent in pending if not intent.settled]):
        left = _one(stage, intent, restored=restored)
        if left:
            stage.journal.append("undo.failed", {"intent": intent.seq, "message": left.why}, step=intent.step.id,
                                 host=intent.host, sync=True)
            residue.append(left)
    return residue


def _one(stage: Stage, intent: Intent, *, restored: bool) -> Residue | None:
    """Undo one intent; None when it is put back, or there was nothing to put back."""
    undo = intent.undo
    try:
        fault = intent.effect is Effect.FAULT
        acts = undo.kind in ("commands", "action")
        # An undo of a fault that can be carried out always is: "not active" may only mean "not yet".
        looks = undo.kind != "nothing" if not fault else not acts
        gone = looks and fault_gone(stage, intent.step, intent.action(), intent.host, patience=0.0) is True
        if undo.kind == "restore" and not (gone and restored):
            return _left(intent, undo.why)
        if gone or (undo.kind == "nothing" and not fault):
            _settle(stage, intent, "gone already" if gone else undo.why)
            return None
        if undo.kind == "nothing":
            return _left(intent, undo.why)
        stage.journal.append("undo", {"intent": intent.seq, **undo.model_dump(mode="json")}, step=intent.step.id,
                             host=intent.host, sync=True)
        carry_out_undo(stage, intent)
        if fault and fault_gone(stage, intent.step, intent.action(), intent.host, patience=PROOF_S) is not True:
            return _left(intent, "the undo ended well, but the fault is not proven gone")
        _settle(stage, intent, "undone")
    except Exception as error:  # noqa: BLE001  one failing undo must not keep the others from being tried
        return _left(intent, str(error) if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}")
    return None


def carry_out_undo(stage: Stage, intent: Intent) -> None:
    """Do what the undo says. Raises what its commands or its action raise."""
    context = stage.context(intent.step.id, intent.host, Deadline.after(UNDO_S))
    for argv in intent.undo.commands:
        context.host.run(argv, deadline=context.deadline).check()
    if intent.undo.kind == "action":
        find(intent.undo.action).model_validate(intent.undo.params).run(context)


def _settle(stage: Stage, intent: Intent, how: str) -> None:
    """Write down that ``intent`` is put back."""
    stage.journal.append("undone", {"intent": intent.seq, "message": how}, step=intent.step.id, host=intent.host, sync=True)


def _left(intent: Intent, why: str) -> Residue:
    undo = intent.undo
    by_hand = {"commands": f"on {intent.host}: " + "; ".join(shown(argv) for argv in undo.commands),
               "action": f"run the action {undo.action} with {undo.params}",
               "restore": "restore from the last verified backup: `invoke drill.recover` replays the restore phase",
               "nothing": "there is no undo; look at the step's evidence"}[undo.kind]
    what = f"{intent.step.action} ({intent.step.name or intent.step.phase})"
    return Residue(step=intent.step.id, host=intent.host, what=what, why=why, by_hand=by_hand)


def clean_canary(stage: Stage, probe_id: str, canary: Canary) -> list[Residue]:
    """Remove the rows that a canary wrote in this run."""
    try:
        canary.clean(stage.context(probe_id, CONTROLLER, Deadline.after(UNDO_S)))
    except Exception as error:  # noqa: BLE001  a driver may raise anything; it becomes residue
        return [Residue(step=probe_id, host=CONTROLLER, what=f"rows of {canary.name()}", why=str(error),
                        by_hand="once the service is back, run `invoke drill.recover`")]
    return []


def remove_scratch(stage: Stage, hosts: Sequence[str]) -> list[Residue]:
    """Remove the run's temporary files on ``hosts``."""
    residue = []
    for name in hosts:
        path = ""
        try:
            host = stage.host(name)
            path = scratch_of(host, stage.run["id"])
            host.run(("rm", "-rf", "--", path), deadline=Deadline.after(UNDO_S)).check()
        except DrillbookError as error:
            residue.append(Residue(step="cleanup", host=name, what=f"temporary files in {path or 'the scratch folder'}",
                                   why=error.message, by_hand=f"on {name}: rm -rf {path}"))
    return residue
