"""A run from its beginning to its end: phases, signals, requests to stop, recoveries, and how what was left was closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, NotRequired, TypedDict

from pydantic import Field

from drillbook.errors import JournalError
from drillbook.events.content import RECOVERY_FINISHED, RUN_FINISHED, Content, Json
from drillbook.events.event import Event

Slept = Annotated[
    float | None,
    Field(
        description=(
            "Seconds for which the controller was suspended since the journal was opened, by its own clocks; "
            "absent where the system does not tell."
        )
    ),
]
Residue = Annotated[
    tuple[Json, ...],
    Field(
        description=("What could not be put back: `step`, `host`, `what`, `why`, and `by_hand`, the commands that do it.")
    ),
]
Unwritten = Annotated[
    str,
    Field(
        description=(
            "Why lines could not be written in time, or would not be found; empty when all of them were. The verdict is then "
            "*inconclusive* at best."
        )
    ),
]


class Session(TypedDict):
    """Controller and operator of a run or of its recovery, as their first event names them."""

    tool: str
    operator: str
    controller: str
    account: NotRequired[str]


class RunSession(Session):
    """The same of a run, with the approval that it has."""

    approval: NotRequired[Json | None]


class Stamped(Content):
    """Base of the events that say for how long the controller was suspended."""

    STAMPED: ClassVar[bool] = True

    slept_s: Slept = None


class Begun(Content):
    """Base of the events that begin a session: from each of them on, `clock` is another one."""

    operator: Annotated[str, Field(description="Who ran it, as the pipeline or the account says.")]
    tool: Annotated[str, Field(description="Name and version of the program.")] = ""
    controller: Annotated[str, Field(description="Host, system and Python of the controller.")] = ""
    account: Annotated[str | None, Field(description="Who ran it, as the kernel says; absent in older journals.")] = None


class RunStarted(Begun):
    """The run began: always the first line."""

    KIND: ClassVar[str] = "run.started"

    run: Annotated[str, Field(description="Name of the run.")]
    plan: Annotated[Json, Field(description="The whole plan.")]
    plan_digest: Annotated[str, Field(description="SHA-256 over the plan.")]
    approval: Annotated[
        Json | None,
        Field(description=("Who approved it until when, and the key; null: nobody had to. Absent in older journals.")),
    ] = None


class CheckStarted(Content):
    """A check of a drill began; its journal is removed at its end."""

    KIND: ClassVar[str] = "check.started"

    drill: Annotated[str, Field(description="Name of the drill.")]


class PhaseStarted(Stamped):
    """A phase began."""

    KIND: ClassVar[str] = "phase.started"
    DECISIVE: ClassVar[bool] = True

    phase: Annotated[str, Field(description="Name of the phase.")]


class PhaseEnded(Stamped):
    """A phase ended."""

    KIND: ClassVar[str] = "phase.ended"
    DECISIVE: ClassVar[bool] = True

    phase: Annotated[str, Field(description="Name of the phase.")]
    status: Annotated[
        str, Field(description=("`done`, `failed` or `skipped`; of a verification that was stopped `interrupted`."))
    ]


class SignalReceived(Content):
    """The controller received a signal that stops the run."""

    KIND: ClassVar[str] = "signal"

    name: Annotated[str, Field(description="Name of the signal, such as `SIGINT`.")]
    again: Annotated[
        bool, Field(description=("True from the second one on, which leaves out what can wait; absent in older journals."))
    ] = False


class StopRequested(Content):
    """Somebody asked the run to stop."""

    KIND: ClassVar[str] = "stop.requested"
    PLACE: ClassVar[str] = "host, when it came through a lock"

    by: Annotated[str, Field(description="Who asked, and why.")]
    from_: Annotated[str, Field(validation_alias="from", serialization_alias="from", description="`lock`, or the file.")]


class RunEndedEarly(Content):
    """The run went no further than this; what it changed is put back behind it."""

    KIND: ClassVar[str] = "ended.early"

    why: Annotated[str, Field(description="`refused`, `inconclusive`, `failed`, `aborted` or `not run here`.")]
    message: Annotated[str, Field(description="The reason in one sentence.")]
    findings: Annotated[tuple[Json, ...], Field(description="What was wrong, as [findings](findings.md).")] = ()


class ControllerStalled(Content):
    """The controller itself stood still, and heard no probe's answer meanwhile."""

    KIND: ClassVar[str] = "controller.stalled"

    spans: Annotated[tuple[tuple[float, float], ...], Field(description="`[from, to]` in seconds on the run's clock.")]


class ObserverFailed(Content):
    """Whoever showed the run, such as a terminal, is gone; the run goes on."""

    KIND: ClassVar[str] = "observer.failed"

    message: Annotated[str, Field(description="What broke.")]


class CapacityHistory(Content):
    """Sizes and restore times that earlier runs measured, when the plan measures them too."""

    KIND: ClassVar[str] = "capacity.history"

    points: Annotated[tuple[Json, ...], Field(description="One for each measurement of an earlier run.")]
    message: Annotated[str, Field(description="Why earlier runs could not be read; absent when they were.")] = ""


class Ended(Content):
    """Base of the events by which a run or its recovery ended."""

    residue: Residue
    unwritten: Unwritten = ""


class RunFinished(Ended):
    """The run ended, and put back what it could: its last word but for what stands behind it about messages and traces."""

    KIND: ClassVar[str] = RUN_FINISHED


class RecoveryStarted(Begun):
    """A recovery, or an attempt to close what was left, goes on with the journal."""

    KIND: ClassVar[str] = "recovery.started"


class RecoveryFinished(Ended):
    """The recovery ended."""

    KIND: ClassVar[str] = RECOVERY_FINISHED

    gone: Annotated[str, Field(description="Why nothing is left to put back: the lab of the run is gone.")] = ""
    kept: Annotated[
        tuple[str, ...] | None,
        Field(description=("Only where the run was closed: what could not be given back on hosts that did not answer.")),
    ] = None


class StepAdded(Content):
    """A recovery carries out a step that the plan does not have."""

    KIND: ClassVar[str] = "step.added"
    PLACE: ClassVar[str] = "step"
    DECISIVE: ClassVar[bool] = True

    step: Annotated[Json, Field(description="The step, as in a plan.")]
    why: Annotated[str, Field(description="Why it is carried out.")] = ""


class ResidueSettled(Content):
    """A named person closed what was left."""

    KIND: ClassVar[str] = "residue.settled"
    DECISIVE: ClassVar[bool] = True

    by: Annotated[str, Field(description="Who closed it.")]
    reason: Annotated[str, Field(description="Why nothing is left to put back.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(description=("Each change: `step`, `host`, `what`, `proof` (`gone` or `unknown`), `detail`.")),
    ]
    approval: Annotated[Json | None, Field(description="Approval of a second person, and the key; or null.")]
    residue: Annotated[tuple[Json, ...], Field(description="What was left.")]
    intents: Annotated[tuple[int, ...], Field(description="`seq` of each intent that counts as put back from now on.")]


class SettlementRefused(Content):
    """The closing of a run's residue was refused."""

    KIND: ClassVar[str] = "settlement.refused"

    by: Annotated[str, Field(description="Who wanted to close it.")]
    reason: Annotated[str, Field(description="The reason that was given.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(description=("Each change: `step`, `host`, `what`, `proof` (`gone`, `active` or `unknown`), `detail`.")),
    ]
    findings: Annotated[tuple[Json, ...], Field(description="What speaks against it, as [findings](findings.md).")]


def opening(events: Sequence[Event]) -> RunStarted:
    """The content of the first event. Raises JournalError when the journal is not that of a run."""
    first = events[0]
    if not isinstance(first.what, RunStarted):
        raise JournalError(f"the journal begins with {first.kind!r}, not with {RunStarted.KIND}")
    return first.what
