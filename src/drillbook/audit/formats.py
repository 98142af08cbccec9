"""List of the report formats of an audit. It has the same form as the list in ``drillbook.report.formats``. Runs, suites and
audits have separate lists; see that module for the reason.
"""

from __future__ import annotations

from typing import NamedTuple

from drillbook.audit import content, html, markdown, summary
from drillbook.audit.content import Audit
from drillbook.report.audit_pages import AUDIT, DATA, SUMMARY
from drillbook.report.formats import Rendering, as_json


class Located(NamedTuple):
    """An audit, and the path from its folder to the folder of runs, for links."""

    audit: Audit
    reports: str


FORMATS = (
    Rendering[Located](AUDIT, lambda made: html.render(*made)),
    Rendering[Located](SUMMARY, lambda made: summary.render(*made)),
    Rendering[Located]("audit.md", lambda made: markdown.render(made.audit)),
    Rendering[Located](DATA, lambda made: as_json(content.as_data(made.audit))),
)
