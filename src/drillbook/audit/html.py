"""The audit as one HTML file in the style of the reports. The file needs no external resources. Its only script
searches and filters the findings and the runs. Without this script, the file shows all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader

from drillbook.audit import (
    alert_causes,
    coverage_signs,
    covered_days,
    kept_schedules,
    limits,
    numbers,
    rehearsal_figures,
    retired,
    run_rows,
    services,
    summary,
    summary_terms,
    terms,
    trend,
    wording,
)
from drillbook.audit.content import Audit
from drillbook.audit.findings import SEVERITIES
from drillbook.audit.missed_drills import NEVER_RAN, MissedRow
from drillbook.audit.objective_states import ProvenRow, told_marks
from drillbook.audit.problem_groups import grouped
from drillbook.installation.program_name import program
from drillbook.report import growth, pages, remarks
from drillbook.report.wording import SHORT

_SIZES = {
    "width": trend.WIDTH,
    "height": trend.HEIGHT,
    "left": trend.LEFT,
    "right": trend.RIGHT,
    "ground": trend.HEIGHT - trend.BOTTOM,
}
"""Sizes of the charts, in pixels."""
_FIXED = {
    "words": wording,
    "signs": coverage_signs,
    "limits": limits,
    "terms": terms.terms,
    "kept": kept_schedules.sentences,
    "days": covered_days,
    "rehearsals": rehearsal_figures,
    "retired": retired,
    "legend_of": remarks.legend,
    "not_routine": remarks.NOT_ROUTINE,
    "not_proven": remarks.not_proven,
    "reserved": remarks.RESERVED,
    "exempt_lead": services.EXEMPT_LEAD,
    "short": SHORT,
    "numbers": numbers.sentences,
}
"""Texts and functions for the template. They are the same in every audit."""


def render(audit: Audit, reports_path: str = "..") -> str:
    """Render the audit as the page ``audit.html``.

    ``reports_path``: path of the folder of runs, relative to the folder of the page. The links to the runs begin with it.
    """
    reports = PackageLoader("drillbook.report")
    loader = ChoiceLoader([PackageLoader("drillbook.audit"), reports, PrefixLoader({"report": reports})])
    return (
        pages.environment()
        .overlay(loader=loader)
        .get_template("audit.html.j2")
        .render(
            audit=audit,
            alerts=alert_causes.listed(audit),
            overdue=[row for row in audit.missed_beside_failures if row.kind != NEVER_RAN],
            never_ran=_never_ran(audit),
            title=covered_days.title(audit),
            state_line=wording.record_state(audit),
            headline=summary.headline(rows := summary.service_rows(audit)),
            tone=str(summary.tone(audit, rows)),
            standing=summary.standing(rows),
            rules=summary_terms.rules(rows),
            doubts=wording.assurance(audit),
            problems=grouped(audit.problems),
            elsewhere=grouped(audit.elsewhere),
            more_runs="" if audit.whole else wording.MORE_RUNS,
            hrefs=run_rows.hrefs(audit.runs, reports_path),
            covered=[row for row in audit.coverage if row.runs or not row.left_out],
            exempt=[(why, services.by_evidence(audit.coverage, names)) for why, names in services.exempt(audit.coverage)],
            **_objectives(audit),
            plots=[plot for plot in audit.plots if len(plot.points) > 1],
            single=sum(len(plot.points) == 1 for plot in audit.plots),
            program=program(),
            **_SIZES,
            **_FIXED,
            growth=growth.growth_rows(outlooks := [row.outlook for row in audit.capacity]),
            growth_note=growth.note(outlooks),
            choices=_choices(audit),
        )
    )


def _objectives(audit: Audit) -> dict[str, Sequence[object]]:
    """Return the objectives by their tables: met, not met, and detections by the drills' own probes. Return also the signs
    that the first table explains, and those that all these tables explain."""
    return {
        "proven": _by_drill(row for row in audit.proven if row.met and not row.by_probe),
        "unproven": _by_drill(row for row in audit.proven if not row.met and not row.by_probe),
        "probed": [row for row in audit.proven if row.by_probe],
        "met_marks": told_marks(audit.proven, met=True),
        "told_marks": told_marks(audit.proven),
    }


def _never_ran(audit: Audit) -> list[tuple[str, list[MissedRow]]]:
    """Group the drills and suites that never ran. The key of each entry is a text with their environments and their
    schedule.
    """
    rows_by_text: dict[str, list[MissedRow]] = {}
    for row in audit.missed:
        if row.kind == NEVER_RAN:
            rows_by_text.setdefault(f"in {row.environment}: {row.why}", []).append(row)
    return sorted(rows_by_text.items())


def _by_drill(goals: Iterable[ProvenRow]) -> list[list[ProvenRow]]:
    """Group the objectives by environment, service and drill."""
    return [list(rows) for _, rows in groupby(goals, key=lambda row: (row.environment, row.service, row.drill))]


def _choices(audit: Audit) -> dict[str, list[str]]:
    """Return the values that a reader can choose in the filters above the tables of runs and findings."""
    severities = {row.severity for row in audit.shown_findings}
    return {
        "verdicts": sorted({row.shown for row in audit.runs}),
        "drills": sorted({row.drill for row in audit.runs}),
        "environments": sorted({row.environment for row in audit.runs}),
        "operators": sorted({row.operator for row in audit.runs}),
        "severities": [severity for severity in SEVERITIES if severity in severities],
        "finding_drills": sorted({row.drill for row in audit.shown_findings}),
        "states": sorted({row.state for row in audit.shown_findings}),
    }
