"""Reports as HTML: one file for each run or suite, without scripts or external resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.findings import Finding
from drillbook.judge.result import Result, RunView, SuiteResult
from drillbook.language.lists import leading
from drillbook.report import (
    changes,
    clock_rows,
    cut_short,
    dead_runs,
    diagnosis,
    earlier_findings,
    end_state,
    growth,
    headlines,
    html_steps,
    later_outages,
    losses,
    next_steps,
    pages,
    probe_notes,
    recovery_rows,
    rehearsal_results,
    remarks,
    residue_state,
    rows,
    run_record,
    suite_steps,
    suites,
    timeline,
    tolerated,
    wording,
)
from drillbook.report.html_steps import Where
from drillbook.report.moments import clock_note, course, ends
from drillbook.report.objective_figures import LATEST_NOTE
from drillbook.report.phases import PhaseRow, phase_rows
from drillbook.report.rows import ObjectiveRow

BAR = 260.0
MOST_FINDINGS = 7
"""Largest number of findings that are listed in the head of a suite's page."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Bar of an objective, in pixels.

    ``width``: width of the measurement. The other fields are the target, and the lower and upper end of the error.
    """

    width: float
    target: float
    low: float
    high: float


def render(view: RunView) -> str:
    """Render ``report.html`` of one run."""
    drawings = [("wide", timeline.WIDE), ("narrow", timeline.NARROW)] if _has_timeline(view) else []
    close_up = timeline.wants_close_up(view)
    phases = phase_rows(view)
    anchors = _anchors(phases)
    return (
        pages.environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            result=view.result,
            reason=headlines.reason(view),
            story=headlines.story(view, beside=True),
            residue=wording.residue(view.result),
            findings=residue_state.findings(view, rows.findings_of(view.result)),
            closed=closed(view.result),
            objectives=rows.rows_of(view.result),
            bar=bar,
            nothing=rows.nothing_measured(view),
            notes=rows.note_rows(view),
            **_clocks(view),
            backup_rows=rehearsal_results.rows(view.result),
            moments=rows.moment_rows(view),
            contacts=rows.contact_rows(view),
            contradictions=rows.contradictions(view),
            **_record(view),
            drawings=[(name, timeline.draw(view, width)) for name, width in drawings],
            close_ups=[(name, timeline.draw(view, width, close_up=True)) for name, width in drawings] if close_up else [],
            kinds=_kinds(view),
            later_outages=later_outages.later_outages(view),
            diagnosis=_diagnosis(view),
            anchors=anchors,
            steps=html_steps.section(
                view.zero, phases, anchors, _findings(view.result), stop=cut_short.stop_of(view.result)
            ),
            **_first(view),
            **_of_data(view),
        )
    )


def _clocks(view: RunView) -> dict[str, Any]:
    """Return the rows of the clocks with the explanations of their errors, and a sentence about clocks without a row."""
    listed, result = clock_rows.of_run(view), view.result
    return {
        "clock_rows": listed,
        "clocks_left_out": clock_rows.left_out(result),
        "error_notes": wording.error_notes(result, [row.clock.key for row in listed]),
        "errors": {clock.key: clock.error for clock in wording.clocks_of(result)},
    }


def _record(view: RunView) -> dict[str, Any]:
    """Return the content about the record of the run: its plan, its evidence files, and the lines of its journal without a trusted
    signature.
    """
    return {
        "plan_rows": run_record.plan_rows(view),
        "evidence": run_record.evidence_rows(view),
        "unsigned": run_record.unsigned(view),
    }


def _first(view: RunView) -> dict[str, Any]:
    """Return the content before the figures: words beside the verdict, duration, end, state at the end of the run, retries
    and allowed failures, owner, next commands, changes since the last run, findings before a recovery, and recoveries.
    """
    return {
        "beside_verdict": rehearsal_results.beside_verdict(view.result),
        "course": course(view),
        "ended": ends(view),
        "earlier_findings": earlier_findings.sentence(view),
        "recoveries": recovery_rows.tables(view),
        "recovery_note": recovery_rows.NOTE,
        "residue_state": residue_state,
        "residue_heading": residue_state.heading(view),
        "residue_meaning": residue_state.meaning(view),
        "end_state": end_state.lead(view),
        "end_details": end_state.details(view),
        "failed_step": (step := end_state.failed_step(view)),
        "failed_words": end_state.words(step) if step else "",
        "environment_note": wording.of_environment([view.plan.get("inventory")]),
        "tolerated": tolerated.summary(view),
        "tolerated_steps": tolerated.details(view),
        "owner": run_record.owner(view),
        "next_steps": next_steps.in_report(view),
        "changes": (changes.lead(view), changes.change_rows(view), changes.NOTE),
    }


def _of_data(view: RunView) -> dict[str, Any]:
    """Return the growth of the measured services, the losses of data that steps measured, and the notes about probes.

    The notes below the tables of growth and losses are included.
    """
    return {
        "growth": growth.growth_rows(view.result.capacity),
        "growth_note": growth.note(view.result.capacity),
        "losses": losses.loss_rows(view),
        "losses_note": losses.NOTE,
        "probe_notes": probe_notes.probe_notes(view),
        "latest_note": LATEST_NOTE,
        "clock_note": clock_note(view),
    }


def _anchors(phases: Sequence[PhaseRow]) -> dict[Where, str]:
    """Return the HTML id of each step on each host. The key of each entry is the pair of step and host.

    Each id contains a number instead of the step's name, because names may contain any character.
    """
    steps = [step.result for phase in phases if not phase.repeated for step in phase.steps]
    return {(step.id, step.host): f"step-{number}" for number, step in enumerate(steps, 1)}


def _findings(result: Result) -> dict[Where, list[Finding]]:
    """Return the findings of each step and host."""
    findings: dict[Where, list[Finding]] = {}
    for finding in rows.findings_of(result):
        findings.setdefault((finding.step, finding.host), []).append(finding)
    return findings


def closed(result: Result) -> tuple[str, list[str]] | None:
    """Return a sentence and rows about changes that could not be undone. A person then declared that they need no undo.

    The result is None when there are no such changes.
    """
    return (rows.settled_sentence(result.settled), rows.settled_rows(result.settled)) if result.settled else None


def _diagnosis(view: RunView) -> tuple[str, list[diagnosis.CauseRow], tuple[str, ...]] | None:
    """Return the sentence, the causes and the open questions of the diagnosis.

    The result is None when the drill plans no diagnosis.
    """
    result = view.result.diagnosis
    return (diagnosis.lead(result), diagnosis.cause_rows(result), result.why) if result else None


def render_suite(suite: SuiteResult, views: Sequence[RunView]) -> str:
    """Render ``report.html`` of a suite."""
    drills = suites.suite_rows(suite, views)
    grave, more_grave = leading(suites.suite_findings(drills), MOST_FINDINGS)
    return (
        pages.environment()
        .get_template("suite.html.j2")
        .render(
            suite=suite,
            sentence=suites.suite_sentence(drills),
            environment_note=wording.of_environment(view.plan.get("inventory") for view in views),
            legend=remarks.legend(objective.mark for row in drills for objective in row.objectives),
            not_routine=remarks.NOT_ROUTINE if any(row.not_routine for row in drills) else "",
            findings_of=dead_runs.told_once(views, rows.findings_of),
            owner_of=run_record.owner,
            rows=drills,
            grave=grave,
            more_grave=more_grave,
            next_steps=suite_steps.in_suite(suite, views),
            bar=bar,
            closed=closed,
            residue_state=residue_state,
            contradictions=suites.suite_contradictions(suite, drills),
            confusion=diagnosis.confusion(views),
        )
    )


def bar(row: ObjectiveRow) -> Bar | None:
    """Make the bar of an objective. Return None when the measurement or the target is missing.

    Return None also when some data is known to be lost, and the figure possibly does not include this loss. A bar would
    make the figure look like the whole loss.
    """
    if row.measured_s is None or row.target_s <= 0 or row.lost:
        return None
    error = row.error_s or 0.0
    scale = BAR / (max(row.target_s, row.measured_s + error) * 1.05)
    return Bar(
        max(row.measured_s * scale, 1.5),
        row.target_s * scale,
        max(row.measured_s - error, 0) * scale,
        row.highest_s * scale,
    )


def _has_timeline(view: RunView) -> bool:
    return bool(view.timeline.phases or view.timeline.probes)


def _kinds(view: RunView) -> list[tuple[str, str]]:
    """Return the kinds of spans in the timeline with their meaning, for its legend. Kinds that look alike share an entry."""
    kinds = {
        "unproven" if track.error and span.label == "kept" else span.label
        for track in view.timeline.probes
        for span in track.stretches
    }
    words = {kind: word for kind, word in timeline.WORDS.items() if kind in kinds}
    if "good" in words and "kept" in words:
        words["good"] += f", or {words.pop('kept')}"
    return list(words.items())
