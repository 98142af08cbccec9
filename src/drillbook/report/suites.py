"""Rows about the drills of a suite. They are made in one place, so that all formats agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from drillbook.exits import Exit
from drillbook.findings import Finding, Severity
from drillbook.journal.run_files import PAGE
from drillbook.judge.result import RunView, SuiteResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import (
    dead_runs,
    earlier_losses,
    headlines,
    lost_data,
    open_findings,
    rehearsal_results,
    residue_state,
    rows,
    tolerated,
    wording,
)
from drillbook.report.figures import count, link, one_line
from drillbook.report.remarks import RESERVED
from drillbook.report.rows import ObjectiveRow

FEW_NAMES = 2
"""Number of drills that a text beside the table of the drills names. More drills are only counted."""


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One drill of a suite; ``view`` is None when the record of its run is missing."""

    number: int
    drill: str
    run: str
    verdict: str
    exit: str
    href: str | None
    objectives: list[ObjectiveRow]
    view: RunView | None
    sentence: str
    tolerated: str = ""
    """Sentence about retries and allowed failures. It is empty when there were none."""
    beside: str = ""
    """Text with the number of findings of medium severity or higher in the drill. It is empty when there are no such findings, and
    for a drill that never began.
    """
    lost: str = ""
    """Clause about data of the service that did not come back, such as ``at least 12 rows lost``. It is empty if there is no such
    data, and if the figure of the RPO begins with this clause.
    """
    not_routine: str = ""
    """Sign and words beside the verdict of a rehearsal that passed, but restored no routine backup. Otherwise empty."""
    rehearsed: rehearsal_results.Brief | None = None
    """Figures of a rehearsal, which is a drill that restores a backup and injects no fault. The value is None for any other
    drill.
    """


def suite_rows(suite: SuiteResult, views: Sequence[RunView]) -> list[SuiteRow]:
    """Return one row for each drill of a suite. ``views``: runs of the suite whose journals exist. A drill without such a
    run has a row without a view.
    """
    by_run = {view.result.run: view for view in views}
    return [_row(number, run, by_run.get(str(run.get("run")))) for number, run in enumerate(suite.runs, 1)]


def _row(number: int, run: dict[str, Any], view: RunView | None) -> SuiteRow:
    folder = link(str(run.get("folder", "")))
    said = str(run.get("verdict", "unknown"))
    missing = SuiteRow(
        number=number,
        drill=str(run.get("drill", "unknown")),
        run=str(run.get("run", "unknown")),
        verdict=_verdict(said, view),
        exit=str(view.result.exit if view else run.get("exit", "unknown")),
        href=f"{folder}/{PAGE}" if folder else None,
        view=view,
        objectives=[],
        sentence=f"The record of this drill is missing. The suite reports {one_line(said)}, and no record here confirms this.",
    )
    return _with_result(missing, view) if view else missing


def _with_result(row: SuiteRow, view: RunView) -> SuiteRow:
    """Add to the row of a drill what its run tells."""
    result, objectives = view.result, rows.rows_of(view.result)
    return replace(
        row,
        objectives=objectives,
        sentence=headlines.sentence(view),
        tolerated=tolerated.summary(view),
        rehearsed=rehearsal_results.brief(result.steps, result.started, broken=bool(result.faults)),
        beside=open_findings.in_list(result.verdict, rows.findings_of(result)),
        lost="" if any(goal.lost for goal in objectives) else earlier_losses.of_result(result),
        not_routine=rehearsal_results.beside_verdict(result),
    )


def _verdict(said: str, view: RunView | None) -> str:
    """Return the verdict to show for one drill of a suite. ``said``: verdict in the suite's own result. ``view``: the
    drill's run, or None if its record is missing.

    A passed drill is shown as ``not verified`` in three cases: its record is missing, its record contradicts the verdict, or
    its run left changes.
    """
    if view is None:
        return wording.NOT_VERIFIED if said == Verdict.PASSED else said
    doubted = rows.contradictions(view) or residue_state.doubts(view)
    return wording.NOT_VERIFIED if doubted else dead_runs.word_of(view.result)


def suite_sentence(members: Sequence[SuiteRow], *, probed: bool = True) -> str:
    """Return sentences that count the drills of a suite by verdict, and their findings of medium severity or higher.

    The sentences also name the drills that lost data within their RPO, and those that met an objective with a reservation.

    ``probed``: True to name also the drills whose fault was detected only by their own probe, and not by an alert. The caller
    passes False if it also prints a table of the drills, because the table shows these detections, and the marks of
    reservations. In this table, an exclamation mark stands beside each drill with open findings. The sentences then explain
    this mark, and count the drills if there are more than ``FEW_NAMES``.
    """
    verdicts = [row.verdict for row in members]
    order = [*map(str, Verdict), *sorted(set(verdicts) - set(map(str, Verdict)))]
    counts = [f"{verdicts.count(verdict)} {one_line(verdict)}" for verdict in order if verdict in verdicts]
    text = f"{count(len(verdicts), 'drill')}: {', '.join(counts) or 'none ran'}."
    if found_in := suite_findings(members):
        where = _named([row.drill for row, _ in found_in], members, probed=probed)
        mark = "" if probed else " (!)"
        graded = ", ".join(open_findings.counts([finding for _, finding in found_in]))
        text += f" Open findings{mark}: {graded}, in {where}{_low(members)}."
    if lossy := [row.drill for row in members if row.view and lost_data.allowed(row.view.result)]:
        text += f" Data lost, less than the RPO allows: {_named(lossy, members, probed=probed)}."
    for key, name in wording.SHORT.items():
        reserved = [(row, goal) for row in members for goal in row.objectives if _reserved(goal, key)]
        for said in dict.fromkeys(goal.said for _, goal in reserved if probed or goal.lost):
            drills = [row.drill + (f" ({goal.lost})" if goal.lost else "") for row, goal in reserved if goal.said == said]
            text += f" {name} {said}: {open_findings.named(drills)}."
    names = [row.drill for row in members if probed and any(objective.by_probe for objective in row.objectives)]
    return text + (f" {wording.PROBE_DETECTION}, which proves no alerting: {open_findings.named(names)}." if names else "")


def _named(drills: Sequence[str], members: Sequence[SuiteRow], *, probed: bool) -> str:
    """Return the names of ``drills``, or their number if the names are in a table beside the text; see ``suite_sentence``."""
    number = len(dict.fromkeys(drills))
    if probed or number <= FEW_NAMES:
        return open_findings.named(drills)
    return f"{number} of {count(len(members), 'drill')}" if number < len(members) else f"all {count(number, 'drill')}"


def _reserved(goal: ObjectiveRow, key: str) -> bool:
    return goal.key == key and goal.state == RESERVED and not goal.uncounted


def _low(members: Sequence[SuiteRow]) -> str:
    """Return a clause with the number of findings of low severity in all drills of a suite, or an empty text if there are none."""
    number = sum(finding.severity is Severity.LOW for row in members for finding in _open_in(row))
    return f"; {number} low" if number else ""


def _open_in(row: SuiteRow) -> list[Finding]:
    """Return the findings of a drill. The list is empty for a drill that never began: its findings are the reasons for this."""
    if row.view is None or not open_findings.is_listed(row.view.result.verdict):
        return []
    return rows.findings_of(row.view.result)


def suite_findings(members: Sequence[SuiteRow]) -> list[tuple[SuiteRow, Finding]]:
    """Return the findings of medium severity or higher in all drills of a suite that began, each with its drill, the worst first."""
    pairs = [(row, finding) for row in members for finding in open_findings.grave(_open_in(row))]
    return sorted(pairs, key=lambda pair: open_findings.GRAVE.index(pair[1].severity))


def suite_contradictions(suite: SuiteResult, members: Sequence[SuiteRow]) -> list[str]:
    """Return the facts that contradict a suite's verdict ``passed``, such as a drill that did not pass. A drill that passed
    with residue is consistent with a suite that passed with residue.
    """
    if suite.verdict is not Verdict.PASSED:
        return []
    if not members:
        return ["no drill was run"]
    told = {row.number for row in members if suite.exit == Exit.RESIDUE and row.view and residue_state.doubts(row.view)}
    wrong = [row for row in members if row.verdict != Verdict.PASSED and row.number not in told]
    return [one_line(f"{row.drill} is {row.verdict}") for row in wrong]
