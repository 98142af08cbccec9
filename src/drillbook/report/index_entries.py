"""Entries of the index of runs: a run, its row in the table, and the trends of a drill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.judge.result import Objective
from drillbook.judge.verdicts import UNFINISHED, Verdict
from drillbook.report import open_findings, rehearsal_results
from drillbook.report.earlier_losses import Loss, of_drills, told
from drillbook.report.remarks import Remark
from drillbook.report.rows import ObjectiveRow
from drillbook.sdk.run_names import short

RUNNING = "running"
"""Word for a run in progress."""
UNKNOWN = {UNFINISHED: "not known: the run did not end", RUNNING: "not known yet"}
"""Texts in place of the figures of a run without an end. The key of each entry is the verdict."""
LEAST_POINTS = 3
"""Smallest number of runs in a drawing. Two runs show no trend."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One run in the index.

    ``href``: link to the run, relative to the folder of reports; ``children``: the drills of a suite.
    """

    run: str
    kind: str
    name: str
    title: str
    environment: str
    verdict: str
    exit: int
    started: str
    seconds: float | None
    objectives: Mapping[str, Objective]
    href: str
    children: tuple[IndexEntry, ...] = field(default=())
    closed: str = ""
    """Name of the person who closed the run's remaining changes. It is empty when nobody closed them."""
    note: str = ""
    """Note about a run that has not ended, such as the command that undoes its changes. It is shown in place of an exit
    status.
    """
    tolerated: str = ""
    """Text about allowed failures, shown beside the verdict. It is empty when no failure was allowed."""
    remarks: Mapping[str, Remark] = field(default_factory=dict)
    """Remarks on the figures. The key of a remark is the key of its objective."""
    service: str = ""
    """Service that the drill breaks or rehearses. It is empty for a suite, and for a run without a result."""
    findings: tuple[Finding, ...] = field(default=())
    """Findings of medium severity or higher, the worst first. A suite has the findings of its drills that began."""
    reason: str = ""
    """Reason of the verdict. It is empty for a run that passed, and for a run without a result."""
    rehearsed: rehearsal_results.Brief | None = None
    """Figures of a rehearsal, which is a run that restores a backup and injects no fault. The value is None for any other run.
    """
    recovered: str = ""
    """Time at which a later recovery of the run ended. It is empty if there was no recovery."""

    @property
    def lost(self) -> str:
        """Clause about data that did not come back in the run, such as ``at least 12 rows lost``, or an empty text. That of a suite
        names the drill.
        """
        if self.kind == "suite":
            return of_drills((child.name, child.lost) for child in self.children)
        remark = self.remarks.get("rpo")
        return remark.lost if remark else ""

    @property
    def lost_beside(self) -> str:
        """The clause ``lost``, to show beside the verdict. It is empty if the run passed and its RPO has this clause before it."""
        rpo = self.objectives.get("rpo")
        return "" if self.verdict == Verdict.PASSED and rpo is not None and rpo.measured_s is not None else self.lost

    @property
    def short_name(self) -> str:
        """Part of the run's name that selects this run, such as ``table-dropped-3f2a``, as lists on a terminal name it."""
        return short(self.run)

    @property
    def not_routine(self) -> str:
        """Sign and words beside the verdict of a rehearsal that passed, but restored no routine backup. Otherwise empty."""
        return self.rehearsed.at_verdict if self.verdict == Verdict.PASSED and self.rehearsed is not None else ""

    @property
    def left(self) -> bool:
        """True if the run left changes, and nobody closed them."""
        return self.exit == Exit.RESIDUE and not self.closed

    @property
    def undone_later(self) -> bool:
        """True if a later recovery of the run left no change, and nobody had to close changes."""
        return bool(self.recovered) and self.exit != Exit.RESIDUE and not self.closed

    @property
    def unknown(self) -> str:
        """Text to show in place of the figures of a run without a result. It is empty for a run with a result."""
        return UNKNOWN.get(self.verdict, "")

    @property
    def beside(self) -> str:
        """Text with the number of findings of medium severity or higher, to show beside the verdict. The text is empty for a
        run that never began.
        """
        return open_findings.in_list(self.verdict, self.findings)

    @property
    def worst(self) -> str:
        """Title of the worst finding in ``findings``, and the number of the other findings. ``findings`` must not be
        empty.
        """
        return open_findings.first(self.findings)


@dataclass(frozen=True, slots=True)
class Known:
    """A drill or suite of the project, as its file describes it."""

    suite: bool = False
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the table for a run, or for one drill of a suite when ``child`` is True."""

    entry: IndexEntry
    child: bool
    href: str | None
    rto: ObjectiveRow | None
    rpo: ObjectiveRow | None
    rehearsed: rehearsal_results.Brief | None


@dataclass(frozen=True, slots=True)
class Point:
    """A run in the drawing of a trend. A run without a figure is drawn as a cross on the base line. A run with a figure that
    proves nothing is drawn as a hollow point.
    """

    x: float
    y: float
    kind: str


@dataclass(frozen=True, slots=True)
class Trend:
    """Trend of one objective of one drill over its runs."""

    title: str
    description: str
    points: tuple[Point, ...]
    lines: tuple[str, ...]
    goal: float | None
    latest: ObjectiveRow
    width: float
    scale: str
    """Value at the upper edge of the drawing. The lower edge is 0."""
    entry: IndexEntry
    """Run of the figure ``latest``."""

    @property
    def drawn(self) -> bool:
        """True when there are enough runs for a drawing."""
        return len(self.points) >= LEAST_POINTS


@dataclass(frozen=True, slots=True)
class DrillTrends:
    """Trends of one drill in one environment."""

    name: str
    environment: str
    runs: int
    last: Row
    """The newest run of the drill in this environment. A refused run does not stand for a run before it that did not end well."""
    figures: Row
    """The newest run that passed or failed, or else the newest run that took place and has a result, or else ``last``."""
    passed: str
    """Start of the newest run that passed and undid all its changes. It is empty when there is no such run."""
    rto: Trend | None
    rpo: Trend | None
    lossy: tuple[Row, ...] = ()
    """Earlier runs that lost data, newest first, of which the newest run does not tell; see ``earlier_losses``."""

    @property
    def lost(self) -> str:
        """Phrase about ``lossy``, or an empty text."""
        return told([Loss(row.entry.run, row.entry.started, row.entry.lost) for row in self.lossy])

    @property
    def loss_in_rpo(self) -> bool:
        """True if the figure of the RPO is that of the newest run, and begins with the data that this run lost."""
        return self.rpo is not None and self.rpo.entry.run == self.last.entry.run and bool(self.rpo.latest.lost)
