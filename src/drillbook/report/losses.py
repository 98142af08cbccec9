"""Report rows about the losses of data that a run measured. They are for a comparison of backup methods."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.judge.result import RunView, StepView
from drillbook.report import rehearsal_results, remarks
from drillbook.report.figures import bounded, error_digits, figure, readable, rounded_up, seconds, shown, took, utc
from drillbook.report.markdown_syntax import escape, table

NOTE = (
    "A loss is the time from the newest data in the backup to the moment at which the data was lost. If a step names no "
    "such moment, the time of the step is used. The column Basis names the clock from which the time of the newest data "
    "was taken. The error tells by how much the time of the newest data may be wrong. The loss may be wrong by the same "
    "amount. A loss of “at most” some time already includes its error. A loss of “at least” some time is a lower limit: the data "
    "may be older by the unknown duration of the backup job."
)


@dataclass(frozen=True, slots=True)
class LossRow:
    """Texts in one row of the table of losses: the backup method with its step, the loss, the time of the newest data, the
    error of this time, and the clock that gave this time.
    """

    method: str
    loss: str
    newest: str
    error: str
    basis: str


def loss_rows(view: RunView) -> list[LossRow]:
    """Return the rows about losses. The drill's own restore comes first. The steps that measured a loss follow, the
    smallest loss first. The result is empty when no step measured a loss."""
    steps = sorted((step for step in view.steps if _measured(step)), key=lambda step: float(step.result.facts["loss_s"]))
    return [*_own(view), *map(_row, steps)] if steps else []


def _own(view: RunView) -> list[LossRow]:
    """Return a list with one row, for the drill's own restore. The loss in this row is the measured RPO.

    The list is empty when the RPO was not measured.
    """
    clocks = view.result.clocks
    loss, error = clocks.get("rpo_s"), clocks.get("rpo_error_s")
    rpo = view.result.objectives.get("rpo")
    basis = rpo.clock if rpo else "acknowledged writes"
    own = "The drill's own restore (RPO)"
    return [] if loss is None else [LossRow(own, figure(loss, error), "", _error(loss, error), basis)]


def section(view: RunView) -> list[str]:
    """Return a section of a Markdown report. The result is empty when no step measured a loss."""
    rows = [tuple(map(escape, (row.method, row.loss, row.newest, row.error, row.basis))) for row in loss_rows(view)]
    head = ("Method", "Loss", "Newest data", "Error", "Basis")
    return ["## What would be lost", table(head, rows), escape(NOTE)] if rows else []


def _measured(step: StepView) -> bool:
    facts = step.result.facts
    measured = isinstance(facts.get("loss_s"), int | float) and "basis" in facts and not remarks.printed(facts)
    return step.result.status == "done" and measured


def _row(step: StepView) -> LossRow:
    facts, told = step.result.facts, step.result.facts.get("error_s")
    loss = float(facts["loss_s"])
    error, newest = float(told) if isinstance(told, int | float) else None, facts.get("newest_moment")
    return LossRow(
        f"{step.name or step.result.action} ({step.result.id})",
        rehearsal_results.at_least(loss, error, str(facts["basis"])) or figure(loss, error),
        utc(str(newest)) if newest else "",
        _error(loss, error),
        readable(shown(facts["basis"])),
    )


def _error(loss: float, error: float | None) -> str:
    """Return the measurement error of a loss as text. If the printed figure of the loss already includes this error,
    the text also gives the measured loss."""
    if not error:
        return "not stated" if error is None else "none"
    digits = error_digits(error)
    text = f"± {seconds(rounded_up(error, digits), digits)}"
    return f"{text}, included; measured: {took(loss)}" if bounded(loss, error) else text
