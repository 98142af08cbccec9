"""What the tasks do, in a terminal: run, recover, render, and the embedded lab. Returns exit statuses."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook import conduct, listing
from drillbook.conduct import Conductor
from drillbook.errors import DrillbookError
from drillbook.inventory import Inventory
from drillbook.journal import FILE, read
from drillbook.project import Project
from drillbook.recovery import Recovery, needs_recovery
from drillbook.report import publish, terminal
from drillbook.report.progress import Progress
from drillbook.result import EXIT_RESIDUE, RunView
from drillbook.spec import Drill


def _console() -> Console:
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)


def drill(project: Project, name: str, inventory_name: str) -> int:
    """Run a drill or a suite and print its summary."""
    found = project.drill(name)
    console = _console()
    conductor = Conductor(project, _inventory(project, inventory_name, console), Progress(console))
    plans = conductor.plans(found)
    if isinstance(found, Drill):
        folder, view = conductor.run(plans[0])
        _summary(console, folder, view)
        return view.result.exit
    views: list[RunView] = []

    def between(view: RunView) -> None:
        views.append(view)
        console.print(terminal.summary(view))

    folder, suite = conductor.run_suite(found, plans, between)
    console.print(terminal.suite_summary(suite, views, _shown(folder / "report.html")))
    return suite.exit


def _inventory(project: Project, name: str, console: Console) -> Inventory:
    """The inventory; the embedded lab is started first when it belongs to one and is down."""
    inventory = project.inventory(name)
    if inventory.lab != "embedded":
        return inventory
    from drillbook.lab import control  # noqa: PLC0415  the lab is an extra

    control.up(project.lab, progress=lambda text: console.print(f"lab: {text}", style="dim"))
    return project.inventory(name)


def _summary(console: Console, folder: Path, view: RunView) -> None:
    console.print(terminal.summary(view, _shown(folder / "report.html")))


def _shown(path: Path) -> str:
    """``path`` as short as it can be said from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def recover(project: Project, run: str) -> int:
    """Recover one run, or every unfinished one; one that cannot be recovered does not keep the others waiting."""
    console = _console()
    if run:
        return _recover(project, project.run(run), console)
    statuses = []
    for folder in project.runs():
        try:
            if not (folder / FILE).stat().st_size:
                continue  # its controller died before its first word: nothing was touched
            if needs_recovery(read(folder / FILE)):
                statuses.append(_recover(project, folder, console))
        except DrillbookError as error:
            console.print(Text(f"{folder.name}: {error}", style="bold red"))
            statuses.append(EXIT_RESIDUE)
    if not statuses:
        console.print("nothing to recover: every run ended and put everything back")
    return max(statuses, default=0)


def _recover(project: Project, folder: Path, console: Console) -> int:
    console.print(f"{folder.name}", style="bold")
    recovery = Recovery(folder, lambda plan, name: conduct.connect(plan.inventory, name), conduct.redactor_for,
                        Progress(console))
    with _patient():
        residue = recovery.run(conduct.header(conduct.operator()))
    _summary(console, folder, _render(project, folder))
    return EXIT_RESIDUE if residue else 0


@contextmanager
def _patient() -> Iterator[None]:
    """While recovering, a first Ctrl-C is answered, not obeyed: stopping half-way helps nobody."""
    def answer(number: int, frame: FrameType | None) -> None:
        del number, frame
        sys.stderr.write("recovering; press Ctrl-C again to stop half-way\n")
        signal.signal(signal.SIGINT, before)

    before: Any = signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def report(project: Project, run: str) -> int:
    """Render the reports of a run again, those of its suite too."""
    folder = project.run(run)
    view = _render(project, folder)
    _summary(_console(), folder, view)
    return 0


def _render(project: Project, folder: Path) -> RunView:
    view = conduct.judged(folder)
    publish.write_run(folder, view)
    suite = conduct.suite_of(folder)
    if suite is not None:
        views = [conduct.judged(folder.parent / run["folder"]) for run in suite.runs]
        publish.write_suite(folder.parent, conduct.rejudged(suite, views), views)
    publish.write_index(project.reports)
    return view


def verify(project: Project, run: str) -> int:
    """Check the hash chain of a run's journal."""
    folder = project.run(run)
    history = read(folder / FILE)
    note = "; its last line was torn and is left out" if history.torn else ""
    _console().print(f"{folder.name}: {len(history.events)} events, chain whole{note}\nhead {history.head}", soft_wrap=True)
    return 0


def lab_up(project: Project) -> int:
    """Start the lab."""
    from drillbook.lab import control  # noqa: PLC0415  the lab is an extra

    console = _console()
    control.up(project.lab, progress=lambda text: console.print(f"lab: {text}"))
    return lab_status(project)


def lab_down(project: Project) -> int:
    """Stop the lab."""
    from drillbook.lab import control  # noqa: PLC0415  the lab is an extra

    control.down(project.lab)
    _console().print("the lab is down; nothing of it is left")
    return 0


def lab_status(project: Project) -> int:
    """Print what runs."""
    from drillbook.lab import control  # noqa: PLC0415  the lab is an extra

    return listing.lab(control.status(project.lab), _console())
