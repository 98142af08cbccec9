"""Summary of an audit for management: one printed page with the state of each service, and everything that needs attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader, Template

from drillbook.audit import (
    briefing,
    covered_days,
    exempt_list,
    forbidden_runs,
    numbers,
    rehearsal_figures,
    run_rows,
    service_groups,
    services,
    unproven_reasons,
    wording,
)
from drillbook.audit.alert import Alert
from drillbook.audit.content import Audit
from drillbook.audit.coverage import CoverageRow, deciding
from drillbook.audit.findings import each_open
from drillbook.audit.objective_states import ProvenRow, reserved_counts
from drillbook.audit.service_groups import NAMES, PARTLY, SIGNS, TITLES, Group
from drillbook.audit.service_row import NEVER, ServiceRow
from drillbook.audit.summary_layout import (
    DENSE,
    FIXED_PX,
    LEAST_ALERTS,
    MEANS,
    MOST_ALERTS,
    NEVER_ROW,
    NOTE,
    OTHERS,
    PAGE_PX,
    STANDING,
    Layout,
    RowSize,
    alerts_height,
    layout,
    row_size,
    terms_height,
)
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading
from drillbook.report import open_findings, pages, remarks
from drillbook.report.audit_pages import AUDIT
from drillbook.report.figures import DOWNWARDS, count, one_line
from drillbook.report.shortened import shortened
from drillbook.report.wording import CLOCKS, MET, OBJECTIVES, badness

MOST_NAME, MOST_ON_SCREEN = 26, 12
STATE_NOTE = "By the newest run of each drill of the service; a drill that failed stays failed until a run passes."
FIGURES_NOTE = f"RTO and RPO: the longest met in a deciding run, by the controller's clock; error ± or downward {DOWNWARDS}."
"""Explanation of the columns RTO and RPO."""
SET = "Objectives set"
SET_NOTE = "Those that its drills set."
PROBE_NOTE = "A detection by a drill's own probe proves no alerting and is not counted."
STANDING_LEAD = "Services by their newest runs"
REHEARSED = "Rehearsed"
REHEARSED_NOTE = (
    "A backup was restored into a sandbox or to a spare service, and nothing was broken; the figure is no RTO and no RPO. "
    "A figure without ± has no sampling error."
)
_FIXED = {
    "rpo_name": OBJECTIVES["rpo"],
    "digest_name": wording.EVIDENCE_DIGEST,
    "exempt_lead": exempt_list.LEAD,
    "nothing": wording.NO_ALERT,
    "signs": SIGNS,
    "rehearsed_term": REHEARSED,
    "set_head": SET,
    "without_column": unproven_reasons.without_column,
}


def render(audit: Audit, reports_path: str = "..") -> str:
    """Render the summary as the page ``summary.html``. ``reports_path``: path from the page's folder to the folder of runs."""
    rows, warnings = service_rows(audit), _warnings(audit)
    drilled, never = [row for row in rows if row.state != NEVER], never_drilled(rows)
    exempt = exempt_list.of(audit.coverage)
    legend = remarks.legend(row.shown_marks for row in drilled)
    printed, chosen, told = _fit(audit, rows, warnings, legend, exempt.sentence)
    shown, _ = leading(warnings, MOST_ON_SCREEN)
    return _template().render(
        audit=audit,
        title=covered_days.title(audit),
        means=means(audit, rows),
        **_FIXED,
        headline=headline(rows),
        standing=standing(rows),
        terms=terms(rows),
        rehearsals=told,
        legend=legend,
        rows=drilled,
        layout=chosen,
        below=[(services.named(row, rows), row.below) for row in drilled[: chosen.rows] if row.below],
        lines=[(services.named(row, rows), row.line) for row in drilled[chosen.rows : chosen.figures]],
        names=_grouped(drilled[chosen.figures :]),
        never=never,
        exempt=exempt,
        alerts=shown,
        hrefs=run_rows.hrefs(audit.runs, reports_path),
        printed=printed,
        more={"not-on-paper": warnings[len(shown) :], "paper": warnings[printed:]},
        hidden=briefing.hidden,
        audit_page=AUDIT,
    )


def _template() -> Template:
    reports = PackageLoader("drillbook.report")
    loader = ChoiceLoader([PackageLoader("drillbook.audit"), reports, PrefixLoader({"report": reports})])
    return pages.environment().overlay(loader=loader).get_template("summary.html.j2")


def terms(rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Return the terms of the page with their definitions: the groups of services, and how to read the table."""
    spans = [
        (clock.key.upper(), f"{clock.span[:1].upper()}{clock.span[1:]}.") for clock in CLOCKS if clock.key in ("rto", "rpo")
    ]
    definitions = [*rules(rows), ("State", STATE_NOTE), *spans, ("Figures", FIGURES_NOTE)]
    drilled = [row for row in rows if row.state != NEVER]
    definitions += [(SET, f"{SET_NOTE} {PROBE_NOTE}" if any(row.probed for row in drilled) else SET_NOTE)] if drilled else []
    definitions += [(REHEARSED, REHEARSED_NOTE)] if any(row.restored or row.would_lose for row in drilled) else []
    return definitions if rows else []


def _warnings(audit: Audit) -> list[Alert]:
    return [replace(alert, text=briefing.brief(alert), otherwise="") for alert in briefing.of(audit, LEAST_ALERTS)]


def _fit(
    audit: Audit, rows: Sequence[ServiceRow], warnings: Sequence[Alert], legend: str, exempt: str
) -> tuple[int, Layout, str]:
    """Return the number of the alerts that fit on the printed page, the layout of the table, and the line with the figures of
    rehearsals. This line is empty if fewer services would fit on the page with it. ``legend``, ``exempt``: texts below the
    table."""
    drilled, never = [row for row in rows if row.state != NEVER], never_drilled(rows)
    room = (
        PAGE_PX - FIXED_PX - STANDING.height(standing(rows)) - sum(MEANS.height(text) + 1 for _, text in means(audit, rows))
    )
    notes = sum(NOTE.height(text) + 4 for text in (legend, exempt) if text)
    room -= notes + terms_height(terms(rows))
    room -= (22 + NEVER_ROW.height(never[1])) if never[0] else 0
    least = min(MOST_ALERTS, max(LEAST_ALERTS, briefing.needed(warnings)))
    choices = [leading(warnings, number)[0] for number in range(least, MOST_ALERTS + 1)]
    heights = [alerts_height([str(alert) for alert in shown], briefing.hidden(warnings[len(shown) :])) for shown in choices]
    wide = any(len(text) > DENSE.letters for row in drilled for goal in (row.rto, row.rpo) for text in _figure(goal))
    sizes = [_size(row, rows, wide) for row in drilled]
    spare = NOTE.height(exempt) + 4 if exempt else 0.0
    for told in (rehearsal_figures.line([(services.named(row, rows), row.rehearsed) for row in drilled]), ""):
        left = spare - (OTHERS.height(f"{REHEARSED}: {told}") + 3 if told else 0)
        chosen = layout(room, left, heights, sizes, lambda number: _names_height(drilled[number:]))
        if chosen.figures == len(drilled):
            break
    return len(choices[chosen.alerts]), chosen, told


def _size(row: ServiceRow, rows: Sequence[ServiceRow], wide: bool) -> RowSize:
    """Return the height of the row of one service in each of three forms: with all details, without details, and as a line of
    text below the table. ``rows``: rows of all services. ``wide``: True if the columns with figures are so wide that the text in
    the columns `State` and `Objectives set` has more lines.
    """
    goals = (("rto", row.rto, (row.restored,), ()), ("rpo", row.rpo, (row.would_lose, row.set_by), row.losses))
    unmet = [[f"? {goal.lacking}" for goal in row.unmet if goal.key == key] for key, _, _, _ in goals]
    dense = max(1 + (1 + wide) * len(row.more), 2 + wide + bool(row.beside))
    return row_size(
        (row.service, row.environment),
        (max(2 + 2 * len(row.more) + 3 * len(unproven_reasons.without_column(row.unmet)), 3 if row.beside else 2), dense),
        [[*lacks, *_figure(goal), *lost, *more] for lacks, (_, goal, more, lost) in zip(unmet, goals, strict=True)],
        [
            [*(() if goal else lacks[:1]), *_figure(goal), *lost]
            for lacks, (_, goal, _, lost) in zip(unmet, goals, strict=True)
        ],
        f"{services.named(row, rows)}: {row.line}",
        f"{services.named(row, rows)}: {row.below}" if row.below else "",
    )


def _figure(row: ProvenRow | None) -> tuple[str, ...]:
    return (f"{row.measured}{row.mark}", f"{row.aim}, {row.drill}") if row else ("not measured", "no drill sets it")


def _names_height(rows: Sequence[ServiceRow]) -> float:
    return sum(OTHERS.height(f"{title}: {names}") + 6 for title, names in _grouped(rows))


def _grouped(rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Group the services by rank, from the worst to the best. Each group has a title with the number of its services, and
    their names.
    """
    groups = [(rank, list(members)) for rank, members in groupby(rows, key=lambda row: row.rank)]
    return [
        (
            f"{TITLES[rank]} ({count(len(members), 'more service')})",
            ", ".join(shortened(services.named(row, rows), MOST_NAME) for row in members),
        )
        for rank, members in groups
    ]


def means(audit: Audit, rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Return the list below the headline: terms such as `Drills`, each with its sentences. A term without sentences is left out."""
    texts = (
        ("Period", covered_days.sentence(audit)),
        ("Environment", _environment_note(audit, rows)),
        ("Drills", numbers.runs(audit)),
        ("Services", services.total(audit.coverage)),
        ("Record", wording.record_sentences(audit)),
    )
    return [(term, text) for term, text in texts if text]


def _environment_note(audit: Audit, rows: Sequence[ServiceRow]) -> str:
    """Return sentences that explain the environments of ``rows``. The result is empty when no environment has an
    explanation.
    """
    known = sorted({row.environment for row in rows} & set(audit.environment_notes))
    return " ".join(f"The {name} is {audit.environment_notes[name]}." for name in known)


def headline(rows: Sequence[ServiceRow]) -> str:
    """Return a sentence with two numbers: the services that are fully proven, and those that are only partly proven."""
    good = sum(row.good for row in rows)
    if not rows:
        return "No service is known, so nothing is proven."
    places = {row.environment for row in rows}
    where = f" in {one_line(*places)}" if len(places) == 1 else ""
    return f"{TITLES[Group.PROVEN]}: {good} of {count(len(rows), 'service')}{where}{_partly(rows)}."


def _partly(rows: Sequence[ServiceRow]) -> str:
    """Return a clause with the number of services that recovered, but are not fully proven. It is empty if there are none."""
    ranks = [row.rank for row in rows if row.rank in PARTLY]
    reasons = " or ".join(text for rank, text in PARTLY.items() if rank in ranks)
    return f"; {len(ranks)} more recovered {reasons}" if ranks else ""


def tone(audit: Audit, rows: Sequence[ServiceRow]) -> str:
    """Return the verdict that determines the colour of the headline.

    The verdict is `failed` if the record is not complete, a service did not pass, or no recovery is proven. It is `passed`
    if the recovery of each service is proven. In all other cases it is `inconclusive`.
    """
    good = sum(row.good for row in rows)
    if not audit.whole or not good or any(row.rank is Group.FAILED and row.state != NEVER for row in rows):
        return Verdict.FAILED
    return Verdict.PASSED if good == len(rows) else Verdict.INCONCLUSIVE


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


def rules(rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Return the groups with their explanations. A group without a service is left out, except the best group."""
    used = {row.rank for row in rows if row.state != NEVER}
    return service_groups.rules(used, "".join(row.marks for row in rows if row.rank is Group.RESERVED)) if rows else []


def service_rows(audit: Audit) -> list[ServiceRow]:
    """Return the rows of all services that are expected to be drilled. Services that need attention come first."""
    rows = [_row(audit, row) for row in audit.coverage if row.runs or not row.left_out]
    return sorted(rows, key=lambda row: (row.rank, row.service, row.environment))


def never_drilled(rows: Sequence[ServiceRow]) -> tuple[int, str]:
    """Return the number and the names of the services that no run drilled. One row of the page shows them all."""
    undrilled = [row for row in rows if row.state == NEVER]
    return len(undrilled), ", ".join(shortened(services.named(row, rows), MOST_NAME) for row in undrilled)


def _row(audit: Audit, covered: CoverageRow) -> ServiceRow:
    key = (covered.environment, covered.service)
    newest = deciding(run for run in audit.runs if (run.environment, run.service) == key)
    cells = [cell.last for cell in covered.cells if cell.runs]
    states = {run.run: forbidden_runs.verdict(audit, run) for run in newest.values()}
    worst = max(newest.values(), key=lambda run: (badness(states[run.run]), run.started), default=None)
    goals = [row for row in audit.proven if (row.environment, row.service) == key]
    counted = [row for row in goals if not row.by_probe]
    state = states[worst.run] if worst else cells[-1] if cells else NEVER
    seen = [row for row in each_open(audit.findings) if row.environment == covered.environment and row.drill in newest]
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
        keys=frozenset(row.key for row in goals),
        keeps_data=covered.keeps_data,
        beside=open_findings.beside(state, seen),
        more=tuple(f"{number} more {said.removeprefix(f'{MET} ')}" for said, number in reserved_counts(goals)),
        unmet=tuple(row for row in goals if not row.met),
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
