"""The audit as one HTML file in the style of the reports, without scripts or external resources."""

from __future__ import annotations

from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader

from drillbook.audit import trend, wording
from drillbook.audit.content import Audit
from drillbook.report import growth, pages


def render(audit: Audit) -> str:
    """Render the audit as the page ``audit.html``."""
    reports = PackageLoader("drillbook.report")
    loader = ChoiceLoader([PackageLoader("drillbook.audit"), reports, PrefixLoader({"report": reports})])
    return (
        pages.environment()
        .overlay(loader=loader)
        .get_template("audit.html.j2")
        .render(
            audit=audit,
            words=wording,
            title=wording.title(audit),
            state_line=wording.record_state(audit),
            doubts=wording.assurance(audit),
            facts=wording.facts(audit),
            width=trend.WIDTH,
            height=trend.HEIGHT,
            left=trend.LEFT,
            right=trend.RIGHT,
            ground=trend.HEIGHT - trend.BOTTOM,
            growth=growth.growth_rows([row.outlook for row in audit.capacity]),
            growth_note=growth.NOTE,
        )
    )
