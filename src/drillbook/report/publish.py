"""Writes the reports of a run and the index of all runs. Each file is written atomically."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from drillbook.atomic_file import replace_file
from drillbook.journal.journal import FILE
from drillbook.journal.run_files import RESULT
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report import folders, formats, index
from drillbook.report.index import IndexEntry, Known


def write_run(folder: Path, view: RunView) -> None:
    """Write every report file of one run; see ``formats``."""
    for name, text in formats.of_run(view).items():
        write(folder / name, text)


def write_suite(folder: Path, suite: SuiteResult, views: Sequence[RunView]) -> None:
    """Write every report file of a suite; see ``formats``."""
    for name, text in formats.of_suite(suite, views).items():
        write(folder / name, text)


def write_index(reports: Path, latest: str = "", known: Mapping[str, Known] | None = None) -> None:
    """Write ``index.html`` of all runs, newest first.

    ``latest`` is the name of a run. When it is given, the symbolic link `latest` in the same folder is set to this run.
    ``known``: names of the project's drills and suites. The page also lists those that never ran.
    """
    entries = [
        _listed(folder)
        for folder in sorted(reports.iterdir())
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith(".")
    ]
    write(reports / "index.html", index.render([entry for entry in entries if entry], known))
    if latest:
        link = reports / f".latest-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(latest)
        link.replace(reports / "latest")


def _listed(folder: Path) -> IndexEntry | None:
    """Return the index entry for the folder of a run or a suite. Returns None for any other folder."""
    result = _result(folder)
    if result is not None:
        inner = [_result(folder / str(run["folder"])) for run in result.get("runs", [])]
        return index.entry(result, [one for one in inner if one is not None])
    if (folder / FILE).exists():
        return _unfinished(folder)
    runs = [path.parent for path in sorted(folder.glob(f"[!.]*/{FILE}"))]
    if not runs:
        return None
    results = {run: _result(run) for run in runs}
    children = tuple(
        _unfinished(run) if found is None else replace(index.entry(found), href=f"{folder.name}/{run.name}/report.html")
        for run, found in results.items()
    )
    return index.unfinished(
        folder.name, children[0].environment, alive=any(folders.alive(run) for run in runs), children=children
    )


def _unfinished(folder: Path) -> IndexEntry:
    plan = folders.first_event(folder).get("data", {}).get("plan", {})
    return index.unfinished(
        folder.name, str(plan.get("inventory", {}).get("environment", "unknown")), alive=folders.alive(folder)
    )


def _result(folder: Path) -> dict[str, Any] | None:
    """Read ``result.json`` of a folder. Return None when the file is missing or damaged.

    `invoke report RUN` writes a missing file again.
    """
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def write(path: Path, text: str) -> None:
    """Write a file of a run atomically. Only the owner of the file may read it."""
    replace_file(path, text.encode())
