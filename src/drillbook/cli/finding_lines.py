"""Lines of the lists about findings: those of a drill's newest run, and data that this run or an earlier one lost. Each line ends
with the command that opens the report of that run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from drillbook.installation.program_name import program
from drillbook.judge.verdicts import Verdict, without_refused
from drillbook.report.figures import one_line
from drillbook.sdk.run_names import short

if TYPE_CHECKING:
    from drillbook.project.newest_runs import Ended, Standing
    from drillbook.report.earlier_losses import Loss

MOST = 3
"""Largest number of lines about lost data below the list of runs. ``drill.list`` has all."""


def below(run: str, findings: str, lost: str, losses: Sequence[Loss]) -> list[str]:
    """Return the lines below the row of a drill. ``run``: name of the drill, or part of the name of the run that the row shows, if
    the drill's name does not select this run. ``findings``: number of open findings of the run, or an empty text. ``lost``: clause
    about data that this run lost, or an empty text. ``losses``: data that earlier runs lost.
    """
    told = ", ".join(filter(None, (f"{findings} open" if findings else "", _signs(lost))))
    opened = f"! {told}: {program()} report.open {one_line(run)}" if told else ""
    return list(filter(None, (opened, f"! {_lost(losses)}" if losses else "")))


def below_drill(name: str, standing: Standing) -> list[str]:
    """Return the lines below the row of the drill or suite ``name``, of which lists show ``standing``."""
    last = standing.last
    return below(standing.last_name or name, last.beside, last.lost, standing.losses)


def below_runs(results: Iterable[Ended]) -> list[str]:
    """Return the lines below the list of the runs ``results``, for each drill whose runs in the list lost data: one about the newest
    run, and one about the earlier runs of which the newest does not tell. If there are too many lines, those about newest runs are
    left out first, because their rows have the mark ``§``. A suite has no line, because its drills have theirs.
    """
    runs: dict[tuple[str, str], list[Ended]] = {}
    for result in sorted(results, key=lambda result: result.run, reverse=True):
        runs.setdefault((result.name, result.environment), []).append(result)
    shown = [without_refused(ended) for ended in runs.values()]
    earlier = [_losses(ended) for ended in shown]
    room, lines = MOST - sum(map(bool, earlier)), []
    for (newest, *_), losses in zip(shown, earlier, strict=True):
        if newest.lost and not newest.suite and room > 0:  # the drills of a suite have rows of their own
            room -= 1
            lines += below(short(newest.run), "", newest.lost, ())
        lines += [f"! {one_line(newest.name)}: {_lost(losses)}"] if losses else []
    return lines[:MOST]


def _losses(runs: Sequence[Ended]) -> tuple[Loss, ...]:
    from drillbook.report.earlier_losses import Loss, superseded  # noqa: PLC0415  keeps start-up fast

    lossy = superseded(runs, lambda run: run.lost, lambda run: run.verdict == Verdict.PASSED)
    return tuple(Loss(run.run, run.started, run.lost) for run in lossy)


def _lost(losses: Sequence[Loss]) -> str:
    from drillbook.report import earlier_losses  # noqa: PLC0415  keeps start-up fast

    return f"{_signs(earlier_losses.told(losses))}: {program()} report.open {losses[0].name}"


def _signs(lost: str) -> str:
    if not lost:
        return ""
    from drillbook.report.objective_figures import with_signs  # noqa: PLC0415  keeps start-up fast

    return with_signs(lost)
