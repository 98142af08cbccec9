"""Report rows about the losses of data that a run measured. They are for a comparison of backup methods."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.judge.result import RunView, StepView
from drillbook.report import remarks
from drillbook.report.figures import figure, shown
from drillbook.report.markdown_syntax import escape, table

NOTE = (
    "A loss is the time from the newest data in the backup to the moment at which the data was lost. If a step names no "
    "such moment, the time of the step is used. The column Basis names the clock from which the time of the newest data "
    "was taken. The error tells by how much this time may be wrong."
)


@dataclass(frozen=True, slots=True)
class LossRow:
    """Texts about one measured loss.

    The texts are: backup method, step, loss with its error, time of the newest data, and source of that time.
    """

    method: str
    loss: str
    newest: str
    basis: str


def loss_rows(view: RunView) -> list[LossRow]:
    """Return the rows about losses.

    The drill's own restore comes first. The steps that measured a loss follow, the smallest loss first.
    """
    found = sorted((step for step in view.steps if _measured(step)), key=lambda step: float(step.result.facts["loss_s"]))
    return [*_own(view), *map(_row, found)] if found else []


def _own(view: RunView) -> list[LossRow]:
    """Return a list with the row of the drill's own restore. Its loss is the RPO.

    The list is empty when the RPO was not measured.
    """
    clocks = view.result.clocks
    loss, error = clocks.get("rpo_s"), clocks.get("rpo_error_s")
    rpo = view.result.objectives.get("rpo")
    basis = rpo.clock if rpo else "acknowledged writes"
    return [] if loss is None else [LossRow("The drill's own restore (RPO)", figure(loss, error), "", basis)]


def section(view: RunView) -> list[str]:
    """Return a section of a Markdown report. The result is empty when no step measured a loss."""
    rows = [tuple(map(escape, (row.method, row.loss, row.newest, row.basis))) for row in loss_rows(view)]
    return ["## What would be lost", table(("Method", "Loss", "Newest moment", "Basis"), rows), escape(NOTE)] if rows else []


def _measured(step: StepView) -> bool:
    facts = step.result.facts
    measured = isinstance(facts.get("loss_s"), int | float) and "basis" in facts and not remarks.printed(facts)
    return step.result.status == "done" and measured


def _row(step: StepView) -> LossRow:
    facts, error = step.result.facts, step.result.facts.get("error_s")
    return LossRow(
        f"{step.name or step.result.action} ({step.result.id})",
        figure(float(facts["loss_s"]), float(error) if isinstance(error, int | float) else None),
        shown(facts.get("newest_moment", "")),
        shown(facts["basis"]),
    )
