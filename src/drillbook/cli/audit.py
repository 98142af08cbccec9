"""The work of ``invoke audit``: it reads all journals, writes the audit report of a period, and prints a summary."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from drillbook.atomic_file import private_folder
from drillbook.attestation import anchor_lines, anchor_places
from drillbook.attestation.anchor_places import AnchorFile
from drillbook.attestation.place_contract import Place
from drillbook.audit import campaigns, content, formats, records, rehearsal_figures, suites, summary, wording
from drillbook.audit.assurance import assure
from drillbook.audit.content import Audit
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.period import Period
from drillbook.audit.problem_groups import grouped
from drillbook.cli.console import console
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called
from drillbook.journal.run_state import RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading
from drillbook.project import due, needed_inventories, newest_runs, recorded_schedules, run_index, schedule_record, schedules
from drillbook.project.project import Project
from drillbook.report import publish, remarks
from drillbook.report.audit_pages import AUDIT, SUMMARY
from drillbook.report.figures import error_below, one_line
from drillbook.report.terminal.prose import Cell, Prose
from drillbook.report.terminal.summary import COLOURS
from drillbook.report.terminal.whole_words import WholeWords
from drillbook.report.wording import MET, MISSED, NOT_VERIFIED, PROBE_DETECTION, SHORT, STATES

MOST_LINES, MOST_NAMES = 10, 2
STATE = 13
"""Greatest width of the column with the states of objectives. On a narrow terminal, this limit leaves more space for the
figures."""
UNBROKEN = ("drill", "environment", "when")
"""Columns whose cells are never broken or cut on a narrow terminal."""


def audit(project: Project, since: str, until: str, out: str = "", anchor: str = "", *, today: date | None = None) -> int:
    """Write the audit of the days ``since`` to ``until`` (inclusive) into the folder ``out``, and print a summary. If both are
    empty, it is the audit of the current quarter.

    Days after ``today`` are treated as future days. By default, ``today`` is the present day in UTC by the controller's clock.
    The journals are compared with their anchors, which are copies of their hashes. ``anchor``: the place of the anchors.
    By default, the anchors are read from the places that the user configured.

    Returns 3 when a journal is missing or changed. Also returns 3 when a run has no trusted signature, or when an
    anchor is missing, unreadable or weak evidence. Otherwise returns 0. Raises UsageError for invalid dates, anchors or
    folders.
    """
    period = Period.parse(since, until) if since or until else Period.quarter(today or datetime.now(UTC).date())
    project.look_into_reports()
    runs = RunStates()
    run_index.refresh(project, runs)
    made = _read(project, runs, period, _anchors(project, anchor), today)
    folder = Path(out) if out else project.reports / f"audit-{period.since}-{period.until}"
    try:
        private_folder(folder)
        path = os.path.relpath(project.reports, folder)
        publish.write_all(folder, formats.FORMATS, formats.Located(made, path))
    except OSError as error:
        raise UsageError(f"the audit cannot be written to {folder}: {error.strerror}", hint="name another folder") from None
    if folder.parent.resolve() == project.reports.resolve():
        run_index.link_audit(project, runs)
    _print(made, folder)
    return Exit.OK if made.vouched else Exit.UNVERIFIED


def _read(project: Project, runs: RunStates, period: Period, places: Sequence[Place], today: date | None) -> Audit:
    """Read all journals, and make the audit of ``period``. Also note changed schedules in ``schedule.jsonl``.

    ``places``: places of anchors. An anchor states the number of events and the last hash of a journal. ``runs``: states of
    the runs. Each journal is read only once, so that its signature and its anchors are compared with the same content that
    the audit shows.
    """
    anchored = anchor_lines.known(places)  # before the journals: a run that ends meanwhile must not seem to be missing
    journals, strays = records.find(project.reports, runs)
    known = newest_runs.read(newest_runs.begun(project, runs), project, runs)
    wanted, kept = schedules.read(project), schedule_record.read(project.reports)
    kept = recorded_schedules.note_changes(project.reports, kept, wanted, known, datetime.now(UTC))
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


def _print(made: Audit, folder: Path) -> None:
    """Print the title, the tables, then the problems, then the state of the journals, and then the result. The most important
    lines come last, where a terminal shows them without scrolling.
    """
    out = console()
    out.print(Text(wording.short_title(made), style="bold"))
    out.print()
    out.print(WholeWords(_coverage(made), 2, 1))
    _print_proven(out, made)
    _print_uncounted(out, made)
    _rehearsed(out, made)
    for name, file in (("report", AUDIT), ("summary, one page", SUMMARY)):
        out.print(Text(f"  {name} {one_line(_shown(folder / file))}"), soft_wrap=True)
    out.print()
    _print_record(out, made)
    out.print(Prose(Text(made.sentence), 2))
    if overdue := wording.still_overdue(made, MOST_NAMES):
        out.print(Prose(Text(one_line(overdue), style="yellow"), 2))
    rows = summary.service_rows(made)
    if standing := summary.standing(rows):
        out.print(Prose(Text(standing), 2))
    colour = COLOURS[summary.tone(made, rows)]
    out.print(Prose(Text(summary.headline(rows), style=f"bold {colour}"), 0))


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
    out.print(Prose(state.append(f" {step}" if step else "", style="default"), 2))


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
            str(len(row.gaps)),
        )
    return table


def _print_proven(out: Console, made: Audit) -> None:
    """Print the table of objectives, and the table of detection times that the drills' own probes measured. Below them, print
    how many objectives are proven.
    """
    if not made.proven:
        return
    for probed, title in ((False, ""), (True, f"  {PROBE_DETECTION}:")):
        table = _proven(made, probed=probed)
        if _width(table) > out.width - 2:
            table = _proven(made, probed=probed, narrow=True)
        if table.row_count:
            if title:
                out.print(title)
            out.print(WholeWords(table, 2, 1))
    text = f"{wording.proven_counts(made.proven)} {remarks.legend(item.mark for item in made.proven)}".rstrip()
    out.print(Prose(Text(text), 2, below=1))


def _width(table: Table) -> int:
    """Return the width of a table in which no cell is broken."""
    return sum(max(cell_len(str(cell)) for cell in (column.header, *column.cells)) + 2 for column in table.columns) - 2


def _proven(made: Audit, *, probed: bool = False, narrow: bool = False) -> Table:
    """Return the table of objectives. If ``probed`` is true, return instead the table of detection times that the drills' own
    probes measured. If ``narrow`` is true, the measurement error of a figure stands on a second line, so that no line breaks
    between a number and its unit.
    """
    places = len({item.environment for item in made.proven}) > 1
    head = ("environment",) if places else ()
    proven = _table("drill", *head, *(() if probed else ("objective",)), "target", "figure", "state", "when")
    for item in (item for item in made.proven if item.by_probe is probed):
        proven.add_row(
            Text(one_line(item.drill)),
            *((Text(one_line(item.environment)),) if places else ()),
            *(() if probed else (SHORT.get(item.key, item.objective),)),
            item.target,
            Cell(Text(error_below(_figure(item)) if narrow else _figure(item))),
            _state(item),
            (item.uncounted.at if item.uncounted else item.at)[:10] or "-",
        )
    if narrow:
        next(column for column in proven.columns if column.header == "state").max_width = STATE
    return proven


def _print_uncounted(out: Console, made: Audit) -> None:
    """Print a line for each run whose figures prove no objective. These figures are in parentheses. The line has the reason."""
    lines = _uncounted(made)
    if not lines:
        return
    out.print("  A figure in parentheses does not count:")
    shown, more = leading(lines, MOST_LINES)
    for line in shown:
        out.print(Prose(Text(line), 4))
    if more:
        out.print(f"    and {more} more in the report")
    out.print()


def _uncounted(made: Audit) -> list[str]:
    """Return a line for each run whose figures prove no objective: drill, objectives, reason and name of the run."""
    places = len({item.environment for item in made.proven}) > 1
    keys_by_run: dict[tuple[str, str, str], list[str]] = {}
    for item in made.proven:
        if figure := item.uncounted:
            name = f"{item.drill} in {item.environment}" if places else item.drill
            keys_by_run.setdefault((name, figure.why, figure.run), []).append(SHORT.get(item.key, item.objective))
    return [one_line(f"{name}, {', '.join(keys)}: {why}. {run}") for (name, why, run), keys in keys_by_run.items()]


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


def _figure(item: ProvenRow) -> str:
    """Return the text for the newest figure of an objective. A figure that does not count is in parentheses. Without a figure,
    the text is ``none`` if no run of the period gave the objective its state, otherwise ``not verified``.

    If the RPO perhaps does not include a known loss of data, the text shows this loss in place of the RPO. A mark such as
    ``†`` stands before the figure, so that the mark is never alone on the second line of a narrow column.
    """
    if item.met or item.missed:
        return _marked(item.measured.partition("; ")[0] + item.mark)
    if item.uncounted:
        return f"({_marked(item.uncounted.measured)})"
    return "not verified" if item.at else "none"


def _marked(figure: str) -> str:
    """Move the signs at the end of a figure, such as ``†``, to its beginning. A figure without signs is unchanged."""
    match = re.fullmatch(rf"(.*) ([{''.join(remarks.LEGENDS)}]+)", figure)
    return f"{match[2]} {match[1]}" if match else figure


def _state(item: ProvenRow) -> Text:
    """Return the state of an objective with its symbol. A state that begins with the word `met`, and has more words, is
    printed without this first word. For example, `met with a reservation` becomes `with a reservation`.
    """
    colour = MET if item.proven else MISSED if item.missed else NOT_VERIFIED
    word = item.said.removeprefix(f"{MET} ")
    return Text(f"{STATES.get(item.state, STATES[NOT_VERIFIED])} {word}", style=COLOURS[colour])


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
