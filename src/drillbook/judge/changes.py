"""Models of the differences between a run and the last run of the same drill in the same environment."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Value(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class FigureChange(_Value):
    """Values of a figure in two runs. ``change`` is ``same`` if they differ by no more than the sum of their errors."""

    key: str
    before_s: float | None
    before_error_s: float | None
    now_s: float | None
    now_error_s: float | None
    change: Literal["longer", "shorter", "same", "unknown"]
    before_verified: bool = True
    """False when the last run measured the figure, but could not verify its objective. True when it verified the objective,
    and also when its journal does not contain this information.
    """
    before_by_alert: bool | None = None
    """For a detection: True when an alert ended it in the last run, and False when the drill's own probe did. The value is None if
    this is not known, and for any other figure.
    """


class TargetChange(_Value):
    """An objective whose target differs from that of the last run. A target is None in a run without this objective."""

    key: str
    before_s: float | None
    now_s: float | None


class StepChange(_Value):
    """A step that was slower, or faster, than in all earlier runs.

    The fields include the step's duration in this run, and its shortest and longest duration in the earlier runs.
    """

    step: str
    slower: bool
    now_s: float
    low_s: float
    high_s: float
    runs: int


class FindingChange(_Value):
    """A finding that only one of two runs has: this run, or the last run of the same drill."""

    code: str
    title: str


class LossChange(_Value):
    """Counted loss of one kind of data in two runs."""

    what: str
    before: str | None
    """Short clause about the loss in the last run. It is empty if nothing was lost, and None if this is not known."""
    now: str | None
    """Short clause about the loss in this run. Empty and None mean the same as in ``before``."""
    more: int | None
    """Counted loss in this run minus counted loss in the last run. It is None if one of the losses is not known."""


class Comparison(_Value):
    """Differences between this run and the last run of the same drill in the same environment."""

    run: str
    started: str
    verdict: str
    exit: int
    tool: str
    same_plan: bool
    figures: tuple[FigureChange, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    paced: tuple[StepChange, ...]
    new_findings: tuple[FindingChange, ...]
    gone_findings: tuple[FindingChange, ...]
    targets: tuple[TargetChange, ...] = ()
    """Objectives whose targets in the two runs differ. The value is empty if the last run's targets are not recorded, as in
    older journals.
    """
    losses: tuple[LossChange, ...] = ()
    """Data that did not come back in this run or in the last run."""
    older: tuple[str, ...] = ()
    """Runs before the last run, newest first. The durations of steps are compared with these runs, too."""
    aborted: tuple[str, ...] = ()
    """Newer runs than the last run, newest first. They were aborted, and this run is not compared with them."""
