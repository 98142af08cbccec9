"""Writes the reports of a run and the index of all runs. Each file is written atomically."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from drillbook.atomic_file import replace_file
from drillbook.errors import JournalError
from drillbook.journal.journal import FILE
from drillbook.journal.run_files import PAGE
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.result import RunView, SuiteResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import audit_pages, folders, formats, index, index_age, own_end, recovery_steps
from drillbook.report.formats import Rendering, Subject
from drillbook.report.index_entries import IndexEntry, Known
from drillbook.report.recovery_steps import Recovered


def write_all(folder: Path, renderings: Sequence[Rendering[Subject]], subject: Subject) -> None:
    """Write every file of ``renderings`` for ``subject``; see ``formats``. Raises OSError when a file cannot be written."""
    _written(folder, formats.rendered(renderings, subject))


def write_run(folder: Path, view: RunView) -> dict[str, str]:
    """Write every report file of one run; see ``formats``. Return the text of each file, with the file's name as the key."""
    return _written(folder, formats.of_run(view))


def write_suite(folder: Path, suite: SuiteResult, views: Sequence[RunView]) -> dict[str, str]:
    """Write every report file of a suite; see ``formats``. Return the text of each file, with the file's name as the key."""
    return _written(folder, formats.of_suite(suite, views))


def _written(folder: Path, texts: dict[str, str]) -> dict[str, str]:
    for name, text in texts.items():
        write(folder / name, text)
    return texts


def write_index(
    reports: Path, latest: str = "", known: Mapping[str, Known] | None = None, runs: RunStates | None = None
) -> None:
    """Write ``index.html`` of all runs, newest first, and set the symbolic link `latest` in the same folder.

    ``latest``: name of the run to which the link is set. If it is empty, the link is set to the newest finished run. A link to
    a newer run that has not finished is kept. ``known``: names of the project's drills and suites. The page also lists the
    drills and suites that never ran. ``runs``: states of the runs and suites that were read already.
    """
    runs = runs or RunStates()
    names = index_age.names(reports)
    going = index_age.in_progress(reports)  # before the runs are read, so that a run which dies now counts as not shown
    newest = max((index_age.changed(reports, name) for name in names), default=0)
    entries = {name: entry for name in names if (entry := _listed(runs.of(reports / name), runs))}
    page = reports / index_age.PAGE
    write(page, index.render(entries.values(), known, audit_pages.newest(reports), going))
    if newest:  # not the time of writing, so that a run that ends in this moment counts as newer than the page
        os.utime(page, ns=(newest, newest))
    _set_latest(reports, latest, max((name for name, entry in entries.items() if entry.href), default=""))


def _set_latest(reports: Path, latest: str, finished: str) -> None:
    """Set the symbolic link `latest` to the run ``latest``. If this name is empty, set the link to the run ``finished``, but
    only if that is newer than the run to which the link points now.
    """
    link = reports / "latest"
    if latest or finished > (link.resolve().name if link.exists() else ""):
        draft = reports / f".latest-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        draft.symlink_to(latest or finished)
        draft.replace(link)


def _listed(state: RunState, runs: RunStates) -> IndexEntry | None:
    """Return the index entry for the folder of a run or a suite. Returns None for any other folder."""
    folder = state.folder
    if entry := _finished(state, runs):
        return entry
    if (folder / FILE).exists():
        return _unfinished(state)
    inner = [runs.of(path.parent) for path in sorted(folder.glob(f"[!.]*/{FILE}"))]
    if not inner:
        return None
    children = tuple(
        replace(child, href=f"{folder.name}/{run.folder.name}/{PAGE}")
        if (child := _finished(run, runs))
        else _unfinished(run)
        for run in inner
    )
    alive = any(folders.alive(run.folder) for run in inner)
    return index.unfinished(folder.name, children[0].environment, alive=alive, children=children)


def _finished(state: RunState, runs: RunStates) -> IndexEntry | None:
    """Return the index entry of a run or a suite with a result. Returns None when the result is missing or damaged."""
    result = _result(state)
    if result is None:
        return None
    try:
        states = [runs.of(state.folder / str(run["folder"])) for run in result.get("runs", [])]
        inner = [(run, content) for run in states if (content := _result(run)) is not None]
        # The journals of other runs are not read, although a run that left changes may have been recovered, too.
        aborted = [run for run, content in ((state, result), *inner) if content.get("verdict") == Verdict.ABORTED]
        recoveries = {run.folder.name: _recovered(run) for run in aborted}
        return index.entry(result, [content for _, content in inner], recoveries)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _recovered(state: RunState) -> Recovered:
    """Return the end of the run itself, and the steps of its recoveries. Both are empty for a run without a recovery, and for a
    suite, because a suite has no journal.
    """
    try:
        lines = state.data.splitlines()
    except JournalError:  # an audit frees the memory of the journals that it has read
        lines = own_end.recovered_lines(state.folder)
    return Recovered(own_end.of_lines(lines), recovery_steps.of_lines(lines))


def _unfinished(state: RunState) -> IndexEntry:
    plan = state.first_line.get("data", {}).get("plan", {})
    return index.unfinished(
        state.folder.name,
        str(plan.get("inventory", {}).get("environment", "unknown")),
        service=str(plan.get("service") or ""),
        alive=folders.alive(state.folder),  # at this moment, and not when the run was read
    )


def _result(state: RunState) -> dict[str, Any] | None:
    """Read ``result.json`` of a folder. Return None when the file is missing or damaged.

    `invoke report RUN` writes a missing file again. If the file was replaced after this task read it, the new file is read.
    The reason: the index gets the time of the newest result. An index with the old result would therefore wrongly count as
    up to date.
    """
    try:
        content: dict[str, Any] = state.result.current().parsed()
    except (OSError, ValueError):
        return None
    return content


def write(path: Path, text: str) -> None:
    """Write a file of a run atomically. Only the owner of the file may read it."""
    replace_file(path, text.encode())
