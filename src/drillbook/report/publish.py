"""Writing a run's reports into its folder, each atomically, and the index over all runs."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drillbook.report import html, index, junit, markdown
from drillbook.result import RunView, SuiteResult


def write_run(folder: Path, view: RunView) -> None:
    """``plan.json``, ``result.json``, ``report.html``, ``report.md`` and ``junit.xml`` of one run."""
    write(folder / "plan.json", as_json(view.plan))
    write(folder / "result.json", as_json(view.result.model_dump(mode="json", by_alias=True)))
    write(folder / "report.html", html.render(view))
    write(folder / "report.md", markdown.render(view))
    write(folder / "junit.xml", junit.render(view))


def write_suite(folder: Path, suite: SuiteResult, views: Sequence[RunView]) -> None:
    """The reports over all drills of a suite."""
    write(folder / "result.json", as_json(suite.model_dump(mode="json", by_alias=True)))
    write(folder / "report.html", html.render_suite(suite, views))
    write(folder / "report.md", markdown.render_suite(suite, views))
    write(folder / "junit.xml", junit.render_suite(suite, views))


def write_index(reports: Path, latest: str = "") -> None:
    """``index.html`` over all runs, newest first; ``latest`` names the folder that the link ``latest`` leads to."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(reports.glob("*/result.json"))
               if not path.parent.is_symlink()]
    write(reports / "index.html", index.render([index.entry(result, _inner(reports, result)) for result in results]))
    if latest:
        link = reports / f".latest-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(latest)
        link.replace(reports / "latest")


def _inner(reports: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Results of the drills inside a suite."""
    paths = [reports / result["run"] / run["folder"] / "result.json" for run in result.get("runs", [])]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def as_json(value: Any) -> str:
    """JSON as people read it; keys in the order of the contract."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file of a run atomically, readable by its owner alone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    Path(name).replace(path)
