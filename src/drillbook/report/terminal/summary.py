"""Final summary in a terminal.

Texts and symbols alone carry the meaning, so the summary is readable without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillbook.events.runs import StopRequested
from drillbook.exits import Exit
from drillbook.findings import Severity
from drillbook.installation.program_name import as_called, program
from drillbook.judge.result import Residue, RunView, SuiteResult
from drillbook.report import (
    changes,
    clock_rows,
    end_state,
    headlines,
    open_findings,
    remarks,
    remedies,
    residue_state,
    rows,
    step_texts,
    tolerated,
    wording,
)
from drillbook.report.figures import one_line, shown, took
from drillbook.report.moments import run_duration
from drillbook.report.phases import phase_rows
from drillbook.report.rows import ObjectiveRow
from drillbook.report.suites import SuiteRow, suite_contradictions, suite_rows, suite_sentence
from drillbook.report.terminal.ending import Ending
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Cell, Prose
from drillbook.report.terminal.verdict_line import VerdictLine
from drillbook.report.terminal.whole_words import WholeWords

COLOURS = {
    "passed": "green",
    "failed": "red",
    "inconclusive": "yellow",
    "refused": "cyan",
    "aborted": "magenta",
    "not run here": "yellow",
    "met": "green",
    remarks.RESERVED: "yellow",
    "missed": "red",
    "not verified": "yellow",
    "done": "green",
    "interrupted": "magenta",
    wording.STOPPED: "magenta",
    "skipped": "cyan",
    wording.NO_STEPS: "dim",
    "critical": "red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "information": "dim",
}

DOUBTED = wording.STATES[wording.NOT_VERIFIED]
"""Symbol of an objective whose figure does not count."""
COLUMNS = {"rto": "RTO", "rpo": "RPO", "detect": "detection"}
"""Heads of the columns with the figures of a suite's drills. A further column for the detector of each fault would not fit."""
BY_PROBE = "detected by probe"
"""Head of the column with detection times in the table of a suite. It is used if the drills' own probes measured all of these
times. Otherwise the head is `detection`, and a time that an alert measured has the word `alert` in its cell.
"""
NAMED = 21
"""Greatest width of the column with the names of objectives. Together with a column of figures of the width ``MEASURED``, it
fits into a terminal of 80 columns.
"""
MEASURED = 31
"""Least width of the column with figures and remarks. It is used if no objective in the table has a reason beside its state."""


def summary(view: RunView, report: str = "") -> RenderableType:
    """Return the summary of a run: its details and then, as the last lines, its verdict."""
    return Group(details(view, report), Text(), ending(view))


def details(view: RunView, report: str = "", *, brief: bool = False) -> RenderableType:
    """Return objectives, clocks, phases, notes, findings, changes that could not be undone, the differences since the
    last run, and the path of the report. When nothing was measured, there is one sentence in place of the objectives, clocks
    and phases. When ``brief`` is True, clocks and phases are left out."""
    result = view.result
    parts: list[RenderableType] = [Text()]
    if nothing := rows.nothing_measured(view):
        parts.append(Prose(Text(nothing), 2, below=1))
    else:
        parts += [_objectives(rows.rows_of(result)), *([] if brief else [_clocks(view), _phases(view)])]
    parts += [
        *_notes(view),
        *_findings(view),
        *_residue(view),
        *_changes(view),
        _where(result.run, report, result.environment, [view]),
    ]
    return Group(*parts)


def ending(view: RunView) -> RenderableType:
    """Return the last lines of a run: contradictions, retries, allowed failures, its result in sentences, and its verdict."""
    result = view.result
    return Group(
        *_contradictions(rows.contradictions(view)),
        *_tolerated(view),
        Prose(Text("\n".join(filter(None, (headlines.sentence(view), end_state.sentence(view))))), 2),
        _verdict(result.verdict, result.drill, result.title, wording.residue(result), result.exit),
    )


def _changes(view: RunView) -> list[RenderableType]:
    """Return a line about the differences since the last run. The result is empty if no earlier run is recorded."""
    text = changes.summary(view)
    return [Prose(Text(text, style="dim"), 2)] if text else []


def _tolerated(view: RunView) -> list[RenderableType]:
    """Return a line about retries and allowed failures. The result is empty when there were none."""
    text = tolerated.summary(view)
    return [Prose(Text(f"! {text}", style="yellow"), 2)] if text else []


def line(view: RunView) -> RenderableType:
    """Return a few lines about one drill of a suite: verdict, findings with the first instruction of their remedies, and
    changes that could not be undone. The end of the suite shows how to undo these changes.
    """
    result = view.result
    text = _state(str(result.verdict))
    text.append(f" in {took(run_duration(view))}", style="dim")
    text.append(f"  ! {said}" if (said := tolerated.summary(view)) else "", style="yellow")
    parts: list[RenderableType] = [Prose(text, 2)]
    for finding in rows.findings_beside_residue(view.result):
        if finding.severity != Severity.INFORMATION:
            head = Text(f"{finding.severity}: {shown(finding.title)}", style=COLOURS[finding.severity])
            parts.append(Prose(head, 4))
            measured = Text(": ".join(map(shown, open_findings.measured(finding))))
            parts += [Prose(measured, 6)] if finding.measured else []
            said = remedies.first_instruction(finding.code, finding.remedy) or finding.remedy
            parts += [Prose(Text(f"remedy: {shown(as_called(said))}", style="dim"), 6)] if said else []
    return Group(*parts, *(_head(view, residue) for residue in view.result.residue))


def short_summary(view: RunView) -> RenderableType:
    """Return a short summary of a run: the verdict, the command that undoes the remaining changes, a list of these changes,
    and the findings."""
    result = view.result
    parts: list[RenderableType] = [
        _verdict(result.verdict, result.drill, result.title, wording.residue(result), result.exit)
    ]
    if result.open_residue:  # the short summary has no list of next steps
        parts.append(Prose(Text(f"to undo the change: {program()} drill.recover {one_line(result.run)}"), 2, below=1))
    return Group(*parts, *_residue(view), *(_findings(view) if result.findings else ()))


def short_suite_summary(suite: SuiteResult) -> RenderableType:
    """Return a line with the verdict of a suite. A title that does not fit this line is left out, because the end of a suite must
    fit a small terminal.
    """
    return replace(
        _verdict(suite.verdict, suite.suite, suite.title, "residue" if suite.exit == Exit.RESIDUE else "", suite.exit),
        short=True,
    )


def suite_summary(
    suite: SuiteResult, views: Sequence[RunView], report: str = "", steps: Sequence[tuple[str, str]] = ()
) -> RenderableType:
    """Return the summary of a suite: the changes that were not undone, its drills, the path of the report, the next
    ``steps`` and, as the last lines, its verdict."""
    residue = [part for view in views for part in _residue(view)]
    return Group(Text(), *residue, suite_ending(suite, views, report, steps))


def _drills(members: Sequence[SuiteRow]) -> Table:
    """Return a table with one line for each drill, even on a terminal with 80 columns. The table leaves out measurement errors."""
    keys = [key for key in wording.SHORT if any(objective.key == key for row in members for objective in row.objectives)]
    keys += sorted({objective.key for row in members for objective in row.objectives} - set(keys))
    heads = ("restored in", "would be lost") if any(row.rehearsed for row in members) else ()
    columns = {**COLUMNS, **({"detect": BY_PROBE} if _all_by_probe(members) else {})}
    table = _table("Drills", "drill", "verdict", *(columns.get(key, wording.objective_name(key)) for key in keys), *heads)
    for row in members:
        known = {objective.key: objective for objective in row.objectives}
        cells = [_brief(known[key]) if key in known else Text("-" if row.view else "?", style="dim") for key in keys]
        verdict = _state(row.verdict).append(" !" if row.beside else "", style="yellow")
        table.add_row(Text(one_line(row.drill)), verdict, *cells, *(_rehearsed(row) if heads else ()))
    return table


def _all_by_probe(members: Sequence[SuiteRow]) -> bool:
    """Return True when the suite has measured detections, and in each of them the drill's own probe detected the fault."""
    detected = [objective for row in members for objective in row.objectives if objective.key == "detect" and objective.by]
    return bool(detected) and all(objective.by_probe for objective in detected)


def _rehearsed(row: SuiteRow) -> tuple[RenderableType, RenderableType]:
    """Return the cells with the figures of a rehearsal: the duration of the restore, and the data that would be lost.
    For any other drill, each cell is a dash."""
    told = row.rehearsed
    if told is None:
        return Text("-", style="dim"), Text("-", style="dim")
    return Text(told.restored), Cell(Text(f"{told.lost} {told.mark}".rstrip()))


def _told(members: Sequence[SuiteRow]) -> list[RenderableType]:
    """Return lines about drills with retries, allowed failures or a missing record."""
    lines = [
        Text(f"! {one_line(row.drill)}: {said}", style="yellow")
        for row in members
        for said in filter(None, (row.tolerated, "" if row.view else row.sentence))
    ]
    return [Prose(Text("\n").join(lines), 2, below=1)] if lines else []


def _brief(row: ObjectiveRow) -> Cell:
    """Return the symbol of an objective's state and its figure without error, such as ``✓ 12.90 s``."""
    symbol, style = (DOUBTED, "yellow") if row.uncounted else (wording.STATES[row.state], COLOURS.get(row.state, "yellow"))
    alert = " alert" if row.by and row.by != remarks.BY_PROBE else ""
    return Cell(Text(f"{symbol} {row.brief}{row.mark}{alert}".rstrip(), style=style))


def _legend(members: Sequence[SuiteRow]) -> list[RenderableType]:
    """Return the meanings of the symbols and marks in the table of a suite's drills."""
    shown = [objective for row in members for objective in row.objectives]
    states = {objective.state for objective in shown if not objective.uncounted}
    doubted = [state for state in (wording.NOT_VERIFIED,) if state in states]
    doubted += ["does not count: the run did not pass"] if any(objective.uncounted for objective in shown) else []
    words = {state: state for state in states} | ({wording.NOT_VERIFIED: " or ".join(doubted)} if doubted else {})
    parts = [f"{symbol} {words[state]}" for state, symbol in wording.STATES.items() if state in words]
    lines = [f"{', '.join(parts)}. The report has the error of each figure."] if parts else []
    marks = [objective.mark for objective in shown]
    marks += [row.rehearsed.mark for row in members if row.rehearsed]
    lines += filter(None, [remarks.short_legend(marks)])
    return [Prose(Text("\n".join(lines), style="dim"), 2, below=1)] if lines else []


def suite_ending(
    suite: SuiteResult, views: Sequence[RunView], report: str = "", steps: Sequence[tuple[str, str]] = ()
) -> RenderableType:
    """Return the last lines of a suite: its drills with their objectives, the path of the report, the next ``steps``,
    contradictions in its record, the number of drills by verdict, and its verdict. See ``Ending`` for their order.
    """
    members = suite_rows(suite, views)
    where = _where("" if report else suite.run, report, suite.environment, views)  # the path of the report has the run
    table = Group(WholeWords(_drills(members), 2, 1), *_told(members), *_legend(members), where)
    last = Group(
        Text(),
        *_contradictions(suite_contradictions(suite, members)),
        Prose(Text(suite_sentence(members, probed=False)), 2),
        short_suite_summary(suite),
    )
    return Ending(table, shown_steps(steps, above=0) if steps else None, last)


def _contradictions(contradictions: Sequence[str]) -> list[RenderableType]:
    return [
        Prose(Text(f"! This record contradicts itself: {text}", style="bold red"), 2, below=1) for text in contradictions
    ]


def _verdict(verdict: str, name: str, title: str, residue: str, status: int) -> VerdictLine:
    shape = {str(key): value for key, value in wording.SHAPES.items()}.get(verdict, "?")
    word = verdict.upper() + (f" WITH {residue.upper()}" if residue else "")
    style = f"bold {COLOURS.get(verdict, 'yellow')}"
    return VerdictLine(
        Text.assemble((f"{shape} {word}", style), (f"  exit {status}", "dim")), one_line(name), one_line(title)
    )


def _state(word: str, said: str = "") -> Text:
    """Return a state with its symbol. ``said``: words to show in place of the name of the state."""
    known = {**wording.STEP_SHAPES, **wording.STATES, **{str(key): value for key, value in wording.SHAPES.items()}}
    return Text(f"{known.get(word, '?')} {one_line(said or word)}", style=COLOURS.get(word, "yellow"))


def _table(title: str, *columns: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title, style="bold"),
        title_justify="left",
        pad_edge=False,
        show_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table


def _objectives(goals: Sequence[ObjectiveRow]) -> RenderableType:
    if not goals:
        return Prose(Text("The drill sets no objectives."), 2, below=1)
    table = _table("Objectives", "objective", "target", "figure and error", "result")
    for row in goals:
        state = _objective_state(row)
        state.append(f"\n{row.reason}" if row.reason else "", style="default")
        figure = "\n".join(filter(None, (row.measured, row.writes, row.remark)))
        table.add_row(Text(row.name), Text(row.target), Cell(Text(figure)), state)
    if any(row.reason or row.uncounted for row in goals):
        return WholeWords(table, 2, 1)
    table.columns[0].max_width, table.columns[2].min_width = NAMED, MEASURED
    return Padding(table, (0, 0, 1, 2))


def _objective_state(row: ObjectiveRow) -> Text:
    """Return the state of an objective. A figure that does not count is not green."""
    return Text(f"{DOUBTED} {row.said}", style="yellow") if row.uncounted else _state(row.state, row.said)


def _clocks(view: RunView) -> RenderableType:
    table = _table("Clocks", "clock", "figure")
    for row in clock_rows.clock_rows(view.result):
        figure = f"{row.figure}{'  no sampling error' if row.exact else ''}"
        missing = Text(f"? not measured: {row.reason}", style="yellow")
        table.add_row(Text(row.clock.name), Text(figure) if row.figure else missing)
    left_out = clock_rows.left_out(view.result)
    return Group(WholeWords(table, 2, 1), *([Prose(Text(left_out), 2, below=1)] if left_out else []))


def _phases(view: RunView) -> RenderableType:
    table = _table("Phases", "phase", "status", "took", "steps")
    for phase in phase_rows(view):
        time = phase.took or ("" if phase.state == wording.NO_STEPS else "not measured")
        states = [step_texts.state(step.result.status) for step in phase.steps]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
        table.add_row(Text(one_line(phase.name)), _state(phase.state), Text(time), Text(counts or "none"))
    return WholeWords(table, 2, 1)


def _notes(view: RunView) -> list[RenderableType]:
    """Return lines about requests to stop the run.

    Other notes that need attention are shown as findings. The report shows all notes.
    """
    pairs = zip(view.notes, rows.note_rows(view), strict=True)
    lines = [Text(f"! {at}  {text}", style="yellow") for note, (at, text, _) in pairs if note.kind == StopRequested.KIND]
    return [Prose(Text("\n").join(lines), 2, below=1)] if lines else []


def _findings(view: RunView) -> list[RenderableType]:
    findings = rows.findings_beside_residue(view.result)
    if view.result.residue and not findings:
        return []
    if not view.result.findings:
        return [Prose(Text("The run recorded no findings."), 2, below=1)]
    parts: list[RenderableType] = [Prose(Text("Findings", style="bold"), 2)]
    for finding in findings:
        head = Text(f"{finding.severity} ", style=f"bold {COLOURS[finding.severity]}")
        head.append(f"{one_line(finding.code)}: {shown(finding.title)}", style="default not bold")
        told = open_findings.told(finding)
        room = max((len(name) for name, _ in told), default=0) + 2
        body = [Prose(Text(shown(text)), 4, label=Text(name.ljust(room), style="dim")) for name, text in told]
        parts += [Prose(head, 2), *body, Text()]
    return parts


def _residue(view: RunView) -> list[RenderableType]:
    closed = view.result.settled
    parts: list[RenderableType] = []
    if closed:
        lines = [rows.settled_sentence(closed), *(f"- {text}" for text in rows.settled_rows(closed))]
        parts.append(Prose(Text("\n".join(one_line(line) for line in lines)), 2, below=1))
    for residue in view.result.residue:
        parts += [
            _head(view, residue),
            Prose(
                Text(f"{'why the run left the change' if closed else 'why'}: {shown(as_called(residue.why))}"),
                4,
                below=int(bool(closed)),
            ),
        ]
        by_hand = Text(f"by hand, if `drill.recover` does not help:\n{shown(as_called(residue.by_hand))}")
        parts += [] if closed else [Prose(by_hand, 4, below=1, verbatim=True)]
    return parts


def _head(view: RunView, residue: Residue) -> Prose:
    """Return the line that names a change that could not be undone."""
    closed = view.result.settled
    said = "NOT UNDONE" if residue_state.failed(view, residue) else residue_state.UNRECORDED.upper()
    mark = "– residue, closed" if closed else f"! residue, {said}"
    text = f"{mark}: {one_line(residue.what)} on {one_line(residue.host)} (step {one_line(residue.step)})"
    return Prose(Text(text, style="" if closed else "bold red"), 2)


def _where(run: str, report: str, environment: str, views: Sequence[RunView]) -> Group:
    known = wording.environment(environment, [view.plan.get("inventory") for view in views])
    lines = [("environment", known), ("run", one_line(run)), ("report", one_line(report))]
    return Group(*(Prose(Text(text), 2, label=Text(f"{name} ", style="dim")) for name, text in lines if text))
