"""Dry runs of tasks. A dry run shows the effects of a task, but does not execute the task. It reads only the project's
files, and contacts no host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.text import Text

from drillbook.cli import host_examination, scaffold, show_plan
from drillbook.cli.console import console
from drillbook.cli.rehearsal_project import Answers
from drillbook.errors import DrillbookError
from drillbook.events.first_event import opening
from drillbook.exits import Exit
from drillbook.journal.intents import Intent, intents
from drillbook.journal.journal import alive
from drillbook.journal.run_files import PAGE
from drillbook.journal.run_state import RunState
from drillbook.plan.planner import checked
from drillbook.project.project import Project

NOTHING = "dry run: nothing was touched"
LOSES = "what was written after the backup, or after its archived log, is then lost"
"""Effect of a recovery that restores lost data, because a restore brings back no data that is newer than its backup."""


def tell(*lines: str) -> int:
    """Print ``lines``. Then print a last line, which says that this was a dry run and changed nothing. Returns 0."""
    out = console()
    for line in lines:
        out.print(Text(line), soft_wrap=True)
    out.print(Text(NOTHING, style="bold"))
    return Exit.OK


def drill(project: Project, name: str, inventory: str, *, as_json: bool = False) -> int:
    """Show the plan of a drill instead of running, checking or approving the drill. Returns 3 when the drill cannot run on
    this machine, 4 when it would be refused, and otherwise 0.
    """
    status = show_plan.plans(project, name, inventory, as_json=as_json)
    if not as_json:
        tell()
    return status


def recover(project: Project, run: str, *, closes: bool = False, from_backup: bool = False) -> int:
    """Print the changes that a recovery would undo, newest first. Nothing is undone.

    When ``closes`` is true, print the changes that ``drill.recover --settled`` would close: that command examines the remaining
    changes, and records that they need no undo. When ``from_backup`` is true, describe a recovery that restores lost data from
    the backup that the run verified. Otherwise, a recovery restores lost data by the restore steps of the drill.
    """
    folders = project.runs_of(run, lost=True) if run else [*project.runs(), *project.lost()]
    newest_first = sorted(folders, key=lambda folder: folder.name, reverse=True)
    lines = [line for folder in newest_first for line in _left(RunState(folder), closes=closes, from_backup=from_backup)]
    return tell(*(lines or ["nothing to recover: every run has ended, and all changes are undone or closed"]))


def _left(state: RunState, *, closes: bool, from_backup: bool) -> Iterable[str]:
    folder = state.folder
    if state.alive:
        return [f"{folder.name} is running: its recovery would be refused"]
    if not state.open:
        return []
    if state.damage:
        return [f"{folder.name}: the journal of this run is damaged; nothing would be undone"]
    try:
        plan = checked(opening(state.events).plan)
        unsettled = [intent for intent in reversed(intents(state.events, plan.steps)) if not intent.settled]
    except DrillbookError as error:
        return [f"{folder.name}: {error.message}"]
    if closes:
        return [
            f"{folder.name}:",
            *(
                f"  would check whether the change {intent.step.action} ({intent.step.id}) on {intent.host} is gone"
                for intent in unsettled
            ),
            "  would record that a change needs no undo, if it is no longer in place or a second person has approved this",
        ]
    return [
        f"{folder.name}:",
        *(f"  {_undo(intent, from_backup)}" for intent in unsettled),
        "  would remove the run's temporary files, locks and leases, and end its journal",
    ]


def _undo(intent: Intent, from_backup: bool) -> str:
    undo, what = intent.undo, f"{intent.step.id} {intent.step.action} on {intent.step.works_on(intent.host)}"
    if undo.kind == "commands":
        return f"would undo {what}: " + "; ".join(" ".join(argv) for argv in undo.commands)
    if undo.kind == "action":
        return f"would undo {what}: by {undo.action}"
    if undo.kind == "restore":
        means = "the backup that the run verified" if from_backup else "the steps of the drill"
        reason = f"because {what} has no other undo: {undo.why}"
        return f"would restore the data with {means} and verify the data ({LOSES}), {reason}"
    return f"would leave {what} as it is: {undo.why}"


def stop(project: Project, run: str, inventory: str) -> int:
    """Print the effects that ``drill.stop`` would have: ask runs of this project to stop, and search the targets for the locks
    of other runs. Nothing is stopped.
    """
    running = [folder.name for folder in project.runs() if run in ("", folder.name) and alive(folder)]
    targets = ", ".join(project.inventory(inventory).hosts) or "none"
    return tell(
        *(f"would ask {name} to stop; the run first undoes its changes" for name in running),
        f"would look for locks of {run or 'any run'} on the targets of {inventory}: {targets}",
    )


def report(project: Project, run: str) -> int:
    """Print the run folders whose reports would be rendered again."""
    return tell(*(f"would render the reports in {folder} again" for folder in project.runs_of(run)))


def init(
    folder: Path,
    answers: Answers | None = None,
    names: Sequence[str] = (),
    source: str = "",
    hosts: Sequence[str] = (),
) -> int:
    """Print the files that ``init`` would write, and the ``hosts`` that it would examine. Raises UsageError when a file
    exists already, or when an answer is invalid.
    """
    content = scaffold.free(folder, answers, names, source)
    lines = (
        [f"would examine {', '.join(hosts)} without changing anything, and write {host_examination.NAME}"] if hosts else []
    )
    return tell(*lines, f"would write into {folder.resolve()}:", *(f"  {name}" for name in content))


def open_report(project: Project, run: str) -> int:
    """Tell which report `report.open` would open."""
    return tell(f"would open {project.run(run, suites=True) / PAGE}")


def lab(folder: Path, kind: str, what: str) -> int:
    """Print the effect of a task on the lab. ``what``: verb that describes the task, such as ``start``."""
    return tell(f"would {what} the {kind} lab in {folder}")
