"""One service in the summary for management: its state, its proven objectives, and its figures."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.audit import rehearsal_figures, unproven_reasons
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.rehearsal_figures import RehearsedRow
from drillbook.audit.service_groups import NAMES, Group
from drillbook.judge.verdicts import Verdict
from drillbook.report import open_findings
from drillbook.report.figures import count, one_line

NEVER = "never drilled"
BESIDE_LETTERS = 24
"""Number of letters of a text about missed objectives that fit in a line of a dense table."""
OF_OTHERS = "measured by writes to other services, as this one keeps no data"
"""Text beside the RPO of a service of a kind that stores no data."""


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """State of one service: newest runs, proven objectives, and the largest measured RTO and RPO among the met objectives."""

    service: str
    environment: str
    state: str
    """Worst verdict of the drills, or ``never drilled`` when there is no run. The verdict of a drill is that of the run which
    ``deciding_runs.deciding`` selects.
    """
    at: str
    """Day of the run with the worst verdict. It is empty when there is no run."""
    share: str
    """Number of passed runs, and of all runs; see ``CoverageRow.share``."""
    recovered: int
    """Number of passed runs in which the service recovered from a fault."""
    proven: int
    reserved: int
    """Number of objectives that were met with a reservation. ``proven`` does not count these objectives."""
    objectives: int
    """Number of objectives. An objective on detection is left out, both here and in ``proven``, if only the drill's own probe
    detects the fault.
    """
    rto: ProvenRow | None
    rpo: ProvenRow | None
    kinds: str
    """Number of the ``objectives`` of each kind, such as ``2 RTO, 1 RPO``. It is empty if there are none."""
    keys: frozenset[str]
    """Keys of the objectives that drills of the service have, such as ``rto``."""
    beside: str = ""
    """Text with the number of open findings of medium severity or higher. It is empty when there are none."""
    more: tuple[str, ...] = ()
    """Counts of the objectives that were met with a reservation, such as ``1 more with a reservation``. There is one text for
    each kind of reservation."""
    marks: str = ""
    """Signs, such as ``†``, of the objectives that were met with a reservation."""
    keeps_data: bool = True
    """False for a service without data of its own, which needs no RPO."""
    unmet: tuple[ProvenRow, ...] = ()
    """Objectives that a drill missed or did not prove, those that were missed first. Another drill may have proven the same
    objective."""
    rehearsed: tuple[RehearsedRow, ...] = ()
    """Figures of rehearsals. They prove no objective."""
    probed: bool = False
    """True when a drill of the service has an objective on detection, and awaits no alert."""
    rpo_target_s: float | None = None
    """Shortest RPO that a drill of the service sets, in seconds."""
    losses: tuple[str, ...] = ()
    """Texts about known losses of data, such as a number of rows, in other drills than the drill that measured ``rpo``."""
    without_rpo: tuple[str, ...] = ()
    """Drills that set an RTO and no RPO, if another drill of the service sets an RPO."""

    @property
    def restored(self) -> str:
        """Text with the duration of the longest restore, for the column of the RTO."""
        text, _ = rehearsal_figures.brief(self.rehearsed)
        return f"rehearsed: {text}" if text else ""

    @property
    def would_lose(self) -> str:
        """Text with the largest loss that a rehearsal measured, for the column of the RPO."""
        _, text = rehearsal_figures.brief(self.rehearsed)
        largest = rehearsal_figures.largest(self.rehearsed)
        if largest is None:
            return ""
        target_s = self.rpo_target_s if largest.tells_age else None
        words = "" if target_s is None else rehearsal_figures.beyond(largest, target_s)
        return f"rehearsed: {text}{f', {words} the RPO permits' if words else ''}"

    @property
    def set_by(self) -> str:
        """Text about the RPO, for its column: the drills on which it does not rest, because they set none, and the data to which
        it applies if the service keeps none of its own.
        """
        texts = [] if self.keeps_data or not self.rpo else [OF_OTHERS]
        if self.without_rpo:
            texts.append(f"{open_findings.named(self.without_rpo)} set{'s' * (len(self.without_rpo) == 1)} no RPO")
        return "; ".join(texts)

    @property
    def shown_marks(self) -> str:
        """Marks of the figures that are shown for the service. Marks of figures that are not shown, such as those of another
        drill, are left out."""
        return " ".join([*(row.mark for row in (self.rto, self.rpo) if row), *self.losses])

    @property
    def state_name(self) -> str:
        """Name of the group of the service, as the column `State` shows it."""
        return NAMES[self.rank].replace("Fully", "fully")

    @property
    def line(self) -> str:
        """Group and figures of the service in one line."""
        figures = [
            f"{key} {row.measured}{row.mark} ({row.aim}, {row.drill})"
            for key, row in (("RTO", self.rto), ("RPO", self.rpo))
            if row
        ]
        lacks = unproven_reasons.line([goal for goal in self.unmet if not goal.by_probe])
        other = self.rank is Group.FAILED and self.state != Verdict.FAILED
        state = f"{self.state_name} ({self.state})" if other else self.state_name
        return one_line("; ".join(filter(None, [state, *figures, *self.losses, lacks])))

    @property
    def below(self) -> str:
        """Objectives that a dense table does not show, with the reasons why they are not proven."""
        return one_line(unproven_reasons.line(self.hidden))

    @property
    def hidden(self) -> list[ProvenRow]:
        """Objectives that a dense table does not show."""
        measured = [key for key, row in (("rto", self.rto), ("rpo", self.rpo)) if row]
        return unproven_reasons.hidden(self.unmet, measured)

    def missed_beside(self, key: str) -> str:
        """Return a text about the drills that missed the objective ``key``, for a dense table, which shows the figure of a drill that
        met it. The text is empty if no drill missed it. ``key``: such as ``rto``."""
        drills = list(dict.fromkeys(goal.drill for goal in self.unmet if goal.key == key and goal.missed))
        named = f"missed by {drills[0] if len(drills) == 1 else count(len(drills), 'drill')}" if drills else ""
        return named if len(named) <= BESIDE_LETTERS else f"missed by {count(len(drills), 'drill')}"

    @property
    def rank(self) -> Group:
        """Group of the service. Services that met RTO and RPO are in a better group than services that met only the RTO."""
        if self.state == Verdict.NOT_RUN:
            return Group.NOT_RUN
        if self.state != Verdict.PASSED:
            return Group.FAILED
        if not self.recovered:
            return Group.REHEARSED
        if self.unmet or self.proven + self.reserved < self.objectives or "rto" not in self.keys:
            return Group.INCOMPLETE
        if "rpo" not in self.keys and self.keeps_data:
            return Group.ONLY_RTO
        return Group.RESERVED if self.reserved else Group.PROVEN

    @property
    def good(self) -> bool:
        """True when the newest run of each drill passed, the service recovered, and all objectives were proven.

        The objectives must include the RTO. For a service that keeps data, they must also include the RPO.
        """
        return self.rank is Group.PROVEN
