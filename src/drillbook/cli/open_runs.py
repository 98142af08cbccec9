"""Runs that are in progress, or that still need a recovery, as ``drill.list`` shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.errors import DrillbookError
from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.verdicts import UNFINISHED, Verdict, shown
from drillbook.project.newest_runs import Ended, Standing
from drillbook.project.project import Project
from drillbook.report import folders
from drillbook.report.figures import one_line
from drillbook.report.terminal.prose import Prose
from drillbook.sdk.run_names import drill_of

MOST = 3
"""Largest number of commands that are listed below a table. Each command is about an unfinished run."""


@dataclass(frozen=True, slots=True)
class Open:
    """A run that is in progress, or that still needs a recovery.

    ``state`` is ``running``, ``unfinished``, ``residue`` (changes were not undone), ``damaged`` (the journal is
    damaged), ``lost`` (the journal is missing), or ``gone`` (the lab no longer exists). ``said`` explains the state.
    """

    run: str
    state: str
    said: str


def unsettled(runs: Sequence[Path]) -> list[Open]:
    """Return the runs that have not ended, or have not undone all their changes. The newest run comes first."""
    listed = []
    for folder in reversed(runs):
        word = folders.last_word(folder)
        if word is None or word.get("residue"):
            listed.append(_open(folder, ended=word is not None))
    return listed


def with_dead(
    newest: Mapping[str, Standing], unsettled: Sequence[Open], states: RunStates, reports: Path
) -> dict[str, Standing]:
    """Return the standings in ``newest``, with a change for each drill that has an unfinished run: the unfinished run becomes
    the last run of the drill, with the verdict `unfinished`.

    A run with a damaged journal is treated like an unfinished run. A later run that was refused because of the unfinished run
    does not become the last run.
    """
    standings = dict(newest)
    for run in reversed(unsettled):
        drill = drill_of(run.run) if run.state in ("unfinished", "damaged") else None
        if drill:
            started = folders.begun(run.run)
            last = Ended(
                run.run, states.of(reports / run.run), drill, "", "unfinished", started, Exit.UNVERIFIED, settled=False
            )
            known = newest.get(drill)
            standings[drill] = _hidden(known, last) if known else Standing(last, None, started)
    return standings


def _hidden(known: Standing, last: Ended) -> Standing:
    """Return the standing of a drill with the unfinished run ``last`` in place of its newest run, which is now an earlier one."""
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    old = known.last
    passed = old.verdict == Verdict.PASSED
    losses = earlier_losses.with_hidden(known.losses, old.run, old.started, old.lost, passed=passed)
    return replace(known, last=last, failed="", losses=losses)


def _open(folder: Path, *, ended: bool) -> Open:
    state = RunState(folder)
    if state.alive:
        return Open(folder.name, "running", "still running")
    if not ended and state.lost:
        return Open(folder.name, "lost", state.lost)
    from drillbook.engine import lab_gone  # noqa: PLC0415  slow to load

    if gone := lab_gone.lab_gone(state.first_line):
        return Open(folder.name, "gone", gone)
    if state.damage:
        return Open(folder.name, "damaged", "the journal is damaged, so the changes must be undone by hand")
    return Open(folder.name, "residue" if ended else "unfinished", "")


@dataclass(frozen=True, slots=True)
class Changed:
    """An unfinished run, with the hosts on which its journal announces changes, and the command that undoes them.

    A damaged line of the journal may lack the values of these fields. Then ``drill`` and ``service`` are empty, and ``hosts``
    is incomplete.
    """

    run: str
    drill: str
    service: str
    hosts: tuple[str, ...]
    undo: str


def changes(project: Project) -> list[Changed]:
    """Return the unfinished runs of the project, the newest first. No index is written. Raises UsageError when the folder of
    all runs cannot be read.
    """
    return [_changed(state) for state in dead(project, RunStates(), noting=False)]


def _changed(state: RunState) -> Changed:
    from drillbook.events.steps import IntentRecorded  # noqa: PLC0415  slow to load

    data = state.first_line.get("data")
    plan = data.get("plan") if isinstance(data, dict) else None
    known = plan if isinstance(plan, dict) else {}
    places = _places(known)
    announced = [event for event in state.events if event.kind == IntentRecorded.KIND and event.host]
    hosts = dict.fromkeys(places.get((event.step or "", event.host or ""), event.host or "") for event in announced)
    run = state.folder.name
    return Changed(run, drill_of(run) or "", str(known.get("service", "")), tuple(hosts), _undo(run))


def _places(plan: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the host of the data of each planned step that reaches a service from the controller. The result is empty if the plan
    cannot be read, as in a damaged journal.
    """
    from drillbook.inventory.inventory import CONTROLLER  # noqa: PLC0415  slow to load
    from drillbook.plan.planner import checked  # noqa: PLC0415  slow to load
    from drillbook.plan.step_roles import data_host  # noqa: PLC0415  slow to load

    try:
        known = checked(plan)
    except (DrillbookError, ValueError):
        return {}
    return {(step.id, CONTROLLER): data_host(known.inventory, step, CONTROLLER) for step in known.steps}


def show_changes(changed: Sequence[Changed], out: Console) -> None:
    """Print the unfinished runs before a diagnosis, because their changes may be the cause of the incident."""
    for run in changed:
        drill = f" of the drill {one_line(run.drill)}" if run.drill else ""
        if run.hosts:
            service = f" (service {one_line(run.service)})" if run.service else ""
            did = f"changed {one_line(', '.join(run.hosts))}{service}, and may be the cause"
        else:
            did = "may have left changes"
        out.print(Prose(Text(f"✗ the unfinished run {run.run}{drill} {did}", style="bold red"), 0))
        out.print(Text(f"  undo its changes: {run.undo}"), soft_wrap=True)


def dead(project: Project, states: RunStates, *, noting: bool = True) -> list[RunState]:
    """Return the states of the runs that need a recovery, the newest first. ``states`` and ``noting``: see
    ``Project.open_runs``.
    """
    return list(filter(_needs_recovery, map(states.of, reversed(project.open_runs(states, noting=noting)))))


def to_recover(dead: Sequence[RunState]) -> list[tuple[str, str]]:
    """Return the commands that undo the changes of the runs in ``dead``, each with a description. At most ``MOST`` commands
    are returned; ``drill.list`` shows all.
    """
    from drillbook.report import dead_runs  # noqa: PLC0415  keeps start-up fast

    return [
        (dead_runs.RECOVER if is_unfinished(state) else "undo the remaining changes", _undo(state.folder.name))
        for state in dead[:MOST]
    ]


def is_unfinished(state: RunState) -> bool:
    """Return True for a run without an end, also if `invoke report` wrote its result."""
    result = state.result.as_object()
    return not result or shown("", str(result.get("reason")), result.get("finished")) == UNFINISHED


def _undo(run: str) -> str:
    """Return the command that undoes the changes of an unfinished run."""
    return f"{program()} drill.recover {run}"


def _needs_recovery(state: RunState) -> bool:
    from drillbook.engine import lab_gone  # noqa: PLC0415  slow to load

    _ = state.unreadable  # reads the whole journal, so that its first line need not be read
    return not state.alive and not state.lost and not lab_gone.lab_gone(state.first_line) and state.open


def show(unsettled: Sequence[Open], out: Console) -> None:
    """Print the state of each run in ``unsettled``. Unless the run is in progress, also print the command to use."""
    for run in unsettled:
        out.print()
        if run.state in ("unfinished", "residue"):
            what = "unfinished" if run.state == "unfinished" else "changes not undone"
            out.print(Text(f"✗ {what}: {run.run}", style="bold red"), soft_wrap=True)
            out.print(Text(f"  undo its changes: {_undo(run.run)}"), soft_wrap=True)
        elif run.state == "damaged":
            out.print(Text(f"✗ unfinished, and its journal is damaged: {run.run}", style="bold red"), soft_wrap=True)
            out.print(Text(f"  to see the steps of the manual cleanup: {program()} drill.recover {run.run}"), soft_wrap=True)
        elif run.state == "lost":
            out.print(Text(f"✗ journal lost: {run.run}", style="bold red"), soft_wrap=True)
            out.print(Prose(Text(f"{run.said}: {program()} report.verify {run.run}"), 2))
        elif run.state == "gone":
            out.print(Text(f"- {run.run}"), soft_wrap=True)
            out.print(Prose(Text(f"{run.said}. Nothing is left to undo; to record this: {program()} drill.recover"), 2))
        else:
            out.print(Text(f"… running: {run.run}", style="cyan"), soft_wrap=True)
            out.print(Prose(Text(run.said), 2))
