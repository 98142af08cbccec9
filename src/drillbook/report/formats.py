"""List of the report formats. Each format is a module of the same name in this package, and an entry in FORMATS.

The code that writes, signs and renders reports again uses this list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from drillbook.journal.collection import paused
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report import html, junit, markdown


class Format(NamedTuple):
    """A file rendered for a run, and also for a suite if ``suite`` is set."""

    file: str
    run: Callable[[RunView], str]
    suite: Callable[[SuiteResult, Sequence[RunView]], str] | None


def as_json(value: Any) -> str:
    """Format ``value`` as indented JSON; keys stay in the given order, as documented for the format."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


RESULT = "result.json"
FORMATS = (
    Format("plan.json", lambda view: as_json(view.plan), None),
    Format(
        RESULT,
        lambda view: as_json(view.result.model_dump(mode="json", by_alias=True)),
        lambda suite, _: as_json(suite.model_dump(mode="json", by_alias=True)),
    ),
    Format("report.html", html.render, html.render_suite),
    Format("report.md", markdown.render, markdown.render_suite),
    Format("junit.xml", junit.render, junit.render_suite),
)
FILES = tuple(one.file for one in FORMATS)
"""Names of the files that are rendered from the journal alone."""


def of_run(view: RunView) -> dict[str, str]:
    """Render each file of a run; returns the texts by file name."""
    with paused():
        return {one.file: one.run(view) for one in FORMATS}


def of_suite(suite: SuiteResult, views: Sequence[RunView]) -> dict[str, str]:
    """Render each file of a suite; returns the texts by file name."""
    return {one.file: one.suite(suite, views) for one in FORMATS if one.suite is not None}
