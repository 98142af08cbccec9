"""Lines of the lists about findings: those of a drill's newest run, and data that an earlier run lost. Each line ends with the
command that opens the report of that run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from drillbook.installation.program_name import program
from drillbook.judge.verdicts import Verdict, without_refused
from drillbook.report.figures import one_line

if TYPE_CHECKING:
    from drillbook.project.newest_runs import Ended
    from drillbook.report.earlier_losses import Loss

MOST = 3
"""Largest number of drills whose earlier losses the list of runs names. ``drill.list`` names all."""


def below(run: str, findings: str, losses: Sequence[Loss]) -> list[str]:
    """Return the lines below the row of a drill. ``run``: name of the drill, or part of the name of the run that the row shows, if
    the drill's name does not select this run. ``findings``: number of open findings of the run, or an empty text. ``losses``: data
    that earlier runs lost.
    """
    opened = f"! {findings} open: {program()} report.open {one_line(run)}" if findings else ""
    return list(filter(None, (opened, f"! {_lost(losses)}" if losses else "")))


def below_runs(results: Iterable[Ended]) -> list[str]:
    """Return the lines below the list of the runs ``results``: those about the newest run of each drill whose earlier runs in
    the list lost data.
    """
    runs: dict[tuple[str, str], list[Ended]] = {}
    for result in sorted(results, key=lambda result: result.run, reverse=True):
        runs.setdefault((result.name, result.environment), []).append(result)
    lossy = [(name, losses) for (name, _), ended in runs.items() if (losses := _losses(ended))]
    return [f"! {one_line(name)}: {_lost(losses)}" for name, losses in lossy[:MOST]]


def _losses(runs: Sequence[Ended]) -> tuple[Loss, ...]:
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    shown = without_refused(runs)
    return earlier_losses.of_states([(run.state, run.verdict == Verdict.PASSED) for run in shown])


def _lost(losses: Sequence[Loss]) -> str:
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast
    from drillbook.report.objective_figures import with_signs  # noqa: PLC0415  keeps start-up fast

    return f"{with_signs(earlier_losses.told(losses))}: {program()} report.open {losses[0].name}"
