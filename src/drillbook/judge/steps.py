"""Phases and steps of a run, read from its journal: outcome, facts, commands, and the undo of each change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from drillbook.events.event import Event, contents, each, of_kinds
from drillbook.events.runs import PhaseEnded, PhaseStarted
from drillbook.events.steps import CommandRun, Done, Failed, IntentRecorded, OfUndo, Skipped, StepStarted
from drillbook.judge import faultstate
from drillbook.judge.event_index import by_step, merged
from drillbook.judge.result import CommandView, PhaseResult, StepResult, StepView
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan

ONLY_BY_RESTORE, NOTHING = "only by a restore: ", "nothing: "
"""Beginnings of texts that tell how a change is undone: ``ONLY_BY_RESTORE`` for a change that only a restore can undo, and
``NOTHING`` for a change that needs no undo.
"""
BY_ACTION = re.compile(r"\w+\.\w+ \{")
"""Regular expression for the beginning of a text about an undo by an action. The text begins with the name and the parameters
of the action.
"""


def phases(events: Sequence[Event]) -> tuple[PhaseResult, ...]:
    """Return every phase that began, with its outcome and its duration in seconds."""
    results: dict[str, PhaseResult] = {}
    begun: dict[str, float] = {}
    for event in of_kinds(events, PhaseStarted, PhaseEnded):
        match event.what:
            case PhaseStarted(phase=phase):
                begun[phase] = event.clock
                results[phase] = PhaseResult(phase=phase, status="interrupted", seconds=0.0)
            case PhaseEnded(phase=phase) as what:
                status: Any = what.status
                results[phase] = PhaseResult(phase=phase, status=status, seconds=event.clock - begun[phase])
    return tuple(results.values())


def steps(own: Sequence[Event], events: Sequence[Event], plan: Plan) -> list[StepView]:
    """Return every step on every host, with its outcome and the outcome of its undo.

    The undo may have been made by the run itself, or by a later recovery.
    """
    views: list[StepView] = []
    mine, undos = by_step(own), _undos(events)
    for step in plan.steps:
        of_hosts = mine.get(step.id, {})
        anywhere = of_hosts.get(None, [])
        skipped = next(iter(contents(merged([*of_hosts.values()]), Skipped)), None)
        for host in [host for host in step.hosts if of_hosts.get(host)] or list(step.hosts):
            host_events = merged([of_hosts.get(host, []), anywhere])
            number, undo = undos.get((step.id, host), (0, None))
            view = _view(step, host, host_events, skipped, undo)
            later = undo is not None and number > own[-1].seq
            views.append(view.model_copy(update={"undone_later": True}) if later else view)
    return views


def _undos(events: Sequence[Event]) -> dict[tuple[str | None, str | None], tuple[int, OfUndo]]:
    """Return the last event about the undo of each step on each host, with its number."""
    return {(event.step, event.host): (event.seq, what) for event, what in each(events, OfUndo)}


def _view(
    step: PlannedStep, host: str, events: Sequence[Event], skipped: Skipped | None, settled: OfUndo | None
) -> StepView:
    outcome, started, intent, commands = _found(events)
    status: Any = "skipped" if started is None else "unknown"
    message = skipped.why if skipped and outcome is None else ""
    match outcome:
        case Done():
            status = "done"
        case Failed(outcome=how, allowed=allowed):
            status, message = "allowed" if allowed else how, outcome.message
    result = StepResult(
        id=step.id,
        action=step.action,
        host=host,
        status=status,
        seconds=outcome.seconds if outcome else None,
        facts=outcome.facts if outcome else {},
    )
    return StepView(
        result=result,
        name=step.name,
        phase=step.phase,
        effect=step.effect,
        start=started,
        params=step.params,
        undo=undo_text(intent),
        message=message,
        undone=faultstate.ending(intent, settled),
        commands=tuple(map(_command, commands)),
        attempts=max(1, outcome.attempts) if outcome else 1,
        every_s=None if step.retries else step.every_s,
        allowed=(outcome.allowed or "") if isinstance(outcome, Failed) else "",
        outcomes=tuple((row["outcome"], row["count"]) for row in outcome.outcomes) if isinstance(outcome, Failed) else (),
    )


def _found(
    events: Sequence[Event],
) -> tuple[Done | Failed | None, float | None, IntentRecorded | None, list[CommandRun]]:
    """Return four facts of a step on one host: outcome, start, the event that announced its change, and its commands."""
    outcome: Done | Failed | None = None
    started: float | None = None
    intent: IntentRecorded | None = None
    commands: list[CommandRun] = []
    for event in events:
        match event.what:
            case Done() | Failed() as what:
                outcome = what
            case StepStarted():
                started = event.clock if started is None else started
            case IntentRecorded() as what:
                intent = intent or what
            case CommandRun() as what:
                commands.append(what)
    return outcome, started, intent, commands


def _command(what: CommandRun) -> CommandView:
    return CommandView(
        argv=what.argv,
        exit=what.exit,
        signal=what.signal,
        seconds=what.seconds,
        stdout=what.stdout,
        stderr=what.stderr,
        stdout_bytes=what.stdout_bytes,
        stderr_bytes=what.stderr_bytes,
        error=what.error,
    )


def undo_text(intent: IntentRecorded | None) -> str:
    """Describe the undo of an announced change: its commands, its action, or the reason why it has neither."""
    if intent is None:
        return ""
    undo = intent.undo
    return {
        "commands": "; ".join(" ".join(argv) for argv in undo["commands"]),
        "action": f"{undo['action']} {undo['params']}",
        "restore": f"{ONLY_BY_RESTORE}{undo['why']}",
        "nothing": f"{NOTHING}{undo['why']}",
    }[undo["kind"]]


def by_commands(view: StepView) -> bool:
    """Return True when the undo of a step's change consists of commands. Its target can then run these commands by itself."""
    return bool(view.undo) and not view.undo.startswith((ONLY_BY_RESTORE, NOTHING)) and not BY_ACTION.match(view.undo)
