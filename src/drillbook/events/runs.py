"""Events about a run as a whole: phases, signals, requests to stop, recoveries, changes declared settled."""

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
            "absent if the system does not report it."
        )
    ),
]
Residue = Annotated[
    tuple[Json, ...],
    Field(
        description=(
            "Changes that could not be undone: `step`, `host`, `what`, `why`, and `by_hand`, the commands that undo them."
        )
    ),
]
Unwritten = Annotated[
    str,
    Field(
        description=(
            "Reason why lines of the journal could not be written in time, or would be lost; the verdict is then "
            "*inconclusive* at best. Empty when all lines were written."
        )
    ),
]


class Session(TypedDict):
    """Controller and operator of a run or of its recovery, for the first event of its session."""

    tool: str
    operator: str
    controller: str
    account: NotRequired[str]
    program: NotRequired[str]


class RunSession(Session):
    """Controller and operator of a run, with the run's approval."""

    approval: NotRequired[Json | None]
    schedule: NotRequired[Json | None]
    inventory: NotRequired[str]


class Stamped(Content):
    """Base of the events that record how many seconds the controller was suspended."""

    STAMPED: ClassVar[bool] = True

    slept_s: Slept = None


class Begun(Content):
    """Base of the events that begin a run or a recovery. Later events count their `clock` from this event."""

    operator: Annotated[
        str, Field(description="Operator of the run: the name set by the pipeline, or else the name of the account.")
    ]
    tool: Annotated[str, Field(description="Name and version of the program.")] = ""
    controller: Annotated[str, Field(description="Host, system and Python of the controller.")] = ""
    account: Annotated[
        str | None, Field(description="Account of the operator, as reported by the kernel; absent in older journals.")
    ] = None
    program: Annotated[
        str,
        Field(
            description="Name of the program that the user called, `drillbook` or `invoke`; reports use it in commands. "
            "Absent in older journals."
        ),
    ] = "invoke"


class RunStarted(Begun):
    """The run began: always the first line of its journal."""

    KIND: ClassVar[str] = "run.started"

    run: Annotated[str, Field(description="Name of the run.")]
    plan: Annotated[Json, Field(description="The whole plan.")]
    plan_digest: Annotated[str, Field(description="SHA-256 over the plan.")]
    approval: Annotated[
        Json | None,
        Field(
            description=(
                "The approval: who approved, until when, and the key; null where none is needed. Absent in older journals."
            )
        ),
    ] = None
    schedule: Annotated[
        Json | None,
        Field(
            description=("Schedule of the drill: `every`, `grace`, `windows`; null without one. Absent in older journals.")
        ),
    ] = None
    inventory: Annotated[
        str,
        Field(
            description="Inventory as the user named it, for commands in reports; empty when it was not named by a user. "
            "Absent in older journals."
        ),
    ] = ""


class CheckStarted(Content):
    """A check of a drill began; its journal is removed when the check ends."""

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
        str, Field(description=("`done`, `failed` or `skipped`; `interrupted` for a verification that was stopped."))
    ]


class SignalReceived(Content):
    """The controller received a signal to stop the run."""

    KIND: ClassVar[str] = "signal"

    name: Annotated[str, Field(description="Name of the signal, such as `SIGINT`.")]
    again: Annotated[
        bool,
        Field(
            description=(
                "True from the second signal on, which also skips the steps that can wait; absent in older journals."
            )
        ),
    ] = False


class StopRequested(Content):
    """A person asked the run to stop."""

    KIND: ClassVar[str] = "stop.requested"
    PLACE: ClassVar[str] = "host on which the request was left beside the lock"

    by: Annotated[str, Field(description="Name of the person who asked for the stop, and the reason.")]
    from_: Annotated[
        str,
        Field(
            validation_alias="from",
            serialization_alias="from",
            description="`lock`, or the file by which the stop was requested.",
        ),
    ]


class RunEndedEarly(Content):
    """The run ends before its last step; the undo follows."""

    KIND: ClassVar[str] = "ended.early"

    why: Annotated[str, Field(description="`refused`, `inconclusive`, `failed`, `aborted` or `not run here`.")]
    message: Annotated[str, Field(description="The reason in one sentence.")]
    findings: Annotated[tuple[Json, ...], Field(description="The problems, as [findings](findings.md).")] = ()


class ControllerStalled(Content):
    """The controller itself stalled: during these `spans` it could not receive answers to probes."""

    KIND: ClassVar[str] = "controller.stalled"

    spans: Annotated[tuple[tuple[float, float], ...], Field(description="`[from, to]` in seconds on the run's clock.")]


class ObserverFailed(Content):
    """The observer of the run, such as a terminal, failed; the run continues without it."""

    KIND: ClassVar[str] = "observer.failed"

    message: Annotated[str, Field(description="The error.")]


class CapacityHistory(Content):
    """Sizes and restore times that previous runs measured, recorded because this plan measures them too."""

    KIND: ClassVar[str] = "capacity.history"

    points: Annotated[tuple[Json, ...], Field(description="One entry for each measurement of an earlier run.")]
    message: Annotated[str, Field(description="Reason why earlier runs could not be read; absent when they were read.")] = ""


class EarlierRuns(Content):
    """Newest earlier runs of the same drill in the same environment, recorded so that the report can tell what changed."""

    KIND: ClassVar[str] = "earlier.runs"

    runs: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "The earlier runs, the newest first: `run`, `started`, `verdict`, `exit`, `tool`, `plan_digest`, `figures` "
                "(value and error in seconds), `findings`, `steps`. Empty when there was none."
            )
        ),
    ]
    message: Annotated[str, Field(description="Reason why earlier runs could not be read; absent when they were read.")] = ""


class Ended(Content):
    """Base of the events that end a run or its recovery."""

    residue: Residue
    unwritten: Unwritten = ""


class RunFinished(Ended):
    """The run ended, after its undo: the last event of a run, except events about messages and traces."""

    KIND: ClassVar[str] = RUN_FINISHED


class PruningStarted(Content):
    """Older backups of the project are about to be removed by the retention rule of a store; follows `run.finished`."""

    KIND: ClassVar[str] = "pruning.started"

    store: Annotated[str, Field(description="Name of the store in the inventory.")]
    backups: Annotated[tuple[str, ...], Field(description="Locations of the backups, with the digests of their manifests.")]


class PruningFinished(Content):
    """The removal of older backups ended, or was not begun."""

    KIND: ClassVar[str] = "pruning.finished"

    store: Annotated[str, Field(description="Name of the store in the inventory.")]
    pruned: Annotated[tuple[str, ...], Field(description="Locations of the removed backups.")] = ()
    bytes: Annotated[int, Field(description="Size of the removed objects together, as the store listed them.")] = 0
    kept: Annotated[int | None, Field(description="Number of the project's backups that remain; absent when unknown.")] = (
        None
    )
    left: Annotated[
        tuple[Json, ...], Field(description="Backups that stay although the rule does not keep them: `location` and `why`.")
    ] = ()
    older_versions: Annotated[
        int | None,
        Field(
            description=(
                "Bytes of the removed backups that remain as older object versions; null when the bucket is not versioned."
            )
        ),
    ] = None
    message: Annotated[str, Field(description="Reason why nothing, or not all, was removed; empty without one.")] = ""


class RecoveryStarted(Begun):
    """A recovery of the run starts, or a person's attempt to declare the remaining changes settled."""

    KIND: ClassVar[str] = "recovery.started"


class RecoveryFinished(Ended):
    """The recovery ended."""

    KIND: ClassVar[str] = RECOVERY_FINISHED

    gone: Annotated[str, Field(description="Reason why nothing is left to undo: the lab of the run is gone.")] = ""
    kept: Annotated[
        tuple[str, ...] | None,
        Field(description=("Only for a closed run: locks and files that remain on hosts without an answer.")),
    ] = None


class StepAdded(Content):
    """A recovery executes a step that is not in the plan."""

    KIND: ClassVar[str] = "step.added"
    PLACE: ClassVar[str] = "step"
    DECISIVE: ClassVar[bool] = True

    step: Annotated[Json, Field(description="The step, as in a plan.")]
    why: Annotated[str, Field(description="Reason why the step is run.")] = ""


class ResidueSettled(Content):
    """A named person declared the remaining changes (residue) settled: these changes need no undo any more."""

    KIND: ClassVar[str] = "residue.settled"
    DECISIVE: ClassVar[bool] = True

    by: Annotated[str, Field(description="Person who closed the run.")]
    reason: Annotated[str, Field(description="Reason why nothing is left to undo.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(description=("Each change: `step`, `host`, `what`, `proof` (`gone` or `unknown`), `detail`.")),
    ]
    approval: Annotated[Json | None, Field(description="Approval of a second person, and the key; or null.")]
    residue: Annotated[tuple[Json, ...], Field(description="The remaining changes.")]
    intents: Annotated[tuple[int, ...], Field(description="`seq` of each intent that counts as undone from now on.")]


class SettlementRefused(Content):
    """A person wanted to declare the remaining changes of a run settled, and was refused."""

    KIND: ClassVar[str] = "settlement.refused"

    by: Annotated[str, Field(description="Person who wanted to close the run.")]
    reason: Annotated[str, Field(description="The reason that was given.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(description=("Each change: `step`, `host`, `what`, `proof` (`gone`, `active` or `unknown`), `detail`.")),
    ]
    findings: Annotated[tuple[Json, ...], Field(description="Reasons against the closing, as [findings](findings.md).")]


def opening(events: Sequence[Event]) -> RunStarted:
    """Content of the first event. Raises JournalError when the journal is not that of a run."""
    first = events[0]
    if not isinstance(first.what, RunStarted):
        raise JournalError(f"the journal begins with the event {first.kind!r}, not with {RunStarted.KIND}")
    return first.what
