"""Summary of an audit for management: one printed page with the state of each service, and everything that needs attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import ChoiceLoader, PackageLoader, PrefixLoader

from drillbook.audit import services, wording
from drillbook.audit.content import Audit
from drillbook.audit.coverage import NOT_YET, CoverageRow, ProvenRow, badness, shown_verdict
from drillbook.judge.result import Verdict
from drillbook.project.schedule_record import NOT_BEGUN
from drillbook.report import open_findings, pages, remarks
from drillbook.report.figures import count, one_line
from drillbook.report.open_findings import GRAVE

FILE = "summary.html"
MOST_ROWS, MOST_ALERTS, MOST_LETTERS, MOST_GAPS = 14, 7, 150, 3
MOST_EXEMPT, MOST_EXEMPT_LETTERS = 4, 75
"""Reasons of exempt services that the page names, and letters of the names and of the reason."""
NEVER = "never drilled"


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """State of one service: newest runs, proven objectives, and the longest RTO and RPO that were proven."""

    service: str
    environment: str
    state: str
    """Worst verdict among the newest run of each drill. It is ``never drilled`` when there is no run."""
    at: str
    """Day of the run with the worst verdict. It is empty when there is no run."""
    passed: int
    runs: int
    recovered: int
    """Number of runs that passed and in which the service recovered from a fault."""
    proven: int
    reserved: int
    """Number of objectives that were met with a reservation. They are not among the proven ones."""
    objectives: int
    rto: ProvenRow | None
    rpo: ProvenRow | None
    keys: frozenset[str]
    """Objectives that the drills of the service set."""
    beside: str = ""
    """Number of open findings of medium severity or higher, of a service whose state is `passed`. Otherwise it is empty."""
    marks: str = ""
    """Marks of the objectives that were met with a reservation."""

    @property
    def shown_state(self) -> str:
        """State as the page shows it. `passed` stands only beside a service that recovered from a fault."""
        return shown_verdict(self.state, self.recovered)

    @property
    def good(self) -> bool:
        """True when the newest run of each drill passed, the service recovered, and all objectives were proven.

        At least one objective is required.
        """
        return self._met and not self.reserved

    @property
    def good_with_reservation(self) -> bool:
        """True when the service would be good if its RPO were that of a routine backup."""
        return self._met and self.reserved > 0

    @property
    def _met(self) -> bool:
        return self.state == Verdict.PASSED and self.recovered > 0 and self.proven + self.reserved == self.objectives > 0


def render(audit: Audit) -> str:
    """Render the summary as the page ``summary.html``."""
    rows, found = service_rows(audit), list(alerts(audit))
    drilled, never = [row for row in rows if row.state != NEVER], never_drilled(rows)
    exempt = services.exempt(audit.coverage)
    # one page holds so many services beside the alerts
    beside = bool(never[0]) + (len(exempt[:MOST_EXEMPT]) + 1) // 2 + any(row.reserved for row in rows)
    room = MOST_ROWS - len(found[:MOST_ALERTS]) - beside
    reports = PackageLoader("drillbook.report")
    loader = ChoiceLoader([PackageLoader("drillbook.audit"), reports, PrefixLoader({"report": reports})])
    return (
        pages.environment()
        .overlay(loader=loader)
        .get_template("summary.html.j2")
        .render(
            audit=audit,
            title=wording.title(audit),
            state_line=wording.record_state(audit),
            missing=wording.missing(audit),
            headline=headline(rows),
            rows=drilled[:room],
            more_rows=len(drilled[room:]),
            legend=remarks.legend(row.marks for row in drilled),
            never=never,
            environment_note=_environment_note(audit, rows),
            exempt=[_exempt_texts(names, reason) for reason, names in exempt[:MOST_EXEMPT]],
            more_exempt=sum(len(names) for _, names in exempt[MOST_EXEMPT:]),
            alerts=[_short(text) for text in found[:MOST_ALERTS]],
            more_alerts=len(found) - len(found[:MOST_ALERTS]),
        )
    )


def _environment_note(audit: Audit, rows: Sequence[ServiceRow]) -> str:
    """Return sentences that explain the environments of ``rows``. The result is empty when none has an explanation."""
    known = sorted({row.environment for row in rows} & set(audit.environment_notes))
    return " ".join(f"The {name} is {audit.environment_notes[name]}." for name in known)


def headline(rows: Sequence[ServiceRow]) -> str:
    """Return a sentence with the number of services whose recovery is proven."""
    good = sum(row.good for row in rows)
    if not rows:
        return "No service is known, so nothing is proven."
    places = {row.environment for row in rows}
    where = f" in {one_line(*places)}" if len(places) == 1 else ""
    reserved = [row for row in rows if row.good_with_reservation]
    return (
        f"Proven to recover: {good} of {count(len(rows), 'service')}{where}{_more_reserved(reserved)}. A service counts only "
        "if it has objectives, the newest run of each of its drills passed, and every objective was measured and met."
    )


def _more_reserved(rows: Sequence[ServiceRow]) -> str:
    if not rows:
        return ""
    their = "its" if len(rows) == 1 else "their"
    marks = " or ".join(mark for mark in remarks.LEGENDS if any(mark in row.marks for row in rows))
    return (
        f"; {len(rows)} more with a reservation: {their} loss of data was measured with a fresh backup ({marks}), "
        "not a routine one"
    )


def service_rows(audit: Audit) -> list[ServiceRow]:
    """Return the rows of all services that are expected to be drilled. Services that need attention come first."""
    rows = [_row(audit, one) for one in audit.coverage if one.runs or not one.left_out]
    return sorted(rows, key=lambda row: (row.good, row.state == Verdict.PASSED, row.service, row.environment))


def never_drilled(rows: Sequence[ServiceRow]) -> tuple[int, str]:
    """Return the number and the names of the services that no run drilled. One row of the page shows them all."""
    found = [row for row in rows if row.state == NEVER]
    return len(found), _short(", ".join(services.named(row, rows) for row in found))


def _row(audit: Audit, one: CoverageRow) -> ServiceRow:
    key = (one.environment, one.service)
    newest = {run.drill: run for run in audit.runs if (run.environment, run.service) == key}
    cells = [cell.last for cell in one.cells if cell.runs]
    worst = max(newest.values(), key=lambda run: (badness(run.verdict), run.started), default=None)
    goals = [row for row in audit.proven if (row.environment, row.service) == key]
    state = worst.verdict if worst else cells[-1] if cells else NEVER
    seen = [
        row for row in audit.findings if row.state == "open" and row.environment == one.environment and row.drill in newest
    ]
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
        beside=open_findings.beside(state, seen),
        marks=" or ".join(sorted({row.mark.strip() for row in goals if row.reserved})),
    )


def _longest(goals: Sequence[ProvenRow], key: str) -> ProvenRow | None:
    """Return the objective ``key`` with the largest figure that met its target. Returns None when none was met."""
    found = [row for row in goals if row.key == key and row.met and row.measured_s is not None]
    return max(found, key=lambda row: row.measured_s or 0.0, default=None)


def alerts(audit: Audit) -> Iterator[str]:
    """Return everything that needs attention, the most urgent first."""
    if not audit.whole:
        yield f"{wording.record_state(audit)}. {wording.MORE_RUNS}"
    yield from _of_runs(audit)
    for finding in audit.findings:
        if finding.state == "open" and finding.severity in GRAVE:
            yield f"{finding.severity} finding, open since {finding.first_seen[:10]}: {finding.title} ({finding.drill})"
    yield from _of_schedules(audit)


def _of_runs(audit: Audit) -> Iterator[str]:
    """Return texts about changes that are not undone, and about drills whose newest run did not pass."""
    for run in audit.runs:
        if run.residue and not run.closed:
            yield f"{run.drill} in {run.environment} left changes that are not undone: {'; '.join(run.residue)}"
    for run in {(run.environment, run.drill): run for run in audit.runs}.values():
        if run.verdict != Verdict.PASSED:
            yield f"{run.drill} in {run.environment} ended {run.verdict} on {run.started[:10]}: {run.reason}"


def _of_schedules(audit: Audit) -> Iterator[str]:
    """Return texts about overdue drills, objectives that were not proven, and spans of time without a drill."""
    for missed in audit.missed:
        if missed.kind != NOT_BEGUN and not missed.until:
            yield f"{missed.drill} in {missed.environment} has been overdue since {missed.since[:10]}"
    for goal in audit.proven:
        if not goal.met:
            yield f"{goal.objective} of {goal.drill} in {goal.environment} was not proven in this period"
    for environment in sorted({goal.environment for goal in audit.proven if goal.reserved}):
        drills = [goal.drill for goal in audit.proven if goal.reserved and goal.environment == environment]
        yield (
            f"The RPO of {open_findings.named(drills)} in {environment} is {remarks.RESERVED}: "
            "measure or restore a routine backup to prove it"
        )
    for (gaps, environment), known in _gaps(audit).items():
        names = f"{', '.join(known[:-1])} and {known[-1]} were" if len(known) > 1 else f"{known[0]} was"
        yield f"{names} {gaps} in {environment}"


def _gaps(audit: Audit) -> dict[tuple[str, str], list[str]]:
    """Return the services with gaps, by words about the time in which no drill ran, and by environment."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in audit.coverage:
        if row.gaps:
            found.setdefault((_gap(audit, row), row.environment), []).append(row.service)
    return found


def _gap(audit: Audit, row: CoverageRow) -> str:
    """Return words about the time in which no drill of a service ran. Spans that have not begun do not count."""
    begun = [cell for cell in row.cells if cell.last != NOT_YET]
    so_far = " so far" if audit.so_far else " of the period"
    if not row.runs:
        return f"never drilled in the {count(len(begun), audit.period.unit)}{so_far}"
    if len(row.gaps) <= MOST_GAPS:
        return f"not drilled in {', '.join(row.gaps)}"
    return f"not drilled in {len(row.gaps)} of {count(len(begun), audit.period.unit)}{so_far}"


def _exempt_texts(names: Sequence[str], reason: str) -> tuple[str, str]:
    """Return the names of exempt services, and the reason that they share. Names that do not fit are counted."""
    shown = [name for number, name in enumerate(names, 1) if len(", ".join(names[:number])) <= MOST_EXEMPT_LETTERS]
    shown = shown or list(names[:1])
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return _short(", ".join(shown), MOST_EXEMPT_LETTERS) + more, _short(reason, MOST_EXEMPT_LETTERS)


def _short(text: str, most: int = MOST_LETTERS) -> str:
    line = one_line(text)
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
