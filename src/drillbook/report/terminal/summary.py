"""Final summary in a terminal.

Texts and symbols alone carry the meaning, so the summary is readable without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from drillbook.events.runs import StopRequested
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called, program
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report import (
    changes,
    clock_rows,
    dead_runs,
    end_state,
    headlines,
    lost_data,
    open_findings,
    rehearsal_results,
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
from drillbook.report.suites import suite_contradictions, suite_rows, suite_sentence
from drillbook.report.terminal import finding_room, suite_table
from drillbook.report.terminal.ending import Ending
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Cell, Prose
from drillbook.report.terminal.tables import COLOURS, DOUBTED, state_text, table_of
from drillbook.report.terminal.verdict_line import VerdictLine
from drillbook.report.terminal.whole_words import WholeWords

NAMED = 21
"""Greatest width of the column with the names of objectives. Together with a column of figures of the width ``MEASURED``, it
fits into a terminal of 80 columns.
"""
MEASURED = 31
"""Least width of the column with figures and remarks. It is used if no objective in the table has a reason beside its state."""
MOST_STATE = 24
"""Greatest number of letters of a state for which the last column has room beside these two."""


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
        *residue_lines(view),
        *_changes(view),
        where(result.run, report, result.environment, [view]),
    ]
    return Group(*parts)


def ending(view: RunView) -> RenderableType:
    """Return the last lines of a run: contradictions, retries, allowed failures, its result in sentences, and its verdict."""
    return Group(
        *_contradictions(rows.contradictions(view)),
        *_tolerated(view),
        Prose(Text("\n".join(filter(None, (headlines.sentence(view, beside=True), end_state.sentence(view))))), 2),
        _of_run(view),
    )


def _changes(view: RunView) -> list[RenderableType]:
    """Return a line about the differences since the last run. The result is empty if no earlier run is recorded."""
    text = changes.summary(view)
    return [Prose(Text(text, style="dim"), 2)] if text else []


def _tolerated(view: RunView) -> list[RenderableType]:
    """Return a line about retries and allowed failures. The result is empty when there were none."""
    text = tolerated.summary(view)
    return [Prose(Text(f"! {text}", style="yellow"), 2)] if text else []


def line(view: RunView, findings: RenderableType | None = None, width: int = 0) -> RenderableType:
    """Return a few lines about one drill of a suite: verdict, findings, and changes that could not be undone. The end of the suite
    shows how to undo these changes. ``findings``: lines about the findings and changes; see ``FindingRoom``. Without it, all are shown
    in full. ``width``: columns of a terminal. Lost data is left out if retries then do not fit beside the verdict, because the table
    of the suite has it.
    """
    result = view.result
    text = state_text(dead_runs.word_of(result))
    text.append(f" in {took(run_duration(view))}", style="dim")
    lost = f", {known}" if (known := lost_data.allowed(result)) else ""
    said = f"  ! {told}" if (told := tolerated.summary(view)) else ""
    text.append("" if said and width and 2 + text.cell_len + cell_len(lost + said) > width else lost).append(
        said, style="yellow"
    )
    whole = [finding_room.in_full(view), *finding_room.changes_left(view)] if findings is None else [findings]
    return Group(Prose(text, 2), *whole)


def short_summary(view: RunView) -> RenderableType:
    """Return a short summary of a run: the verdict, the command that undoes the remaining changes, a list of these changes,
    and the findings."""
    result = view.result
    parts: list[RenderableType] = [_of_run(view)]
    return Group(*parts, *residue_lines(view), *(_findings(view) if result.every_finding else ()))


def short_suite_summary(suite: SuiteResult) -> RenderableType:
    """Return a line with the verdict of a suite. A title that does not fit this line is left out, because the end of a suite must
    fit a small terminal.
    """
    return replace(
        _verdict(suite.verdict, suite.suite, suite.title, "residue" if suite.exit == Exit.RESIDUE else "", suite.exit),
        short=True,
    )


def suite_summary(
    suite: SuiteResult,
    views: Sequence[RunView],
    report: str = "",
    steps: Sequence[tuple[str, str]] = (),
    *,
    short: bool = False,
) -> RenderableType:
    """Return the summary of a suite: the changes that were not undone, its drills, the path of the report, the next
    ``steps`` and, as the last lines, its verdict. ``short``: True for a terminal, where the lines of the drills name these changes,
    and the next steps undo them; what to do by hand is then only in the report. The lines of the drills also have their retries.
    """
    residue = [] if short else [part for view in views for part in residue_lines(view)]
    return Group(Text(), *residue, suite_ending(suite, views, report, steps, short=short))


def suite_ending(
    suite: SuiteResult,
    views: Sequence[RunView],
    report: str = "",
    steps: Sequence[tuple[str, str]] = (),
    *,
    short: bool = False,
) -> RenderableType:
    """Return the last lines of a suite: its drills with their objectives, the path of the report, the next ``steps``,
    contradictions in its record, the number of drills by verdict, and its verdict. See ``Ending`` for their order. ``short``: see
    ``suite_summary``.
    """
    members = suite_rows(suite, views)
    place = where("" if report else suite.run, report, suite.environment, views)  # the path of the report has the run
    table = Group(suite_table.drills(members, short=short), place)
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


def _of_run(view: RunView) -> VerdictLine:
    result = view.result
    line = _verdict(dead_runs.word_of(result), result.drill, result.title, wording.residue(result), result.exit)
    return replace(line, beside=rehearsal_results.beside_verdict(result))


def _verdict(verdict: str, name: str, title: str, residue: str, status: int) -> VerdictLine:
    shape = {str(key): value for key, value in wording.SHAPES.items()}.get(verdict, "?")
    word = verdict.upper() + (f" WITH {residue.upper()}" if residue else "")
    style = f"bold {COLOURS.get(verdict, 'yellow')}"
    return VerdictLine(
        Text.assemble((f"{shape} {word}", style), (f"  exit {status}", "dim")), one_line(name), one_line(title)
    )


def _objectives(goals: Sequence[ObjectiveRow]) -> RenderableType:
    if not goals:
        return Prose(Text("The drill sets no objectives."), 2, below=1)
    table = table_of("Objectives", "objective", "target", "figure and error", "result")
    for row in goals:
        state = _objective_state(row)
        state.append(f"\n{row.reason}" if row.reason else "", style="default")
        figure = "\n".join(filter(None, (row.measured, row.writes, row.remark)))
        table.add_row(Text(row.name), Text(row.target), Cell(Text(figure)), state)
    if any(row.reason or row.uncounted or len(row.said) > MOST_STATE for row in goals):
        return WholeWords(table, 2, 1)
    table.columns[0].max_width, table.columns[2].min_width = NAMED, MEASURED
    return Padding(table, (0, 0, 1, 2))


def _objective_state(row: ObjectiveRow) -> Text:
    """Return the state of an objective. A figure that does not count is not green."""
    return Text(f"{DOUBTED} {row.said}", style="yellow") if row.uncounted else state_text(row.state, row.said)


def _clocks(view: RunView) -> RenderableType:
    table = table_of("Clocks", "clock", "figure", "from, to")
    table.columns[0].no_wrap = True
    for row in clock_rows.of_run(view):
        figure = f"{'at ' if row.at else ''}{row.figure}{', no sampling error' if row.exact else ''}"
        missing = Text(f"? not measured: {row.reason}", style="yellow")
        table.add_row(Text(row.clock.name), Text(figure) if row.figure else missing, Text(row.span))
    left_out = clock_rows.left_out(view.result)
    return Group(WholeWords(table, 2, 1), *([Prose(Text(left_out), 2, below=1)] if left_out else []))


def _phases(view: RunView) -> RenderableType:
    table = table_of("Phases", "phase", "status", "took", "steps")
    for phase in phase_rows(view):
        time = phase.took or ("" if phase.state == wording.NO_STEPS else "not measured")
        states = [step_texts.state(step.result.status) for step in phase.steps]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
        table.add_row(Text(one_line(phase.name)), state_text(phase.state), Text(time), Text(counts or "none"))
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
    if not findings:
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


def residue_lines(view: RunView, *, failed: bool = False) -> list[RenderableType]:
    """Return the command that undoes the changes that are not undone, and lines about each of them: why, and how to undo it by hand.
    ``failed``: True right after a recovery that failed; its last line then has the command.
    """
    closed = view.result.settled
    parts: list[RenderableType] = []
    if closed:
        lines = [rows.settled_sentence(closed), *(f"- {text}" for text in rows.settled_rows(closed))]
        parts.append(Prose(Text("\n".join(one_line(line) for line in lines)), 2, below=1))
    if view.result.open_residue and not failed:
        command = f"{program()} drill.recover {one_line(view.result.run)}"
        parts.append(Prose(Text(f"to undo the changes: {command}"), 2, below=1))
    for residue in view.result.residue:
        parts += [
            finding_room.change_left(view, residue),
            Prose(
                Text(f"{'why the run left the change' if closed else 'why'}: {shown(as_called(residue.why))}"),
                4,
                below=int(bool(closed)),
            ),
        ]
        parts += (
            [] if closed else [_by_hand(residue_state.by_hand(view, residue), "it fails again" if failed else "this fails")]
        )
    return parts


def _by_hand(told: str, case: str) -> Prose:
    """Return the instructions ``told`` to undo a change by hand in this ``case``. Lines with commands are never broken."""
    text = Text(f"only if {case}, by hand:\n{shown(as_called(told))}")
    return Prose(text, 4, below=1, verbatim=residue_state.has_commands(told))


def where(run: str, report: str, environment: str, views: Sequence[RunView]) -> Group:
    """Return lines with the environment, the name of the run, and the path of its report."""
    known = wording.environment(environment, [view.plan.get("inventory") for view in views])
    lines = [("environment", known), ("run", one_line(run)), ("report", one_line(report))]
    return Group(*(Prose(Text(text), 2, label=Text(f"{name} ", style="dim")) for name, text in lines if text))
