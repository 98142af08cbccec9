"""Formats the measured figures of objectives. Some figures are upper bounds: the true value may be smaller, but never larger.

These figures are the RTO, and a detection by a probe. Their clocks end with the sample that showed the change, and the change
was not later than this sample. Nevertheless, when an upper bound is compared with its target, its whole error is added, as
for every other figure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from drillbook.judge.objectives import CLOCK_OF
from drillbook.judge.result import Objective, Result
from drillbook.judge.rpo import OF_BACKUP
from drillbook.judge.verdicts import CONTROLLER_DIED
from drillbook.report import remarks
from drillbook.report.figures import DOWNWARDS, against, bounded, upper_end

LATEST_NOTE = (
    "A recovery time, and a detection by a probe, end with the sample that showed the change. So their error goes only downwards, "
    f"as in “3.0 s {DOWNWARDS}0.2 s”: the true value lies between the figure minus its error and the figure."
)
LATEST = (CLOCK_OF["rto"], CLOCK_OF["detect"])
"""Clocks whose measurement ends with the probe sample that showed the change. They are values of the field `clock` of an
objective.
"""

IN_RUN = {
    "the verification did not run": "the run itself ran no verification, because its controller died",
    "no bad sample was recorded": "no bad sample of an availability probe was recorded",
}
"""Words for the reason why a figure of a run whose controller died proves nothing. The key of each entry is the recorded reason.
"""
_WITHOUT_MARGIN = re.compile(r"(\S+ s is within \S+ s) only when its error of (\S+ s) is ignored")
"""Recorded reason why a figure that is less than its error below the target is not verified."""
MARGIN = "Drillbook adds the whole error as a margin before it calls an objective met"


def ends_with_sample(result: Result, clock: str) -> bool:
    """Return True when a sample of a probe was the end of the measurement with the key ``clock`` in this run.

    This is always so for the RTO. It is so for the detection time only if the drill expects no alert.
    """
    return clock == "rto" or (clock == "detection" and remarks.observer(result.steps) == remarks.PROBE)


def is_latest(clock: str) -> bool:
    """Return True if the figure of an objective with this ``clock`` is an upper limit: the true value may be smaller, but
    never larger.
    """
    return clock in LATEST


def objective_figure(objective: Objective) -> str:
    """Return the figure of an objective with its measurement error, or ``not measured``."""
    if objective.measured_s is None:
        return "not measured"
    return against(objective.measured_s, objective.error_s, objective.target_s, latest=is_latest(objective.clock))


def alone(objective: Objective) -> str:
    """Format an RPO that perhaps does not include a known loss of data. The text begins with words for the way in which the RPO
    was measured; see ``alone_by``.
    """
    return f"{alone_by(objective.clock)} {objective_figure(objective)}"


def alone_by(clock: str) -> str:
    """Return words for the way in which an RPO was measured: ``by the canary alone``, or ``by the age of the backup alone``."""
    return f"by {'the age of the backup' if clock == OF_BACKUP else 'the canary'} alone"


def recorded_figure(objective: Mapping[str, Any]) -> str:
    """Return the figure of an objective in a ``result.json`` of any version. The objective must have a measurement."""
    return against(
        objective["measured_s"],
        objective["error_s"],
        objective["target_s"],
        latest=is_latest(str(objective.get("clock", ""))),
    )


def with_signs(text: str) -> str:
    """Return ``text`` with the sign ≤ in place of ``at most``, and the sign ≥ in place of ``at least``, for short lists."""
    return text.replace("at most ", "\N{LESS-THAN OR EQUAL TO} ").replace("at least ", "\N{GREATER-THAN OR EQUAL TO} ")


def drawn(objective: Objective) -> float | None:
    """Return the figure to draw. If the error is so large that reports show only the upper end of the figure ("at most"),
    this upper end is drawn.
    """
    if objective.measured_s is None or objective.error_s is None or not bounded(objective.measured_s, objective.error_s):
        return objective.measured_s
    return upper_end(objective.measured_s, objective.error_s, latest=is_latest(objective.clock))


def in_run(text: str, objectives: Mapping[str, Objective], ending: str) -> str:
    """Return ``text``, the reason why a figure of a run is missing or does not count. If the controller of the run died, the text
    says what the run itself did not do, because a recovery may have done it later. If the whole error of a figure goes downwards,
    and its objective is not verified because of this error, the text says that the error counts as a margin.

    ``objectives``: objectives of the run with their measurements. ``ending``: reason of its verdict.
    """
    for objective in objectives.values():
        if objective.reason and is_latest(objective.clock):
            told = _WITHOUT_MARGIN.sub(rf"\1 by less than its error of \2; {MARGIN}", objective.reason)
            text = text.replace(objective.reason, told)
    if ending == CONTROLLER_DIED:
        for recorded, shown in IN_RUN.items():
            text = text.replace(recorded, shown)
    return text
