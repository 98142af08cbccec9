"""List of the report formats of runs and suites, and what all lists of formats have in common.

Each file of a report is an entry in FORMATS. The modules ``html``, ``markdown`` and ``junit`` of this package each render
one format. The code that writes reports, signs reports, and renders reports again uses this list.

This list is for runs and suites. ``audit.formats`` has the list for audits, and ``campaign.scorecard`` the list for campaigns.
Each list is in the package that renders the files of the list. A common list would have to import all these packages,
and each module that uses a list would then depend on all of them. For example, the package ``attestation`` uses only this list,
because it signs the files of runs. The three lists have the same form, and ``publish.write_all`` writes their files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from drillbook.journal.collection import paused
from drillbook.journal.run_files import JUNIT, PAGE, RESULT
from drillbook.judge.result import Result, RunView, SuiteResult
from drillbook.report import html, junit, markdown
from drillbook.report.indented_json import of_json

Subject = TypeVar("Subject")


class Rendering(NamedTuple, Generic[Subject]):
    """A file that is rendered for a ``Subject``, such as an audit."""

    file: str
    render: Callable[[Subject], str]


class Format(NamedTuple):
    """A report file: its name, the function ``run`` that renders it for a run, and the function ``suite`` that renders it
    for a suite. If ``suite`` is None, the file exists only for runs.
    """

    file: str
    run: Callable[[RunView], str]
    suite: Callable[[SuiteResult, Sequence[RunView]], str] | None


def as_json(value: Any) -> str:
    """Format ``value`` as indented JSON. Keys keep their order, because it is a part of the documented format."""
    return of_json(value) + "\n"


def result_data(result: Result) -> dict[str, Any]:
    """Return the content of ``result.json``: the result, and ``later_findings`` if a recovery did not bring back all data."""
    later = [finding.model_dump(mode="json", by_alias=True) for finding in result.later_findings]
    return result.model_dump(mode="json", by_alias=True) | ({"later_findings": later} if later else {})


FORMATS = (
    Format("plan.json", lambda view: as_json(view.plan), None),
    Format(
        RESULT,
        lambda view: as_json(result_data(view.result)),
        lambda suite, _: as_json(suite.model_dump(mode="json", by_alias=True)),
    ),
    Format(PAGE, html.render, html.render_suite),
    Format("report.md", markdown.render, markdown.render_suite),
    Format(JUNIT, junit.render, junit.render_suite),
)
FILES = tuple(report.file for report in FORMATS)
"""Names of the report files that are rendered from the journal alone."""


def rendered(renderings: Sequence[Rendering[Subject]], subject: Subject) -> dict[str, str]:
    """Render each file of ``renderings``. Return the text of each file, with the name of the file as the key."""
    with paused():
        return {rendering.file: rendering.render(subject) for rendering in renderings}


def of_run(view: RunView) -> dict[str, str]:
    """Render each report file of a run. Return the text of each file, with the name of the file as the key."""
    return rendered([Rendering(report.file, report.run) for report in FORMATS], view)


def of_suite(suite: SuiteResult, views: Sequence[RunView]) -> dict[str, str]:
    """Render each report file of a suite. Return the text of each file, with the name of the file as the key."""
    return {report.file: report.suite(suite, views) for report in FORMATS if report.suite is not None}
