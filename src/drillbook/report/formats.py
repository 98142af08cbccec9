"""The one list of report formats: a format is a file of its name in this package, and a line here.

Whoever writes reports, signs them or renders them again to compare goes through this list.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from drillbook.judge.result import RunView, SuiteResult
from drillbook.report import html, junit, markdown


class Format(NamedTuple):
    """One file that is made of a run, and of a suite where ``suite`` says how."""

    file: str
    run: Callable[[RunView], str]
    suite: Callable[[SuiteResult, Sequence[RunView]], str] | None


def as_json(value: Any) -> str:
    """JSON as people read it; keys in the order of the contract."""
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
"""Files that are made from the journal alone."""


def of_run(view: RunView) -> dict[str, str]:
    """The text of each file of a run."""
    return {one.file: one.run(view) for one in FORMATS}


def of_suite(suite: SuiteResult, views: Sequence[RunView]) -> dict[str, str]:
    """The text of each file of a suite."""
    return {one.file: one.suite(suite, views) for one in FORMATS if one.suite is not None}
