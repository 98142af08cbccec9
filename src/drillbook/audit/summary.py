"""Summary of an audit for management: one printed page with the state of each service, and everything that needs attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader

from drillbook.audit import content, rehearsed, run_rows, service_groups, services, wording
from drillbook.audit.alerts import Alert, alerts
from drillbook.audit.content import Audit
from drillbook.audit.coverage import CoverageRow, badness, deciding, shown_verdict
from drillbook.audit.findings import each_open
from drillbook.audit.proven import ProvenRow
from drillbook.audit.rehearsed import RehearsedRow
from drillbook.audit.service_groups import NAMES, TITLES, Group
from drillbook.judge.result import Verdict
from drillbook.report import open_findings, pages, remarks
from drillbook.report.figures import count, one_line, took
from drillbook.report.shortened import leading, shortened
from drillbook.report.wording import CLOCKS, OBJECTIVES

FILE = "summary.html"
MOST_ALERTS, LEAST_ALERTS, MOST_LETTERS, MOST_NAME = 6, 3, 165, 26


@dataclass(frozen=True, slots=True)
class Text:
    """Size of a text on the printed page."""

    line_px: float
    letters: int
    """Number of letters in a line."""

    def height(self, text: str) -> float:
        """Return the height of ``text`` in pixels."""
        return math.ceil(len(text) / self.letters) * self.line_px


PAGE_PX, FIXED_PX = 1014.0, 266.0
"""Height of the printed page between its margins, and of everything on it whose size does not depend on the audit."""
STANDING, MEANS, ALERT = Text(17.8, 100), Text(16.0, 120), Text(16.9, 105)
NOTE, OTHERS, NEVER_ROW = Text(13.1, 132), Text(11.8, 130), Text(13.8, 70)
CELL_LETTERS, NAME_LETTERS = 22, 13
"""Number of letters in a line of a cell with a figure, and of a cell with the name of a service."""
MOST_EXEMPT, MOST_EXEMPT_LETTERS = 4, 75
"""Limits for exemptions. ``MOST_EXEMPT``: largest number of reasons that the page shows. ``MOST_EXEMPT_LETTERS``: largest
length of each reason, and of the list of services that share the reason.
"""
NEVER = "never drilled"
HOW_TO_READ = (
    "State: worst verdict among the newest run of each drill; a drill that failed stays failed until a run passes. "
    "RTO and RPO: the longest that was met, by the controller's monotonic clock; ± is its error."
)
"""Explanation of the table."""
REHEARSED_NOTE = "Rehearsed: a backup was restored into a sandbox, and nothing was broken; the figure is no RTO and no RPO."
EXEMPT_LEAD = "Exempt by a statement in the inventory; the audit tells which of them runs confirm:"
_FIXED = {
    "rpo_name": OBJECTIVES["rpo"],
    "digest_name": wording.EVIDENCE_DIGEST,
    "exempt_lead": EXEMPT_LEAD,
    "nothing": wording.NO_ALERT,
}


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """State of one service: newest runs, proven objectives, and the longest RTO and RPO that were proven."""

    service: str
    environment: str
    state: str
    """Worst verdict of the drills, or ``never drilled`` when there is no run. For each drill, the verdict of one run counts;
    ``coverage.deciding`` selects this run.
    """
    at: str
    """Day of the run with the worst verdict. It is empty when there is no run."""
    passed: int
    runs: int
    recovered: int
    """Number of runs that passed and in which the service recovered from a fault."""
    proven: int
    reserved: int
    """Number of objectives that were met with a reservation. ``proven`` does not count these objectives."""
    objectives: int
    rto: ProvenRow | None
    rpo: ProvenRow | None
    keys: frozenset[str]
    """Objectives that the drills of the service set."""
    beside: str = ""
    """Text with the number of open findings of medium severity or higher. It is empty when the state is not `passed`."""
    marks: str = ""
    """Marks of the objectives that were met with a reservation."""
    keeps_data: bool = True
    """False for a service without data of its own, which needs no RPO."""
    unmet: tuple[ProvenRow, ...] = ()
    """Objectives that a drill missed or did not prove. Another drill may have proven the same objective."""
    rehearsed: tuple[RehearsedRow, ...] = ()
    """Figures of rehearsals. They prove no objective."""

    @property
    def restored(self) -> str:
        """Text with the duration of the longest restore of a rehearsal. It is empty when no rehearsal timed a restore."""
        row = rehearsed.longest(self.rehearsed)
        return f"rehearsed: restored in {took(row.restore_s or 0.0)}" if row else ""

    @property
    def would_lose(self) -> str:
        """Text with the largest loss that a rehearsal measured. It is empty when no rehearsal measured a loss."""
        row = rehearsed.largest(self.rehearsed)
        return f"rehearsed: {row.figure} would be lost{f', with {row.taken}' if row.taken else ''}" if row else ""

    @property
    def shown_state(self) -> str:
        """State as the page shows it. The word `passed` is shown only for a service that recovered from a fault."""
        return shown_verdict(self.state, self.recovered)

    @property
    def rank(self) -> Group:
        """Group of the service. Services that met RTO and RPO are in a better group than services that met only the RTO."""
        if self.state == Verdict.NOT_RUN:
            return Group.NOT_RUN
        if self.state != Verdict.PASSED:
            return Group.FAILED
        if not self.recovered:
            return Group.REHEARSED
        if self.proven + self.reserved < self.objectives or "rto" not in self.keys:
            return Group.INCOMPLETE
        if "rpo" not in self.keys and self.keeps_data:
            return Group.ONLY_RTO
        return Group.RESERVED if self.reserved else Group.PROVEN

    @property
    def good(self) -> bool:
        """True when the newest run of each drill passed, the service recovered, and all objectives were proven.

        The objectives must include the RTO. For a service that keeps data, they must also include the RPO.
        """
        return self.rank is Group.PROVEN


def render(audit: Audit, reports_path: str = "..") -> str:
    """Render the summary as the page ``summary.html``. ``reports_path``: path from the page's folder to the folder of runs."""
    rows, found = service_rows(audit), list(alerts(audit))
    drilled, never = [row for row in rows if row.state != NEVER], never_drilled(rows)
    reasons = services.exempt(audit.coverage)
    listed, _ = leading(reasons, MOST_EXEMPT)
    exempt = [_exempt_texts(names, reason) for reason, names in listed]
    more_exempt = sum(len(names) for _, names in reasons[len(listed) :])
    notes = _notes(rows)
    told = (
        f"{EXEMPT_LEAD} {', '.join(f'{names} ({reason})' for names, reason in exempt)}, and {more_exempt} more in the audit"
    )
    shown, room = _fit(audit, rows, found, [*notes, told if exempt else ""])
    reports = PackageLoader("drillbook.report")
    loader = ChoiceLoader([PackageLoader("drillbook.audit"), reports, PrefixLoader({"report": reports})])
    return (
        pages.environment()
        .overlay(loader=loader)
        .get_template("summary.html.j2")
        .render(
            audit=audit,
            title=wording.title(audit),
            period=wording.period(audit),
            record=wording.record_sentences(audit),
            **_FIXED,
            headline=headline(rows),
            standing=standing(rows),
            notes=notes,
            runs_sentence=content.runs_sentence(audit.runs, audit.verdicts),
            rows=drilled[:room],
            more_rows=_grouped(drilled[room:]),
            never=never,
            environment_note=_environment_note(audit, rows),
            exempt=exempt,
            more_exempt=more_exempt,
            alerts=shown,
            hrefs=run_rows.hrefs(audit.runs, reports_path),
            more_alerts=len(found) - len(shown),
        )
    )


def _notes(rows: Sequence[ServiceRow]) -> list[str]:
    """Return the texts below the table: how to read it, the groups of services, and the meanings of the marks."""
    spans = " ".join(f"{clock.key.upper()}: {clock.span}." for clock in CLOCKS if clock.key in ("rto", "rpo"))
    drilled = [row for row in rows if row.state != NEVER]
    rehearsal = REHEARSED_NOTE if any(row.rehearsed for row in drilled) else ""
    return [
        " ".join(filter(None, (rules(rows), spans, HOW_TO_READ, rehearsal))) if rows else "",
        remarks.legend(row.marks for row in drilled),
    ]


def _fit(audit: Audit, rows: Sequence[ServiceRow], found: Sequence[Alert], notes: Sequence[str]) -> tuple[list[Alert], int]:
    """Return the alerts that fit on the printed page, and the number of services that get a row of their own.

    ``notes``: texts below the table.
    """
    drilled, never = [row for row in rows if row.state != NEVER], never_drilled(rows)
    means = f"{wording.period(audit)} {_environment_note(audit, rows)} {content.runs_sentence(audit.runs, audit.verdicts)}"
    means += f" {wording.record_sentences(audit)}"
    room = PAGE_PX - FIXED_PX - STANDING.height(standing(rows)) - MEANS.height(means)
    room -= sum(NOTE.height(text) + 4 for text in notes if text)
    room -= (22 + NEVER_ROW.height(never[1])) if never[0] else 0
    texts = [replace(one, text=shortened(one.text, MOST_LETTERS)) for one in found]
    shown = list(leading(texts, MOST_ALERTS)[0])
    while len(shown) > LEAST_ALERTS and _fitting(drilled, room - _alerts_height(shown)) < len(drilled):
        shown.pop()
    shown = list(leading(texts, len(shown))[0])
    return shown, _fitting(drilled, room - _alerts_height(shown))


def _alerts_height(shown: Sequence[Alert]) -> float:
    return 25 + sum(ALERT.height(str(one)) + 4 for one in shown)


def _row_height(row: ServiceRow) -> float:
    """Return the height of a service's row. Each objective without a proof, and each figure, has lines of its own."""
    cells = [
        [*(f"? not proven: {one.drill}" for one in row.unmet if one.key == key), *(_figure(goal)), rehearsal]
        for key, goal, rehearsal in (("rto", row.rto, row.restored), ("rpo", row.rpo, row.would_lose))
    ]
    lines = [sum(math.ceil(len(text) / CELL_LETTERS) for text in cell) for cell in cells]
    name = math.ceil(len(row.service) / NAME_LETTERS) + math.ceil(len(row.environment) / NAME_LETTERS)
    return 7 + 13.7 * max(name, 3 if row.reserved or row.beside else 2, *lines)


def _figure(row: ProvenRow | None) -> tuple[str, ...]:
    return (
        (f"{row.measured}{row.mark}", f"target {row.target}, {row.drill}") if row else ("not measured", "no drill sets it")
    )


def _fitting(rows: Sequence[ServiceRow], room: float) -> int:
    """Return the number of services that get a row of their own. The names of the other services are shown below the
    table, so that no service is left out.
    """
    for number in range(len(rows), 0, -1):
        below = sum(OTHERS.height(f"{title}: {names}") + 6 for title, names in _grouped(rows[number:]))
        if sum(map(_row_height, rows[:number])) + below <= room:
            return number
    return 0


def _grouped(rows: Sequence[ServiceRow]) -> list[tuple[str, str]]:
    """Group the services by rank, from the worst to the best. Each group has a title with the number of its services, and
    their names.
    """
    groups = [(rank, list(found)) for rank, found in groupby(rows, key=lambda row: row.rank)]
    return [
        (
            f"{TITLES[rank]} ({count(len(found), 'more service')})",
            ", ".join(shortened(services.named(row, rows), MOST_NAME) for row in found),
        )
        for rank, found in groups
    ]


def _environment_note(audit: Audit, rows: Sequence[ServiceRow]) -> str:
    """Return sentences that explain the environments of ``rows``. The result is empty when no environment has an
    explanation.
    """
    known = sorted({row.environment for row in rows} & set(audit.environment_notes))
    return " ".join(f"The {name} is {audit.environment_notes[name]}." for name in known)


def headline(rows: Sequence[ServiceRow]) -> str:
    """Return a sentence with the number of services whose recovery is proven."""
    good = sum(row.good for row in rows)
    if not rows:
        return "No service is known, so nothing is proven."
    places = {row.environment for row in rows}
    where = f" in {one_line(*places)}" if len(places) == 1 else ""
    return f"Proven to recover: {good} of {count(len(rows), 'service')}{where}."


def standing(rows: Sequence[ServiceRow]) -> str:
    """Return the number of services in each group, from the best to the worst, with their names. Each service is in one
    group.
    """
    found: dict[str, list[str]] = {NAMES[Group.PROVEN]: []}
    for row in sorted(rows, key=lambda row: (-row.rank, row.state == NEVER)):
        found.setdefault(_standing(row), []).append(services.named(row, rows))
    parts = (
        f"{title} {len(names)}" + (f" ({open_findings.named(names)})" if names else "") for title, names in found.items()
    )
    return " \N{MIDDLE DOT} ".join(parts) if rows else ""


def _standing(row: ServiceRow) -> str:
    return NEVER if row.state == NEVER else NAMES[row.rank]


def rules(rows: Sequence[ServiceRow]) -> str:
    """Return explanations of the groups that contain a service, and of the best group."""
    used = {row.rank for row in rows if row.state != NEVER}
    return service_groups.rules(used, "".join(row.marks for row in rows if row.rank is Group.RESERVED)) if rows else ""


def service_rows(audit: Audit) -> list[ServiceRow]:
    """Return the rows of all services that are expected to be drilled. Services that need attention come first."""
    rows = [_row(audit, one) for one in audit.coverage if one.runs or not one.left_out]
    return sorted(rows, key=lambda row: (row.rank, row.service, row.environment))


def never_drilled(rows: Sequence[ServiceRow]) -> tuple[int, str]:
    """Return the number and the names of the services that no run drilled. One row of the page shows them all."""
    found = [row for row in rows if row.state == NEVER]
    return len(found), ", ".join(shortened(services.named(row, rows), MOST_NAME) for row in found)


def _row(audit: Audit, one: CoverageRow) -> ServiceRow:
    key = (one.environment, one.service)
    newest = deciding(run for run in audit.runs if (run.environment, run.service) == key)
    cells = [cell.last for cell in one.cells if cell.runs]
    worst = max(newest.values(), key=lambda run: (badness(run.verdict), run.started), default=None)
    goals = [row for row in audit.proven if (row.environment, row.service) == key]
    state = worst.verdict if worst else cells[-1] if cells else NEVER
    seen = [row for row in each_open(audit.findings) if row.environment == one.environment and row.drill in newest]
    return ServiceRow(
        service=one.service,
        environment=one.environment,
        state=state,
        at=worst.started[:10] if worst else "",
        passed=one.passed,
        runs=one.runs,
        recovered=one.recovered,
        proven=sum(row.proven for row in goals),
        reserved=sum(row.reserved for row in goals),
        objectives=len(goals),
        rto=_longest(goals, "rto"),
        rpo=_longest(goals, "rpo"),
        keys=frozenset(row.key for row in goals),
        keeps_data=one.keeps_data,
        beside=open_findings.beside(state, seen),
        unmet=tuple(row for row in goals if not row.met),
        marks=" or ".join(sorted({row.mark.strip() for row in goals if row.reserved})),
        rehearsed=tuple(row for row in audit.rehearsed if (row.environment, row.service) == key and row.run),
    )


def _longest(goals: Sequence[ProvenRow], key: str) -> ProvenRow | None:
    """Select the objectives ``key`` that were met, and return the one with the largest figure.

    Returns None when no objective ``key`` was met.
    """
    found = [row for row in goals if row.key == key and row.met and row.measured_s is not None]
    return max(found, key=lambda row: row.measured_s or 0.0, default=None)


def _exempt_texts(names: Sequence[str], reason: str) -> tuple[str, str]:
    """Return the names of exempt services, and the reason that they share. Names that do not fit are counted."""
    fitting = sum(len(", ".join(names[:number])) <= MOST_EXEMPT_LETTERS for number in range(1, len(names) + 1))
    shown, others = leading(names, max(fitting, 1))
    text = ", ".join(shortened(name, MOST_EXEMPT_LETTERS) for name in shown)
    return text + (f" and {others} more" if others else ""), shortened(reason, MOST_EXEMPT_LETTERS)
