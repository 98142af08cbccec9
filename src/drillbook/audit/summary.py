"""Summary of an audit for management: one printed page with the state of each service, and everything that needs attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader, Template

from drillbook.audit import (
    brief_steps,
    briefing,
    covered_days,
    exempt_list,
    forbidden_runs,
    hidden_alerts,
    numbers,
    printed_summary,
    run_rows,
    services,
    summary_terms,
    unproven_reasons,
    wording,
)
from drillbook.audit.alert import Alert
from drillbook.audit.content import Audit
from drillbook.audit.coverage import CoverageRow
from drillbook.audit.deciding_runs import deciding
from drillbook.audit.findings import each_counted
from drillbook.audit.objective_states import ProvenRow, reserved_counts
from drillbook.audit.service_groups import NAMES, PARTLY, SIGNS, TITLES, Group
from drillbook.audit.service_row import NEVER, ServiceRow
from drillbook.audit.summary_layout import LEAST_ALERTS
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading
from drillbook.report import open_findings, pages
from drillbook.report.audit_pages import AUDIT
from drillbook.report.figures import count, one_line
from drillbook.report.shortened import shortened
from drillbook.report.wording import MET, OBJECTIVES, badness

MOST_ON_SCREEN = 12
STANDING_LEAD = "Services by their newest runs"
_FIXED = {
    "rpo_name": OBJECTIVES["rpo"],
    "digest_name": wording.EVIDENCE_DIGEST,
    "exempt_lead": exempt_list.LEAD,
    "nothing": wording.NO_ALERT,
    "signs": SIGNS,
    "hidden": hidden_alerts.told,
    "beside_hidden": hidden_alerts.beside,
    "brief_action": brief_steps.action,
    "rehearsed_term": summary_terms.REHEARSED,
    "set_head": summary_terms.SET,
    "without_column": unproven_reasons.without_column,
}


def render(audit: Audit, reports_path: str = "..") -> str:
    """Render the summary as the page ``summary.html``. ``reports_path``: path from the page's folder to the folder of runs."""
    rows, warnings = service_rows(audit), _warnings(audit)
    exempt, never, lead = exempt_list.of(audit.coverage), never_drilled(rows), means(audit, rows)
    printed = printed_summary.of(
        rows, warnings, printed_summary.head_height(standing(rows), lead), never[1], exempt.sentence
    )
    shown, _ = leading(warnings, MOST_ON_SCREEN)
    return _template().render(
        audit=audit,
        title=covered_days.title(audit),
        means=lead,
        **_FIXED,
        headline=headline(rows),
        standing=standing(rows),
        terms=summary_terms.of(rows),
        legend=printed_summary.legend(printed.drilled),
        rows=printed.drilled,
        never=never,
        exempt=exempt,
        alerts=shown,
        hrefs=run_rows.hrefs(audit.runs, reports_path),
        printed=printed,
        more={"not-on-paper": warnings[len(shown) :], "paper": warnings[printed.alerts :]},
        audit_page=AUDIT,
    )


def _template() -> Template:
    reports = PackageLoader("drillbook.report")
    loader = ChoiceLoader([PackageLoader("drillbook.audit"), reports, PrefixLoader({"report": reports})])
    return pages.environment().overlay(loader=loader).get_template("summary.html.j2")


def _warnings(audit: Audit) -> list[Alert]:
    return [replace(alert, text=briefing.brief(alert), otherwise="") for alert in briefing.of(audit, LEAST_ALERTS)]


def means(audit: Audit, rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Return the list below the headline: terms such as `Drills`, each with its sentences. A term without sentences is left out."""
    texts = (
        ("Period", covered_days.sentence(audit)),
        ("Environment", _environment_note(audit, rows)),
        ("Drills", numbers.runs(audit)),
        ("Services", services.total(audit.coverage)),
        ("Record", wording.record_sentences(audit) if audit.whole else numbers.missing(audit)),
    )
    return [(term, text) for term, text in texts if text]


def _environment_note(audit: Audit, rows: Sequence[ServiceRow]) -> str:
    """Return sentences that explain the environments of ``rows``. The result is empty when no environment has an
    explanation.
    """
    known = sorted({row.environment for row in rows} & set(audit.environment_notes))
    return " ".join(f"The {name} is {audit.environment_notes[name]}." for name in known)


def headline(rows: Sequence[ServiceRow]) -> str:
    """Return a sentence with the number of the services that are fully proven, of those that are only partly proven, and of those
    that passed without a recovery from a fault."""
    good = sum(row.good for row in rows)
    if not rows:
        return "No service is known, so nothing is proven."
    places = {row.environment for row in rows}
    where = f" in {one_line(*places)}" if len(places) == 1 else ""
    return f"{TITLES[Group.PROVEN]}: {good} of {count(len(rows), 'service')}{where}{_partly(rows, good)}{_rehearsed(rows)}."


def _partly(rows: Sequence[ServiceRow], good: int) -> str:
    """Return a clause with the number of services that recovered, but are not fully proven. It is empty if there are none.
    ``good``: number of services that are fully proven."""
    ranks = [row.rank for row in rows if row.rank in PARTLY]
    reasons = " or ".join(text for rank, text in PARTLY.items() if rank in ranks)
    return f"; {len(ranks)}{' more' if good else ''} recovered {reasons}" if ranks else ""


def _rehearsed(rows: Sequence[ServiceRow]) -> str:
    """Return a clause with the number of services that no run recovered from a fault. It is empty if there are none."""
    number = sum(row.rank is Group.REHEARSED for row in rows)
    return f"; {number} {NAMES[Group.REHEARSED]}" if number else ""


def tone(audit: Audit, rows: Sequence[ServiceRow]) -> str:
    """Return the verdict that determines the colour of the headline.

    The verdict is `failed` if the record is not complete, a service did not pass, or no service was drilled. It is `passed`
    if the recovery of each service is proven. In all other cases, such as a rehearsal that passed, it is `inconclusive`.
    """
    drilled = [row for row in rows if row.state != NEVER and row.rank is not Group.NOT_RUN]
    if not audit.whole or not drilled or any(row.rank is Group.FAILED for row in drilled):
        return Verdict.FAILED
    return Verdict.PASSED if all(row.good for row in rows) else Verdict.INCONCLUSIVE


def standing(rows: Sequence[ServiceRow]) -> str:
    """Return a text with each group of services at the end of the period, from the best to the worst group: the number of its
    services, and their names. Each service is in one group. A group without a service is left out.
    """
    names_by_group: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: (-row.rank, row.state == NEVER)):
        names_by_group.setdefault(_standing(row), []).append(services.named(row, rows))
    parts = [f"{title} {len(names)} ({open_findings.named(names)})" for title, names in names_by_group.items()]
    listed = " \N{MIDDLE DOT} ".join(parts)
    return f"{STANDING_LEAD}: {listed[:1].lower()}{listed[1:]}" if rows else ""


def _standing(row: ServiceRow) -> str:
    return NEVER if row.state == NEVER else NAMES[row.rank]


def service_rows(audit: Audit) -> list[ServiceRow]:
    """Return the rows of all services that are expected to be drilled. Services that need attention come first."""
    rows = [_row(audit, row) for row in audit.coverage if row.runs or not row.left_out]
    return sorted(rows, key=lambda row: (row.rank, row.service, row.environment))


def never_drilled(rows: Sequence[ServiceRow]) -> tuple[int, str]:
    """Return the number and the names of the services that no run drilled. One row of the page shows them all."""
    undrilled = [row for row in rows if row.state == NEVER]
    return len(undrilled), ", ".join(shortened(services.named(row, rows), printed_summary.MOST_NAME) for row in undrilled)


def _row(audit: Audit, covered: CoverageRow) -> ServiceRow:
    key = (covered.environment, covered.service)
    newest = deciding(run for run in audit.runs if (run.environment, run.service) == key)
    cells = [cell.last for cell in covered.cells if cell.runs]
    states = {run.run: forbidden_runs.verdict(audit, run) for run in newest.values()}
    worst = max(newest.values(), key=lambda run: (badness(states[run.run]), run.started), default=None)
    goals = [row for row in audit.proven if (row.environment, row.service) == key]
    counted = [row for row in goals if not row.by_probe]
    state = worst.shown if worst and states[worst.run] == worst.verdict else ""
    state = state or (states[worst.run] if worst else cells[-1] if cells else NEVER)
    began = {drill for drill, run in newest.items() if open_findings.is_listed(run.verdict)}
    seen = [row for row in each_counted(audit.findings) if row.environment == covered.environment and row.drill in began]
    return ServiceRow(
        service=covered.service,
        environment=covered.environment,
        state=state,
        at=worst.started[:10] if worst else "",
        share=covered.share,
        recovered=covered.recovered,
        proven=sum(row.proven for row in counted),
        reserved=sum(row.reserved for row in goals),
        objectives=len(counted),
        kinds=", ".join(f"{number} {short}" for short, number in Counter(row.short for row in counted).items()),
        rto=_longest(goals, "rto"),
        rpo=(rpo := _longest(goals, "rpo")),
        rpo_target_s=min((row.target_s for row in goals if row.key == "rpo"), default=None),
        keys=frozenset(row.key for row in goals),
        keeps_data=covered.keeps_data,
        beside=open_findings.counted(open_findings.grave(seen)),
        more=tuple(f"{number} more {said.removeprefix(f'{MET} ')}" for said, number in reserved_counts(goals)),
        unmet=tuple(sorted((row for row in goals if not row.met), key=lambda row: not row.missed)),
        marks=" or ".join(sorted({row.mark.strip() for row in goals if row.reserved})),
        rehearsed=tuple(row for row in audit.rehearsed if (row.environment, row.service) == key and row.run),
        probed=len(counted) < len(goals),
        without_rpo=_without_rpo(goals),
        losses=tuple(row.loss for row in goals if row.met and row.lost and row is not rpo),
    )


def _without_rpo(goals: Sequence[ProvenRow]) -> tuple[str, ...]:
    """Return the drills that set an RTO and no RPO. The result is empty if no drill sets an RPO."""
    drills = {key: {row.drill for row in goals if row.key == key} for key in ("rto", "rpo")}
    return tuple(sorted(drills["rto"] - drills["rpo"])) if drills["rpo"] else ()


def _longest(goals: Sequence[ProvenRow], key: str) -> ProvenRow | None:
    """Select the objectives ``key`` that were met, and return the one with the largest figure.

    Returns None when no objective ``key`` was met.
    """
    met = [row for row in goals if row.key == key and row.met and row.measured_s is not None]
    return max(met, key=lambda row: row.measured_s or 0.0, default=None)
