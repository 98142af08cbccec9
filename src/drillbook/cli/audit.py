"""The work of ``invoke audit``: it reads all journals, writes the audit report of a period, and prints a summary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from drillbook.atomic_file import private_folder
from drillbook.attestation import anchor_lines, anchor_places
from drillbook.attestation.anchor_places import AnchorFile
from drillbook.attestation.place_contract import Place
from drillbook.audit import (
    campaigns,
    content,
    covered_days,
    formats,
    gaps,
    numbers,
    records,
    rehearsal_figures,
    suites,
    summary,
    unsigned_runs,
    wording,
)
from drillbook.audit.alert_commands import commands_at_once, urgent
from drillbook.audit.assurance import assure
from drillbook.audit.content import Audit
from drillbook.audit.period import Period
from drillbook.audit.problem_groups import grouped
from drillbook.cli.console import console
from drillbook.cli.dry_run import NOTHING
from drillbook.cli.objective_list import Objectives
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called
from drillbook.journal.run_state import RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading
from drillbook.project import due, needed_inventories, newest_runs, recorded_schedules, run_index, schedule_record, schedules
from drillbook.project.project import Project
from drillbook.report import publish
from drillbook.report.audit_pages import AUDIT, SUMMARY
from drillbook.report.figures import one_line
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Prose
from drillbook.report.terminal.tables import COLOURS
from drillbook.report.terminal.whole_words import WholeWords

MOST_LINES, MOST_NAMES, MOST_STEPS = 10, 2, 3
UNBROKEN = ("environment", "when")
"""Columns whose cells are never broken or cut on a narrow terminal."""


def audit(
    project: Project,
    since: str,
    until: str,
    out: str = "",
    anchor: str = "",
    *,
    today: date | None = None,
    dry: bool = False,
) -> int:
    """Write the audit of the days ``since`` to ``until`` (inclusive) into the folder ``out``, and print a summary. If both are
    empty, it is the audit of the current quarter.

    Days after ``today`` are treated as future days. By default, ``today`` is the present day in UTC by the controller's clock.
    The journals are compared with their anchors, which are copies of their hashes. ``anchor``: the place of the anchors.
    By default, the anchors are read from the places that the user configured.

    Returns 3 when a journal is missing or changed. Also returns 3 when a run has no trusted signature, or when an
    anchor is missing, unreadable or weak evidence. Otherwise returns 0. Raises UsageError for invalid dates, anchors or
    folders. When ``dry`` is true, the summary is printed and nothing is written.
    """
    period = Period.parse(since, until) if since or until else Period.quarter(today or datetime.now(UTC).date())
    project.look_into_reports()
    runs = RunStates()
    folder = Path(out) if out else project.reports / f"audit-{period.since}-{period.until}"
    places = _anchors(project, anchor)
    if dry:
        made = _read(project, runs, period, places, today, noting=False)
        _print(made, folder, dry=True)
        return _status(made)
    run_index.refresh(project, runs)
    made = _read(project, runs, period, places, today)
    _write(project, runs, made, folder)
    _print(made, folder)
    return _status(made)


def _write(project: Project, runs: RunStates, made: Audit, folder: Path) -> None:
    """Write every file of the audit into ``folder``, and link it in the index of the runs."""
    try:
        private_folder(folder)
        path = os.path.relpath(project.reports, folder)
        publish.write_all(folder, formats.FORMATS, formats.Located(made, path))
    except OSError as error:
        raise UsageError(f"the audit cannot be written to {folder}: {error.strerror}", hint="name another folder") from None
    if folder.parent.resolve() == project.reports.resolve():
        run_index.link_audit(project, runs)


def _status(made: Audit) -> Exit:
    return Exit.OK if made.vouched else Exit.UNVERIFIED


def _read(
    project: Project, runs: RunStates, period: Period, places: Sequence[Place], today: date | None, *, noting: bool = True
) -> Audit:
    """Read all journals, and make the audit of ``period``. When ``noting`` is true, note changed schedules in
    ``schedule.jsonl``.

    ``places``: places of anchors. An anchor states the number of events and the last hash of a journal. ``runs``: states of
    the runs. Each journal is read only once, so that its signature and its anchors are compared with the same content that
    the audit shows.
    """
    anchored = anchor_lines.known(places)  # before the journals: a run that ends meanwhile must not seem to be missing
    journals, strays = records.find(project.reports, runs)
    known = newest_runs.read(newest_runs.begun(project, runs), project, runs)
    wanted, kept = schedules.read(project), schedule_record.read(project.reports)
    if noting:
        kept = recorded_schedules.note_changes(project, kept, wanted, known, datetime.now(UTC))
    return content.make(
        journals,
        strays,
        period,
        assure(journals, period, project, anchored, runs),
        today,
        scheduled=kept,
        campaigns=campaigns.find(project.reports),
        suites=suites.find(project.reports, journals, strays, runs),
        wanted=wanted,
        inventories=needed_inventories.read(project),
        services=due.services(project, known),
    )


def _anchors(project: Project, named: str) -> list[Place]:
    """Return the places where anchors are stored. An anchor is a copy of a journal's hash, and the audit compares the
    journal with it.

    ``named``: the only place to use, as the user named it. When it is empty, the configured places are used. Raises UsageError when
    ``named`` is a file that does not exist.
    """
    if not named:
        return anchor_places.places(project.reports)
    place = anchor_places.named(named)
    if isinstance(place, AnchorFile) and not place.path.is_file():
        raise UsageError(
            f"the anchor {named} does not exist",
            hint="name a file with lines of JSON, or s3://bucket/prefix; see `The audit of a period` in the documentation",
        )
    return [place]


def _print(made: Audit, folder: Path, *, dry: bool = False) -> None:
    """Print the title, the tables, then the problems, then the state of the journals, and then the result. The most important
    lines come last, where a terminal shows them without scrolling. ``dry``: nothing was written.
    """
    out = console()
    out.print(Text(covered_days.title(made), style="bold"))
    out.print()
    out.print(WholeWords(_coverage(made), 2, 1))
    if begun := covered_days.begin(made):
        out.print(Prose(Text(begun, style="dim"), 2, below=1))
    if made.proven:
        out.print(Objectives(made.proven))
    _rehearsed(out, made)
    for name, file in (("report", AUDIT), ("summary, one page", SUMMARY)):
        would = "would write the " if dry else ""
        out.print(Text(f"  {would}{name} {one_line(_shown(folder / file))}"), soft_wrap=True)
    out.print()
    _print_record(out, made)
    out.print(Prose(Text(numbers.sentences(made)), 2))
    if overdue := wording.still_overdue(made, MOST_NAMES):
        out.print(Prose(Text(one_line(overdue), style="yellow"), 2))
    rows = summary.service_rows(made)
    if standing := summary.standing(rows):
        out.print(Prose(Text(standing), 2))
    if steps := commands_at_once(made, MOST_STEPS):
        out.print(shown_steps([(one_line(what), command) for what, command in steps], above=0))
        if (more := urgent(made) - len(steps)) > 0:
            out.print(Prose(Text(f"and {more} more to do at once: see 'Needs attention' of the report"), 4))
    colour = COLOURS[summary.tone(made, rows)]
    out.print(Prose(Text(summary.headline(rows), style=f"bold {colour}"), 0))
    if dry:
        out.print(NOTHING)


def _print_record(out: Console, made: Audit) -> None:
    """Print the state of the record of all runs: first its problems, then the doubts about it, and then one line that says
    whether it is intact. This line also has the next step if signatures are missing.
    """
    breaking, more = leading([group for group in grouped(made.problems) if group.breaking], MOST_LINES)
    for group in breaking:
        out.print(Prose(Text(f"! {group.code}: {group.text}", style="red"), 2))
        if group.next:
            out.print(Prose(Text(as_called(group.next)), 4))
    _print_more(out, more)
    doubts, more = leading(wording.assurance(made, MOST_NAMES), MOST_LINES)
    for text in doubts:
        out.print(Prose(Text(f"? {one_line(text)}", style="yellow"), 2))
    _print_more(out, more)
    colour = "red" if not made.whole else "green" if made.runs and made.vouched else "yellow"
    state = Text(f"{wording.record_state(made)}.", style=colour)
    step = wording.signing_step(made)
    state.append(f" {step}" if step else "", style="default")
    stays = ", as in each audit of these runs" if made.whole and unsigned_runs.stays_so(made) else ""
    out.print(Prose(state.append(f" Exit {_status(made)}{stays}.", style="dim"), 2))


def _print_more(out: Console, more: int) -> None:
    if more:
        out.print(f"  and {more} more in the report")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in UNBROKEN)
    return table


def _coverage(made: Audit) -> Table:
    table = _table("service", "runs", "passed", f"{made.period.unit}s without a run")
    for row in (covered for covered in made.coverage if covered.runs or not covered.left_out):
        table.add_row(
            Text(f"{one_line(row.service)} ({one_line(row.environment)})"),
            f"{row.runs}, {row.refused} refused" if row.refused else str(row.runs),
            Verdict.NOT_RUN if row.untried else str(row.passed),
            gaps.months(made, row) or "none",
        )
    return table


def _rehearsed(out: Console, made: Audit) -> None:
    """Print the figures of rehearsals, and a note that these figures prove no objective."""
    if not made.rehearsed:
        return
    places = len({item.environment for item in made.rehearsed}) > 1
    table = _table("rehearsal", *(("environment",) if places else ()), "restored in", "would be lost", "when")
    for item in made.rehearsed:
        source = "" if item.source in ("", item.service) else f", {one_line(item.source)}"
        where = (Text(one_line(item.environment)),) if places else ()
        table.add_row(Text(f"{one_line(item.drill)}{source}"), *where, item.restored, item.figure, item.at[:10] or "-")
    out.print(WholeWords(table, 2, 1))
    taken = [f"{item.drill}: the loss was measured with {item.taken}." for item in made.rehearsed if item.taken]
    notes = [*taken, *(f"{item.drill}: {'; '.join(item.notes)}." for item in made.rehearsed if item.notes)]
    out.print(Prose(Text(one_line(" ".join([*notes, rehearsal_figures.SHORT]))), 2, below=1))


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
