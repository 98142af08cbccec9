"""Renders the reports of a run again from its journal, signs them, and opens them in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from drillbook.attestation import sign_runs, trusted_content
from drillbook.attestation.sign_runs import Sealer
from drillbook.attestation.trusted_content import Standing
from drillbook.cli import run_identity, write_metrics
from drillbook.cli.console import console
from drillbook.cli.run_output import Manner, Teller, tell_missed
from drillbook.errors import JournalError, UnknownName
from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.journal.collection import last_work
from drillbook.journal.own_writes import Written
from drillbook.journal.run_files import PAGE, RESULT
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.result import RunView
from drillbook.project import finished_runs, run_index
from drillbook.project.project import Project
from drillbook.report import publish
from drillbook.report.figures import one_line


@last_work()
def report(project: Project, run: str) -> int:
    """Render the reports of a run again. If the run belongs to a suite, also render the report of the suite again.

    The new reports are signed only if a trusted key has signed the journal before. Raises JournalError when the journal
    differs from the journal that was signed.
    """
    runs = RunStates()
    for folder in project.runs_of(run):
        before = trusted_content.of_run(runs.of(folder), project.root)
        if before.doubt:
            raise JournalError(f"{folder.name} is not rendered: {before.doubt}", hint=f"invoke report.verify {folder.name}")
        view, unsigned = render(project, folder, before, runs, occasion="report")
        Teller(Manner.FULL, view.inventory).end(view, shown_path(folder / PAGE))
        dead = trusted_content.died_before_it_signed(runs.of(folder), before) if unsigned == before.unvouched else ""
        _tell_unsigned(folder, before, unsigned, console(), dead)
    return Exit.OK


def render(
    project: Project, folder: Path, before: Standing, runs: RunStates, *, occasion: str, written: Written | None = None
) -> tuple[RunView, str]:
    """Write the reports of a run again, and sign the run. The run is signed only if each of its events was signed
    before, or was written by this process.

    ``runs``: states of runs that the task has already read. The files of these runs have not changed since. Each file of a run
    is read only once through these states. So the journal that is judged, shown and signed is the journal that was verified.
    Returns the judged run, and the reason why the run was not signed. The reason is empty when the run was signed.
    """
    suite = finished_runs.suite_of(folder, runs)
    whole = trusted_content.of_suite(runs.of(folder.parent), project.root) if suite else sign_runs.NEW
    state = runs.of(folder)
    view = finished_runs.judged(state)
    rendered = publish.write_run(folder, view)
    sealer = Sealer(project.root, run_identity.operator(), occasion)
    unsigned = sign_runs.seal_run(state, view, rendered, sealer, written=written, before=before)
    if suite is not None:
        views = [finished_runs.judged(runs.of(folder.parent / run["folder"])) for run in suite.runs]
        again = finished_runs.rejudged(suite, views)
        rendered = publish.write_suite(folder.parent, again, views)
        attested = {} if unsigned else {folder.name: sign_runs.written_digest(folder)}
        sign_runs.seal_suite(folder.parent, again, rendered, sealer, attested=attested, before=whole, runs=runs)
    run_index.write(project, runs=runs)
    write_metrics.refresh(project)
    tell_missed(sealer.missed)
    return view, unsigned


def open_report(project: Project, run: str) -> int:
    """Open the report of the run or suite ``run`` in the browser. Without a browser, print the path of the report, and
    the reason to standard error. If ``run`` is empty, the newest run is used. Raises UnknownName when there is no such
    run, or when it has no report."""
    run_index.refresh(project)
    report = project.run(run, suites=True) / PAGE
    if not report.is_file():
        raise _without_report(report, project.runs_of(report.parent.name))
    try:
        opened = bool(
            os.environ.get("DISPLAY")
            or os.environ.get("WAYLAND_DISPLAY")
            or os.environ.get("BROWSER")
            or sys.platform == "darwin"
        ) and webbrowser.open(report.resolve().as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        console(aside=True).print(Text("no browser can be started from here; open this file in a browser:"), soft_wrap=True)
    console().print(Text(f"opened {shown_path(report)}" if opened else str(report.resolve())), soft_wrap=True)
    return Exit.OK


def _without_report(report: Path, runs: Sequence[Path]) -> UnknownName:
    """Return the error for a run or suite whose ``report`` does not exist. ``runs``: the run, or the runs of the suite's drills."""
    name, state = report.parent.name, RunState(report.parent)
    if report.parent in runs and state.alive:
        text = f"the run {name} has no report yet, because it is in progress"
        return UnknownName(text, hint="wait until it ends; `invoke drill.list` shows its state")
    if report.parent in runs and state.open and not (report.parent / RESULT).exists():
        text = f"the run {name} has no report, because its controller died before the end"
        look = f"; `invoke report {name}` writes a report as it is now, and undoes nothing"
        return UnknownName(text, hint=f"undo its changes, which also writes the report: invoke drill.recover {name}{look}")
    if report.parent in runs or (report.parent / RESULT).exists():
        return UnknownName(f"{report} does not exist", hint=f"render the report: invoke report {report.parent.name}")
    names = [run.name for run in runs if (run / PAGE).is_file()]
    if not names:
        hint = f"render the reports of its drills: invoke report {report.parent.name}"
    elif len(names) == 1:
        hint = f"open the report of its drill: invoke report.open {names[0]}"
    else:
        hint = (
            f"open the report of a drill: invoke report.open {names[-1]}; other runs with a report: {', '.join(names[:-1])}"
        )
    text = f"the suite {report.parent.name} has no report, because its controller died before the end"
    return UnknownName(text, hint=hint)


def told_render(
    project: Project,
    folder: Path,
    before: Standing,
    written: Written,
    out: Console,
    *,
    occasion: str = "recovery",
    manner: Manner = Manner.BRIEF,
) -> tuple[RunView, RunState]:
    """Render the reports of a recovered run, print its result, and sign its folder. ``before``: state of the folder's
    signatures before the recovery. If the folder must not be signed in this state, print the reason.

    Returns the judged run and its state. Its journal is read again, because the recovery has added events to it.
    """
    runs = RunStates()
    view, unsigned = render(project, folder, before, runs, occasion=occasion, written=written)
    Teller(manner, view.inventory).end_recovery(view, shown_path(folder / PAGE))
    _tell_unsigned(folder, before, unsigned, out)
    return view, runs.of(folder)


def _tell_unsigned(folder: Path, before: Standing, unsigned: str, out: Console, dead: str = "") -> None:
    """Print that the run in ``folder`` was not signed again. ``unsigned``: the reason. Print nothing when it is empty. ``dead``:
    sentence that takes the place of this warning if the only reason is that the controller died.
    """
    if dead:
        out.print(Text(f"! {dead}; see {program()} report.verify {folder.name}", style="yellow"), soft_wrap=True)
    elif unsigned:
        out.print(
            Text(
                f"✗ not signed again: {one_line(unsigned)}; see {program()} report.verify {folder.name}",
                style="bold red" if before.doubt else "yellow",
            ),
            soft_wrap=True,
        )


def shown_path(path: Path) -> str:
    """Return ``path`` relative to the current folder. A path outside of the current folder is returned unchanged."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
