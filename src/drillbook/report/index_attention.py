"""List of the drills that need attention. It is at the top of the index.

A drill whose run is unfinished or left changes, and the drills that were refused because of this run, share one entry of the list,
because the command that recovers the run helps all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.report import dead_runs, wording
from drillbook.report.index_entries import RUNNING, DrillTrends, IndexEntry, Row


@dataclass(frozen=True, slots=True)
class Attention:
    """Entry of the list of drills that need attention. ``drills``: one drill, or all drills that were refused because of
    the unfinished run ``refused_by``. ``command``: command that recovers this run, or the newest run of the only drill if it left
    changes. The command is empty if nothing is left to recover.
    """

    drills: tuple[DrillTrends, ...]
    refused_by: str = ""
    command: str = ""
    refused: tuple[DrillTrends, ...] = ()
    """Drills that were refused because of the newest run of the only drill in ``drills``."""


def attention(trends: Sequence[DrillTrends], listed: Sequence[Row]) -> list[Attention]:
    """Return the drills of ``trends`` that need attention, the worst verdict first. ``listed``: all runs of the index."""
    needed = sorted(filter(_needed, trends), key=lambda trend: -wording.badness(trend.last.entry.verdict))
    groups: dict[str, list[DrillTrends]] = {}
    for trend in needed:
        groups.setdefault(_cause(trend), []).append(trend)
    entry_by_run = {row.entry.run: row.entry for row in listed}
    return [_entry(drills, entry_by_run.get(_refused_by(drills[0].last.entry))) for drills in groups.values()]


def _cause(trend: DrillTrends) -> str:
    """Return the name of the run that must be recovered before the drill can run. Without one, return the name of the drill."""
    last = trend.last.entry
    return _refused_by(last) or (
        last.run if last.verdict == UNFINISHED or last.left else f"{trend.name} {trend.environment}"
    )


def _entry(drills: Sequence[DrillTrends], unfinished: IndexEntry | None) -> Attention:
    """Return the entry of ``drills``. ``unfinished``: the unfinished run because of which ``drills`` were refused. It is None
    if the index does not list this run.
    """
    own = next((drill for drill in drills if not _refused_by(drill.last.entry)), None)
    if own is not None:
        last, others = own.last.entry, tuple(drill for drill in drills if drill is not own)
        return Attention((own,), command=_recover(last.run) if last.left else "", refused=others)
    refused_by = _refused_by(drills[0].last.entry)
    open_ = unfinished is None or unfinished.verdict == UNFINISHED or unfinished.left
    return Attention(tuple(drills), refused_by, _recover(refused_by) if open_ else "")


def _recover(run: str) -> str:
    return f"{program()} drill.recover {run}"


def _refused_by(entry: IndexEntry) -> str:
    """Return the name of the unfinished run that caused the refusal of the run ``entry``. The name is empty if the run
    ``entry`` was not refused, or if it has other findings, too."""
    if entry.verdict != Verdict.REFUSED or any(finding.code != dead_runs.CODE for finding in entry.findings):
        return ""
    return next(iter(dead_runs.in_the_way(entry.findings)), "")


def _needed(trends: DrillTrends) -> bool:
    """Return True when the last run of a drill did not pass, left changes, or has a finding of medium severity or higher.

    A run in progress needs no attention.
    """
    last = trends.last.entry
    return last.verdict != RUNNING and (last.verdict != Verdict.PASSED or last.exit != Exit.OK or bool(last.findings))
