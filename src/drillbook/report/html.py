"""Reports as HTML: one file each, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.judge.result import Result, RunView, SuiteResult
from drillbook.report import diagnosis, growth, pages, record, rows, suites, timeline, wording
from drillbook.report.rows import ObjectiveRow

BAR = 260.0


@dataclass(frozen=True, slots=True)
class Bar:
    """An objective as a bar: the measurement and its error against the target, in pixels."""

    width: float
    target: float
    low: float
    high: float


def render(view: RunView) -> str:
    """``report.html`` of one run."""
    drawings = [("wide", timeline.WIDE), ("narrow", timeline.NARROW)] if _has_timeline(view) else []
    close_up = timeline.wants_close_up(view)
    return (
        pages.environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            result=view.result,
            sentence=wording.sentence(view),
            residue=wording.residue(view.result),
            closed=closed(view.result),
            objectives=rows.objective_rows(view.result.objectives),
            bar=bar,
            nothing=rows.nothing_measured(view),
            notes=rows.note_rows(view),
            growth=growth.growth_rows(view.result.capacity),
            growth_note=growth.NOTE,
            clock_rows=rows.clock_rows(view.result),
            phases=rows.phase_rows(view),
            moments=rows.moment_rows(view),
            contacts=rows.contact_rows(view),
            contradictions=rows.contradictions(view),
            plan_rows=record.plan_rows(view),
            evidence=record.evidence_rows(view),
            drawings=[(name, timeline.draw(view, width)) for name, width in drawings],
            close_ups=[(name, timeline.draw(view, width, close_up=True)) for name, width in drawings] if close_up else [],
            kinds=_kinds(view),
            words=timeline.WORDS,
            command_line=record.command_line,
            command_outcome=record.command_outcome,
            cut=record.cut,
            diagnosis=_diagnosis(view),
            clocks=wording.clocks_of(view.result),
        )
    )


def closed(result: Result) -> tuple[str, list[str]] | None:
    """Closing of the residue with the answer of each proof; None when nobody closed it."""
    return (rows.settled_sentence(result.settled), rows.settled_rows(result.settled)) if result.settled else None


def _diagnosis(view: RunView) -> tuple[str, list[diagnosis.CauseRow], tuple[str, ...]] | None:
    """Sentence, causes and what was not known; None when the drill plans no diagnosis."""
    found = view.result.diagnosis
    return (diagnosis.sentence(found), diagnosis.cause_rows(found), found.why) if found else None


def render_suite(suite: SuiteResult, views: Sequence[RunView]) -> str:
    """``report.html`` of a suite."""
    found = suites.suite_rows(suite, views)
    return (
        pages.environment()
        .get_template("suite.html.j2")
        .render(
            suite=suite,
            sentence=suites.suite_sentence(found),
            rows=found,
            bar=bar,
            closed=closed,
            contradictions=suites.suite_contradictions(suite, found),
            confusion=diagnosis.confusion(views),
        )
    )


def bar(row: ObjectiveRow) -> Bar | None:
    """The bar of an objective; None without a measurement or a target to hold it against."""
    if row.measured_s is None or row.target_s <= 0:
        return None
    error = row.error_s or 0.0
    scale = BAR / (max(row.target_s, row.measured_s + error) * 1.05)
    return Bar(
        max(row.measured_s * scale, 1.5),
        row.target_s * scale,
        max(row.measured_s - error, 0) * scale,
        (row.measured_s + error) * scale,
    )


def _has_timeline(view: RunView) -> bool:
    return bool(view.timeline.phases or view.timeline.probes)


def _kinds(view: RunView) -> list[str]:
    """Kinds of stretches that the timeline shows, for its key."""
    found = {
        "unproven" if track.error and span.label == "kept" else span.label
        for track in view.timeline.probes
        for span in track.stretches
    }
    return [kind for kind in timeline.WORDS if kind in found]
