"""Suites in an audit. A suite has no journal: its folder holds only the runs of its drills. When the suite ends, a
``result.json`` is added.

No journal confirms this file. So it can only show that something is missing, and never improves a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drillbook.audit.chain import Problem
from drillbook.audit.records import Record, Stray
from drillbook.exits import Exit
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.verdicts import Verdict
from drillbook.report.folders import begun, suite_of
from drillbook.sdk.run_names import drill_of


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite, as its folder shows it."""

    folder: str
    """Folder of the suite, relative to the folder of reports."""
    ended: bool
    """True when the suite recorded its end."""
    runs: tuple[str, ...] = ()
    """Names of the runs in the result of the suite."""
    environment: str = ""
    began: str = ""
    """Start of the suite, from its result. It is empty if the suite has no result."""
    passed: bool = False
    """True when the result says that the suite passed and undid all its changes."""

    @property
    def run(self) -> str:
        """Name of the suite's run."""
        return self.folder.rpartition("/")[2]

    @property
    def name(self) -> str:
        """Name of the suite."""
        return drill_of(self.run)

    @property
    def started(self) -> str:
        """Start of the suite, from its name."""
        return begun(self.run)


def find(reports: Path, records: Sequence[Record], strays: Sequence[Stray], runs: RunStates | None = None) -> list[Suite]:
    """Find all suites, oldest first. The folder of a suite contains runs of drills, the result of the suite, or both.
    ``runs``: states of the runs and suites that were read already.
    """
    runs = runs or RunStates()
    inside = {suite_of(record.folder) for record in records if not record.copy_of} - {""}
    bare = {
        stray.folder
        for stray in strays
        if stray.kind == "no-journal" and "suite" in runs.of(reports / stray.folder).result.as_object()
    }
    return sorted(
        (_suite(runs.of(reports / folder), folder) for folder in inside | bare), key=lambda suite: (suite.run, suite.folder)
    )


def _suite(state: RunState, folder: str) -> Suite:
    result = state.result.as_object()
    runs = result.get("runs")
    names = [run.get("run") for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    return Suite(
        folder,
        "suite" in result,
        tuple(name for name in names if isinstance(name, str) and name),
        str(result.get("environment") or ""),
        str(result.get("started") or ""),
        "suite" in result and result.get("verdict") == Verdict.PASSED and result.get("exit") == Exit.OK,
    )


def missing_runs(suites: Iterable[Suite], records: Sequence[Record]) -> Iterator[Problem]:
    """Return a problem for each run that is named in the result of a suite, but has no folder."""
    there = {record.name for record in records}
    for suite in suites:
        for run in suite.runs:
            if run not in there:
                at = begun(run) or suite.started or None
                text = f"the suite {suite.run} names the run {run}, but its folder is missing"
                yield Problem("suite-run", run, text, True, at, at, lost=True, named_by=f"the suite {suite.run}")
