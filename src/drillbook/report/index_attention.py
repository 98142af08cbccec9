"""List of the drills that need attention. It is at the top of the index.

Drills that were refused because of the same unfinished run share one entry of the list, because the command that recovers this run
helps all of them.
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
    the unfinished run ``refused_by``. ``command``: command that recovers this run. The command is empty if the run has been
    recovered since.
    """

    drills: tuple[DrillTrends, ...]
    refused_by: str = ""
    command: str = ""


def attention(trends: Sequence[DrillTrends], listed: Sequence[Row]) -> list[Attention]:
    """Return the drills of ``trends`` that need attention, the worst verdict first. ``listed``: all runs of the index."""
    needed = sorted(filter(_needed, trends), key=lambda trend: -wording.badness(trend.last.entry.verdict))
    groups: dict[str, list[DrillTrends]] = {}
    for trend in needed:
        groups.setdefault(_refused_by(trend.last.entry) or f"{trend.name} {trend.environment}", []).append(trend)
    entry_by_run = {row.entry.run: row.entry for row in listed}
    return [_entry(drills, entry_by_run.get(_refused_by(drills[0].last.entry))) for drills in groups.values()]


def _entry(drills: Sequence[DrillTrends], unfinished: IndexEntry | None) -> Attention:
    """Return the entry of ``drills``. ``unfinished``: the unfinished run because of which ``drills`` were refused. It is None
    if the index does not list this run.
    """
    refused_by = _refused_by(drills[0].last.entry)
    left = (
        unfinished is None or unfinished.verdict == UNFINISHED or (unfinished.exit == Exit.RESIDUE and not unfinished.closed)
    )
    command = f"{program()} drill.recover {refused_by}" if refused_by and left else ""
    return Attention(tuple(drills), refused_by, command)


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
