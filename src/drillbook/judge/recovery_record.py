"""Record of a recovery: what it did to a run that had not undone its changes, act by act.

All times are seconds on the monotonic clock of the recovery's own controller, from the start of the recovery.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.findings import Finding


class _Value(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class OwnPart(_Value):
    """Part of a journal that the run itself wrote, before any recovery."""

    events: int = 0
    findings: tuple[Finding, ...] = ()
    """Findings in a report that was made from this part alone. It is empty if no recovery followed."""


class FaultCheck(_Value):
    """Check of a change during a recovery. ``active`` is None when the check could not tell whether the change is in place."""

    at: float
    active: bool | None
    detail: str = ""


class Act(_Value):
    """One act of a recovery: a lock that it took, a lease that it examined, a change that it undid, a step that it ran again,
    writes of a canary that it read back, or changes that a person closed.
    """

    sort: Literal["lock", "lease", "undo", "step", "canary", "closing"]
    step: str = ""
    phase: str = ""
    """Phase of a step. A step that a recovery adds has an identifier that does not begin with its phase."""
    host: str = ""
    what: str
    """Action of the step, or title of the lock."""
    how: str = ""
    """Commands or action of an undo. It is empty if no undo was started, because none was needed or possible."""
    fault: bool = False
    """True for the undo of a fault. Only the undo of a fault can be checked."""
    intent: int | None = None
    """``seq`` of the event that announced the change which an undo undid."""
    by_target: bool = False
    """True if the target had already run this undo by itself, because its lease was not renewed or it was rebooted."""
    closed: int = 0
    """Number of the changes that a person closed."""
    unproven: int = 0
    """Number of the closed changes of which no check showed that they are gone."""
    start: float | None
    """Start of the act. It is None when the journal has only its outcome."""
    end: float | None
    """Time of the recorded outcome. It is None when the recovery died before it recorded one."""
    status: str
    """``done``, ``failed``, the outcome of a step, or ``unknown`` when no outcome is recorded."""
    message: str = ""
    """Outcome in words. For an undo that succeeded, it is the outcome as ``FaultResult.ended`` has it."""
    check: FaultCheck | None = None
    """Last check of the change before the outcome was recorded."""
    facts: dict[str, Any] = Field(default_factory=dict)
    events: tuple[int, int]
    """``seq`` of the first and of the last event about the act."""
    files: tuple[str, ...] = ()
    """Evidence files of the act, apart from those in its facts."""


class Recovery(_Value):
    """One recovery of a run, or the closing of the run's remaining changes by a person."""

    started: str
    """Date and time of its first event, in UTC."""
    zero: str
    """Date and time in UTC at which its clock showed 0 s. It is empty when this time cannot be computed."""
    operator: str
    controller: str
    before: str
    """Date and time in UTC of the end of the run, or of the last event before this recovery if there is no such end."""
    finished: str | None
    """Date and time of its end, in UTC. It is None when its controller died, too."""
    end: float | None
    """Time of its end. It is None when its controller died, too."""
    left: int = 0
    """Number of changes that it could not undo."""
    gone: str = ""
    """Reason why nothing was left to undo, if the lab of the run is gone."""
    closed: bool = False
    """True when its end also ended the closing of the remaining changes by a person. An earlier process that died may have
    recorded the closing itself."""
    acts: tuple[Act, ...]

    @property
    def closing(self) -> bool:
        """True when a person closed the remaining changes, or when this recovery ended such a closing."""
        return self.closed or any(act.sort == "closing" and act.status == "done" for act in self.acts)

    @property
    def refused(self) -> bool:
        """True when a person wanted to close the remaining changes, and this was refused."""
        return any(act.sort == "closing" and act.status == "failed" for act in self.acts)
