"""The judge of one run. It is a pure function of the journal, so the same events always give the same verdict.

Clocks, losses and verdict are each computed in one place of this package. Reports only show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drillbook.events.event import Event, Events, contents
from drillbook.events.first_event import opening
from drillbook.events.runs import EarlierRuns, Ended, RecoveryFinished, RunFinished
from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.installation.program_name import as_called
from drillbook.inventory.inventory import CONTROLLER, Inventory
from drillbook.journal.collection import paused
from drillbook.journal.journal import History
from drillbook.judge import capacity, clocks, comparison, diagnosis, early_end, faultstate, locks, notes, recoveries, residue
from drillbook.judge.figures import Figures, session, zero
from drillbook.judge.findings import findings, mended
from drillbook.judge.later_steps import with_later_steps
from drillbook.judge.objectives import objectives, unverified
from drillbook.judge.recovery_record import OwnPart
from drillbook.judge.result import Note, Residue, Result, RunView, StepView, Timeline
from drillbook.judge.samples import Stalls
from drillbook.judge.steps import phases, steps
from drillbook.judge.verdict import verdict
from drillbook.judge.verdicts import EXIT
from drillbook.plan.planner import Plan, checked
from drillbook.plan.step_roles import data_host


def judge(history: History) -> RunView:
    """Judge a run: compute its clocks, losses, findings and verdict from its journal.

    Raises JournalError when the journal does not belong to a run.
    """
    with paused():
        return _view(history)


def _view(history: History) -> RunView:
    events = Events(history.events)
    first = opening(events)
    plan = checked(first.plan)
    own = session(events)
    views = steps(own, events, plan)
    figures = clocks.figures(events, plan, faultstate.faults(own, events, plan, residue.residue(events, plan)))
    marks = {**figures.marks, **early_end.marks(own), **notes.marks(own)}
    end = early_end.early_end(own, plan)
    at_end = _at_end(own, events, plan)
    result = with_later_steps(_result(events, own, plan, figures, views), at_end["recoveries"], first.program)
    return RunView(
        result=result,
        plan=first.plan,
        contacts=_contacts(plan.inventory),
        owner=plan.owner,
        timeline=Timeline(
            seconds=figures.end, phases=early_end.spans(own, end), probes=figures.tracks, marks=marks, zero=zero(events[0])
        ),
        steps=tuple(_step_as_called(view, first.program) for view in views),
        journal_events=len(events),
        journal_head=history.head,
        torn=history.torn,
        own=_own_part(own, events, plan),
        controller=first.controller,
        program=first.program,
        inventory=first.inventory,
        routine=first.routine,
        notes=tuple(_note_as_called(note, first.program) for note in notes.notes(own)),
        lease_logs=notes.lease_logs(events),
        comparison=comparison.comparison(result, events),
        first_run=any(not what.runs and not what.message for what in contents(events, EarlierRuns)),
        stalls=Stalls.of(own).spans,
        early_end=end,
        by_hand=residue.by_hands(events, plan, first.program),
        places=_places(plan),
        **at_end,
    )


def _own_part(own: Events, events: Events, plan: Plan) -> OwnPart:
    """Return the number of the events ``own`` before the first recovery. If there was a recovery, return also the findings of a
    report from these events alone: a recovery changes the findings about residue, and those about the writes that it read back.
    """
    if len(own) == len(events):
        return OwnPart(events=len(own))
    left, views = residue.residue(own, plan), steps(own, own, plan)
    figures = clocks.figures(own, plan, faultstate.faults(own, own, plan, left))
    goals = objectives(plan, figures, unverified(views, own))
    return OwnPart(events=len(own), findings=tuple(findings(own, plan, figures, goals, left, views=views)))


def _places(plan: Plan) -> dict[str, str]:
    """Return the host of the data of each step that reaches a service from the controller. The key of each entry is the step."""
    places = {step.id: data_host(plan.inventory, step, CONTROLLER) for step in plan.steps if CONTROLLER in step.hosts}
    return {step: host for step, host in places.items() if host != CONTROLLER}


def _at_end(own: Sequence[Event], events: Sequence[Event], plan: Plan) -> dict[str, Any]:
    """Return the state of the changes and the locks at the moment when the run itself ended. A change that only a later
    recovery undid counts as not undone. ``own``: the events before the first recovery.
    """
    left = residue.residue(own, plan)
    faults = faultstate.faults(own, own, plan, left)
    others = [change for change in left if change.step not in {fault.step for fault in faults}]
    return {
        "finished": bool(contents(own, RunFinished)),
        "recovered": bool(contents(events, RecoveryFinished)),
        "recoveries": recoveries.recoveries(own, events),
        "faults_at_end": faults,
        "others_at_end": len(others),
        "locks_at_end": locks.locks(own, events),
    }


def _result(
    events: Sequence[Event], own: Sequence[Event], plan: Plan, figures: Figures, views: Sequence[StepView]
) -> Result:
    first = opening(events)
    left = [_undo_as_called(change, first.program) for change in residue.residue(events, plan)]
    goals = objectives(plan, figures, unverified(views, own))
    problems = [
        _as_called(mended(finding, events), first.program)
        for finding in findings(own, plan, figures, goals, left, views=views)
    ]
    ending, reason = verdict(own, views, goals, problems)
    result = Result(
        run=first.run,
        drill=plan.drill,
        title=plan.title,
        service=plan.service,
        environment=plan.inventory.environment,
        operator=first.operator,
        tool=first.tool,
        verdict=ending,
        reason=reason,
        residue=tuple(left),
        exit=Exit.RESIDUE if left else EXIT[ending],
        started=events[0].at,
        finished=next((event.at for event in reversed(events) if isinstance(event.what, Ended)), None),
        plan_digest=first.plan_digest,
        objectives=goals,
        clocks=figures.clocks,
        unmeasured=figures.unmeasured,
        phases=phases(own),
        steps=tuple(view.result for view in views),
        faults=figures.faults,
        findings=tuple(problems),
        diagnosis=diagnosis.diagnosis(own, plan),
        settled=residue.settled(events),
    )
    return result.model_copy(update={"capacity": capacity.capacity(result, own, plan)})


def _undo_as_called(left: Residue, program: str) -> Residue:
    """Return a copy of a change that was not undone. In its instructions, each command of Drillbook begins with ``program``."""
    return left.model_copy(update={"by_hand": as_called(left.by_hand, program)})


def _as_called(finding: Finding, program: str) -> Finding:
    """Return a copy of a finding. In its remedy, each command of Drillbook begins with ``program``."""
    return finding.model_copy(update={"remedy": as_called(finding.remedy, program)})


def _step_as_called(step: StepView, program: str) -> StepView:
    """Copy ``step``. In its texts, replace the name of the program in each Drillbook command by ``program``."""
    texts = {key: as_called(text, program) for key in ("message", "undo", "undone") if (text := getattr(step, key))}
    changed = {key: text for key, text in texts.items() if text != getattr(step, key)}
    return step.model_copy(update=changed) if changed else step  # a copy of each of thousands of steps takes time


def _note_as_called(note: Note, program: str) -> Note:
    """Copy ``note``. In its text, replace the name of the program in each Drillbook command by ``program``."""
    return note.model_copy(update={"text": as_called(note.text, program)})


def _contacts(inventory: Inventory) -> dict[str, dict[str, str]]:
    return {
        name: contact.model_dump(include={"role", "duty", "email", "phone"}) for name, contact in inventory.contacts.items()
    }
