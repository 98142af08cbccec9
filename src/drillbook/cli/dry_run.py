"""Dry runs: what a task would do is told, and nothing is done. Reads the project's own files; no host is contacted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.text import Text

from drillbook.cli import scaffold, show_plan
from drillbook.cli.console import console
from drillbook.engine.recovery import needs_recovery
from drillbook.errors import DrillbookError
from drillbook.events.runs import opening
from drillbook.journal.damaged import damage, settled
from drillbook.journal.intents import Intent, intents
from drillbook.journal.journal import FILE, alive, read
from drillbook.plan.planner import checked
from drillbook.project.project import Project

NOTHING = "dry run: nothing was touched"


def tell(*lines: str) -> int:
    """Print what would be done, and that it was not; returns 0."""
    out = console()
    for line in lines:
        out.print(Text(line), soft_wrap=True)
    out.print(Text(NOTHING, style="bold"))
    return 0


def drill(project: Project, name: str, inventory: str, *, as_json: bool = False) -> int:
    """Show the plan of a drill in place of running, checking or approving it; 4 when it would be refused now."""
    status = show_plan.plans(project, name, inventory, as_json=as_json)
    if not as_json:
        tell()
    return status


def recover(project: Project, run: str, *, closes: bool = False, from_backup: bool = False) -> int:
    """Name every change that a recovery would put back, newest first, or whose proof it would ask before it ``closes``.

    ``from_backup``: what only a restore mends would be restored from the backup that the run proved.
    """
    folders = project.runs_of(run, lost=True) if run else [*project.runs(), *project.lost()]
    newest_first = sorted(folders, key=lambda one: one.name, reverse=True)
    lines = [line for folder in newest_first for line in _left(folder, closes=closes, from_backup=from_backup)]
    return tell(*(lines or ["nothing to recover: every run ended and put everything back"]))


def _left(folder: Path, *, closes: bool, from_backup: bool) -> Iterable[str]:
    if alive(folder):
        return [f"{folder.name} is running: it would be refused"]
    if damage(folder):
        return [] if settled(folder) else [f"{folder.name}: its journal is damaged; nothing would be put back from it"]
    try:
        history = read(folder / FILE) if (folder / FILE).stat().st_size else None
        if history is None or not needs_recovery(history):
            return []
        plan = checked(opening(history.events).plan)
        unsettled = [one for one in reversed(intents(history.events, plan.steps)) if not one.settled]
    except DrillbookError as error:
        return [f"{folder.name}: {error.message}"]
    if closes:
        return [
            f"{folder.name}:",
            *(f"  would ask {one.step.action} ({one.step.id}) on {one.host} whether it is gone" for one in unsettled),
            "  would close what is gone, or what a second person approved",
        ]
    return [
        f"{folder.name}:",
        *(f"  {_undo(one, from_backup)}" for one in unsettled),
        "  would remove the run's temporary files, locks and leases, and end its journal",
    ]


def _undo(intent: Intent, from_backup: bool) -> str:
    undo, what = intent.undo, f"{intent.step.id} {intent.step.action} on {intent.host}"
    if undo.kind == "commands":
        return f"would undo {what}: " + "; ".join(" ".join(argv) for argv in undo.commands)
    if undo.kind == "action":
        return f"would undo {what}: by {undo.action}"
    if undo.kind == "restore":
        how = "from the backup that the run proved, and" if from_backup else "as the drill says, and"
        return f"would restore {how} verify for {what}: {undo.why}"
    return f"would leave {what} as it is: {undo.why}"


def stop(project: Project, run: str, inventory: str) -> int:
    """Name the runs of this project that would be asked to stop, and the targets that would be asked for others."""
    running = [folder.name for folder in project.runs() if run in ("", folder.name) and alive(folder)]
    targets = ", ".join(project.inventory(inventory).hosts) or "none"
    return tell(
        *(f"would ask {name} to stop; it puts everything back first" for name in running),
        f"would look for locks of {run or 'any run'} on the targets of {inventory}: {targets}",
    )


def report(project: Project, run: str) -> int:
    """Name the folders whose reports would be rendered again."""
    return tell(*(f"would render the reports in {folder} again" for folder in project.runs_of(run)))


def init(folder: Path) -> int:
    """Name the files that a new project would get. Raises UsageError when one of them is there already."""
    return tell(f"would make a new project in {folder.resolve()}:", *(f"  {name}" for name in scaffold.free(folder)))


def lab(folder: Path, kind: str, what: str) -> int:
    """Say what would become of a lab."""
    return tell(f"would {what} the {kind} lab in {folder}")
