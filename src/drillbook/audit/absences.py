"""Runs and suites in an audit whose verdict is unknown.

A run is included when its folder is missing, but another record names the run. A suite is included when its end was not
recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.audit.chain import Problem
from drillbook.audit.period import Period
from drillbook.audit.suites import Suite
from drillbook.report.folders import begun
from drillbook.sdk.run_names import drill_of

MISSING, NO_END = "missing", "no end"


@dataclass(frozen=True, slots=True)
class AbsentRow:
    """A run or suite without a verdict."""

    kind: str
    """``missing``: the folder of a run, or the end of a journal, is missing. ``no end``: the end of a suite was not recorded."""
    run: str
    """Name of the run or suite. It is empty when only its hash is known."""
    drill: str
    at: str
    """Start of the run or suite. It is empty when unknown."""
    named_by: str
    """Record that shows that the missing run existed: an anchor, a campaign, a suite, or the next run, whose journal contains
    a hash of the missing journal. It is empty when ``kind`` is ``no end``.
    """
    why: str
    repeated: str = ""
    """Newest later run of the same suite whose end was recorded. It is empty in two cases: there is no such run, or ``kind``
    is ``missing``.
    """


def absences(problems: Sequence[Problem], suites: Sequence[Suite], period: Period) -> list[AbsentRow]:
    """Return a row for each missing run, and for each suite that began in the period and has no recorded end. The oldest row
    comes first.

    ``problems``: problems of the record. A problem about a missing run also names the record that mentions this run.
    """
    names: dict[str, dict[str, Problem]] = {}
    for problem in problems:
        if problem.named_by:
            names.setdefault(problem.run if problem.lost else f"{problem.code} {problem.run}", {})[problem.named_by] = (
                problem
            )
    rows = [
        *(_missing(list(name.values())) for name in names.values()),
        *(_no_end(suite, suites) for suite in suites if not suite.ended and period.holds(suite.started or None)),
    ]
    return sorted(rows, key=lambda row: (row.at, row.run, row.named_by))


def _missing(problems: Sequence[Problem]) -> AbsentRow:
    """Return the row of one missing run or suite. ``problems``: problems about it, one for each record that names it."""
    first = problems[0]
    suite = first.code == "anchor-missing" and not first.lost
    run = first.run if first.lost or suite else ""
    lost = (
        f"the folder of this {'suite' if suite else 'run'} is missing"
        if run
        else "either the folder of this run or the end of its journal is missing"
    )
    named_by = " and ".join(sorted(problem.named_by for problem in problems))
    verb = "names" if len(problems) == 1 else "name"
    return AbsentRow(MISSING, run, drill_of(run), begun(run), named_by, f"{named_by} {verb} it, but {lost}")


def _no_end(suite: Suite, suites: Sequence[Suite]) -> AbsentRow:
    why = "the suite has no recorded end: it is still in progress, or its controller died; perhaps some of its drills did not run"
    later = max(
        (other.run for other in suites if other.ended and other.name == suite.name and other.started > suite.started),
        default="",
    )
    again = f"; a later run of this suite ended: {later}" if later else ""
    return AbsentRow(NO_END, suite.run, suite.name, suite.started, "", f"{why}{again}", later)
