"""Recovers runs, and prints the progress to the terminal.

A recovery undoes the changes of a run whose controller died. It uses only the journal of this run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.attestation import anchor_lines, trusted_content
from drillbook.attestation.manifests import ManifestKeys
from drillbook.campaign import campaign_record as campaigns
from drillbook.campaign import continuing, place
from drillbook.cli import access, lost_record, run_identity
from drillbook.cli.console import console
from drillbook.cli.render import told_render
from drillbook.cli.run_output import Manner
from drillbook.engine import lab_gone, manual_cleanup
from drillbook.engine.recovery import Recovery
from drillbook.errors import DrillbookError, JournalError, UsageError
from drillbook.events.event import Event
from drillbook.events.holds import ContactMissed, LockTaken, OfContact
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called, program
from drillbook.journal.journal import Observer
from drillbook.journal.own_writes import Written
from drillbook.journal.run_files import PAGE
from drillbook.journal.run_state import RunState
from drillbook.judge import notes
from drillbook.judge.result import Result, RunView
from drillbook.notify.messenger import Messenger
from drillbook.plan.planner import checked
from drillbook.project import run_index
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line, shown
from drillbook.report.terminal.event_lines import Progress
from drillbook.report.terminal.prose import Prose

OF_RUN = " (the exit status above is that of the run)"
"""Note at the end of the last line of a successful recovery. The lines above show the result and the exit status of the
recovered run. The note says that this exit status is not that of the recovery. Brief output needs no such note."""


def recover(project: Project, run: str, *, from_backup: bool = False, manner: Manner = Manner.BRIEF) -> int:
    """Recover the selected run. If ``run`` is empty, recover every unfinished run; if one recovery fails, the remaining
    runs are still recovered. Raises UsageError when the selected run cannot be recovered.

    When ``from_backup`` is true, lost data is restored from the backup that the run verified, and the restore steps of
    the drill are not used. ``from_backup`` needs a selected run. ``manner``: brief, or full to print each step, and the
    whole result of each run.
    """
    out = console()
    if from_backup:
        return _recover(project, single(project, run, "--from-backup"), out, manner, from_backup=True)
    if run and len(folders := project.runs_of(run, lost=True)) == 1:
        return _recover(project, RunState(folders[0]), out, manner)
    statuses = []
    for folder in reversed(folders if run else sorted([*project.runs(), *project.lost()], key=lambda path: path.name)):
        try:
            if (state := RunState(folder)).open:
                statuses.append(_recover(project, state, out, manner))
        except DrillbookError as error:
            out.print(Text(f"{folder.name}: {shown(error)}", style="bold red"))
            statuses.append(Exit.RESIDUE)
    statuses += _unfinished_campaigns(project, out)
    run_index.refresh(project)
    if not statuses:
        recorded = next(iter(project.runs()), None) is not None
        out.print(
            "nothing to recover: every run has ended, and all changes are undone or closed"
            if recorded
            else f"there are no runs in {project.reports}; if runs were moved or deleted, restore their folders"
        )
    return max(statuses, default=Exit.OK)


def _unfinished_campaigns(project: Project, out: Console) -> list[int]:
    """Print the unfinished campaigns whose controller has ended. Returns an exit status for each of these campaigns. The
    runs of these campaigns on this machine are recovered before this function is called.
    """
    statuses: list[int] = []
    for folder in campaigns.unfinished(project.reports):
        try:
            state = campaigns.fold(campaigns.read(folder))
        except JournalError as error:
            out.print(Text(shown(f"{folder.name}: {error.message}"), style="bold red"), soft_wrap=True)
            statuses.append(Exit.UNVERIFIED)
            continue
        if state.finished is None:
            try:
                told = continuing.next_step(state, place.name_of(project.root))
            except UsageError as error:
                told = error.message
            text = as_called(f"{folder.name}: the ends of {count(len(state.open), 'site')} are unknown; {told}")
            out.print(Text(shown(text), style="yellow"), soft_wrap=True)
            statuses.append(Exit.UNVERIFIED)
    return statuses


def single(project: Project, run: str, flag: str) -> RunState:
    """Return the run named ``run``. If ``run`` names a suite, return the only run of the suite that needs a recovery.

    Raises UsageError if no run of the suite needs a recovery, or if several runs do.
    """
    if not run:
        raise UsageError(f"{flag} needs the name of one run", hint="see `invoke drill.list`")
    states = [RunState(folder) for folder in project.runs_of(run, lost=True)]
    broken = [state for state in states if state.damage or state.needs_recovery]
    if len(states) > 1 and not broken:
        raise UsageError(
            f"{flag} needs the name of one run, but {run} is a suite, and no drill of it left changes in place",
            hint="see `invoke drill.list`",
        )
    if len(states) > 1 and len(broken) != 1:
        names = ", ".join(state.folder.name for state in broken)
        raise UsageError(
            f"{flag} needs the name of one run, but {run} is a suite; these of its drills left changes in place: {names}",
            hint="name one of them",
        )
    return broken[0] if len(broken) == 1 else states[0]


def _recover(project: Project, state: RunState, out: Console, manner: Manner, *, from_backup: bool = False) -> int:
    folder = state.folder
    out.print(f"{folder.name}", style="bold")
    if state.damage and not state.alive:
        out.print(Text(f"✗ {manual_cleanup.TITLE}", style="bold red"))
        for line in manual_cleanup.steps(state):
            command = line.startswith("   ")  # to be copied, so it is not broken
            out.print(Prose(Text(shown(as_called(line))), 2, verbatim=command))
        return Exit.RESIDUE
    before, written = trusted_content.of_run(state, project.root), Written()
    gone = lab_gone.lab_gone(state.first)
    if gone and state.needs_recovery:
        lab_gone.settle(
            folder, gone, run_identity.header(run_identity.operator()), _progress(out, manner, folder.name), written
        )
        told_render(project, folder, before, written, out, manner=manner)
        end = f"✓ {gone}; nothing is left to undo, and the journal now records this; exit {Exit.OK}"
        out.print(Prose(Text(end, style="green"), 2, above=1))
        return Exit.OK
    recovery = recovery_of(project, folder, out, from_backup=from_backup, manner=manner)
    with patient():
        residue = recovery.run(run_identity.header(run_identity.operator()))
    try:
        view, state = told_render(project, folder, before, recovery.written, out, manner=manner)
    except OSError as error:
        raise lost_record.unreported(folder, error, residue) from None
    except JournalError as error:
        raise lost_record.unrecorded(folder, error.message, residue) from None
    tell_contacts(project, view, state, out)
    result = view.result
    style = "bold red" if result.open_residue else "green"
    out.print(Prose(Text(recovered(result, OF_RUN if manner is Manner.FULL else ""), style=style), 2, above=1))
    return Exit.RESIDUE if residue else Exit.OK


def recovered(result: Result, note: str = "") -> str:
    """Return the last line of a recovery's output. It tells that all changes are undone, or how many changes are still
    in place. ``note``: text after the exit status of a successful recovery.
    """
    left = count(len(result.residue), "change")
    if result.settled:
        return f"closed by {one_line(result.settled.by)}, not recovered: {left} could not be undone"
    if result.residue:
        return f"✗ still broken: {left} could not be undone; exit {Exit.RESIDUE}; try again: {program()} drill.recover {result.run}"
    return f"✓ recovered: all changes of the run are undone; exit {Exit.OK}{note}"


def _progress(out: Console, manner: Manner, run: str) -> Observer:
    """Return the observer that prints the progress of a recovery of ``run``. In brief output, it prints a line for each phase
    that runs again, and what needs attention. A recovery always takes over the locks of its own run, so this needs none.
    """
    progress = Progress(out, brief=manner is Manner.BRIEF)

    def observe(event: Event) -> None:
        before = event.what.taken_from if isinstance(event.what, LockTaken) else None
        own = isinstance(before, dict) and before.get("run") == run
        if not own or manner is Manner.FULL:
            progress(event)

    return observe


def recovery_of(
    project: Project, folder: Path, out: Console, *, from_backup: bool = False, manner: Manner = Manner.BRIEF
) -> Recovery:
    """Create the recovery of the run in ``folder``. Its progress is printed to ``out``."""
    return Recovery(
        folder,
        lambda plan, name: access.connect(plan.inventory, name),
        access.redactor_for,
        _progress(out, manner, folder.name),
        others=[other for other in project.runs() if other != folder],
        from_backup=from_backup,
        vouchers=ManifestKeys(project.root),
    )


def tell_contacts(project: Project, view: RunView, state: RunState, out: Console) -> None:
    """Send the result of the recovery to the contacts. The message lists the changes that are still in place, or tells
    that no change is left. ``state``: the journal after the recovery, from which ``view`` was judged.

    If the message cannot be sent to a contact, a warning is printed.
    """

    def record(what: OfContact) -> None:
        style = "yellow" if isinstance(what, ContactMissed) else "dim"
        out.print(Prose(Text(notes.contact(what), style=style), 2))

    folder = state.folder
    Messenger(
        checked(view.plan),
        folder.name,
        str(folder / PAGE),
        record,
        folder=anchor_lines.relative(folder, project.reports),
    ).recovered(view.result, state.events[-1])


@contextmanager
def patient() -> Iterator[None]:
    """Print a warning on the first Ctrl-C during a recovery. A second Ctrl-C stops the recovery, and some changes may then
    remain.
    """

    def answer(number: int, frame: FrameType | None) -> None:
        del number, frame
        if asked:
            sys.stderr.write(as_called("stopped before the end; run `invoke drill.recover` again\n"))
            os._exit(Exit.RESIDUE)  # a normal exit would wait for blocked threads; the journal is on disk
        asked.append(True)
        sys.stderr.write("a recovery is in progress; press Ctrl-C again to stop it before its end\n")

    asked: list[bool] = []
    before: Any = signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
