"""Residue: changes that a run could not undo, read from its journal.

A person can close residue. This is a declaration that the changes no longer need an undo.
"""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.events.event import Event, each, last
from drillbook.events.runs import Ended, RecoveryFinished, ResidueSettled
from drillbook.installation.program_name import as_called
from drillbook.journal.intents import Intent, intents
from drillbook.journal.manual_undo import by_hand, in_full
from drillbook.judge.faultstate import NOT_UNDONE
from drillbook.judge.result import ByHand, Residue, Settled, SettledChange, StepView
from drillbook.plan.planner import Plan
from drillbook.plan.step_roles import data_host


def residue(events: Sequence[Event], plan: Plan) -> list[Residue]:
    """Return the changes that were not undone. A change counts as not undone even if a person closed it.

    Normally the changes are read from the newest event that ended the run or a recovery. Without such an event, they are all
    changes that the journal announces but does not report as undone.
    """
    for event in reversed(events):
        if isinstance(event.what, Ended | ResidueSettled) and not _closes(event):
            return [Residue.model_validate(change) for change in event.what.residue]
    return [
        Residue(
            step=intent.step.id,
            host=intent.host,
            what=intent.step.action,
            why="the journal records no undo of the change",
            by_hand=by_hand(intent),
        )
        for intent in unsettled(events, plan)
    ]


def by_hands(events: Sequence[Event], plan: Plan, program: str) -> tuple[ByHand, ...]:
    """Return full instructions for the changes that are not undone, and whose undo is an action or a restore. ``program``: name
    of the program in commands.
    """
    return tuple(
        ByHand(
            step=intent.step.id,
            host=intent.host,
            place=data_host(plan.inventory, intent.step, intent.host),
            text=as_called(in_full(intent, plan, events), program),
        )
        for intent in unsettled(events, plan)
        if intent.undo.kind in ("action", "restore")
    )


def tried(left: Residue, views: Sequence[StepView], *, finished: bool) -> bool:
    """Return True when the journal proves that the run, or a recovery, could not undo the change ``left``.

    There is no such proof if the controller died before an undo. In this case, the target may have undone the change by
    itself after its lease expired.

    ``views``: all steps of the run. ``finished``: True when the journal contains the end of the run.
    """
    own = [view.undone for view in views if (view.result.id, view.result.host) == (left.step, left.host)]
    return finished or not own or any(text.startswith(NOT_UNDONE) for text in own)


def _closes(event: Event) -> bool:
    """Return True when the event reports a successful closing.

    In a closing, a person declares that the residue needs no undo any more.
    """
    return isinstance(event.what, RecoveryFinished) and event.what.kept is not None


def unsettled(events: Sequence[Event], plan: Plan) -> list[Intent]:
    """Return the changes that are neither undone nor closed, oldest first.

    These are announced faults, and other changes that have an undo.
    """
    return [
        intent
        for intent in intents(events, plan.steps)
        if not intent.settled and (intent.effect == "fault" or intent.undo.kind != "nothing")
    ]


def settled(events: Sequence[Event]) -> Settled | None:
    """Return the person who closed the residue, with the time and the reason of the closing. Returns None when nobody
    closed it.
    """
    closing = last(events, ResidueSettled)
    if closing is None:
        return None
    event, what = closing
    kept = next(
        (end.kept for later, end in each(events, RecoveryFinished) if later.seq > event.seq and end.kept is not None), ()
    )
    changes = tuple(SettledChange.model_validate(change) for change in what.changes)
    return Settled(at=event.at, by=what.by, reason=what.reason, changes=changes, approval=what.approval, kept=kept)
