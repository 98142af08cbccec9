"""Events about a run as a whole: phases, signals, requests to stop, recoveries, and changes that a person declared settled."""

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
            "Seconds for which the controller was suspended since the journal was opened, by the clocks of the "
            "controller. Absent if its system does not report this."
        )
    ),
]
Residue = Annotated[
    tuple[Json, ...],
    Field(
        description=(
            "Changes that could not be undone. Each has `step`, `host`, `what`, `why`, and `by_hand`, which "
            "lists the commands that undo it."
        )
    ),
]
Unwritten = Annotated[
    str,
    Field(
        description=(
            "Reason why lines of the journal could not be written in time, or may be lost. The verdict is then "
            "*inconclusive* at best. Empty when all lines were written."
        )
    ),
]


class Session(TypedDict):
    """Controller and operator of a run, or of its recovery. The first event of the session contains them."""

    tool: str
    operator: str
    controller: str
    account: NotRequired[str]
    program: NotRequired[str]


class RunSession(Session):
    """Controller and operator of a run, and the approval of the run."""

    approval: NotRequired[Json | None]
    schedule: NotRequired[Json | None]
    inventory: NotRequired[str]


class Stamped(Content):
    """Base of the events that record for how many seconds the controller was suspended."""

    STAMPED: ClassVar[bool] = True

    slept_s: Slept = None


class Begun(Content):
    """Base of the events that begin a run or a recovery. In later events, `clock` is the time since this event."""

    operator: Annotated[
        str, Field(description="Operator of the run: the name that the pipeline set, or otherwise the name of the account.")
    ]
    tool: Annotated[str, Field(description="Name and version of the program.")] = ""
    controller: Annotated[str, Field(description="Host name, operating system and Python version of the controller.")] = ""
    account: Annotated[
        str | None, Field(description="Account of the operator, as the kernel reports it. Absent in older journals.")
    ] = None
    program: Annotated[
        str,
        Field(
            description="Name of the program that the user called, `drillbook` or `invoke`; reports use it in commands. "
            "Absent in older journals."
        ),
    ] = "invoke"


class RunStarted(Begun):
    """The run began. This is always the first event of its journal."""

    KIND: ClassVar[str] = "run.started"

    run: Annotated[str, Field(description="Name of the run.")]
    plan: Annotated[Json, Field(description="The whole plan.")]
    plan_digest: Annotated[str, Field(description="SHA-256 digest of the plan.")]
    approval: Annotated[
        Json | None,
        Field(
            description=(
                "Approval of the run: who approved, until when, and with which key; null when no approval is needed. "
                "Absent in older journals."
            )
        ),
    ] = None
    schedule: Annotated[
        Json | None,
        Field(
            description=(
                "Schedule of the drill: `every`, `grace`, `windows`; null when it has no schedule. Absent in older journals."
            )
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
    """A check of a drill began. Its journal is removed when the check ends."""

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
        str, Field(description=("`done`, `failed` or `skipped`. For a verification that was stopped: `interrupted`."))
    ]


class SignalReceived(Content):
    """The controller received a signal to stop the run."""

    KIND: ClassVar[str] = "signal"

    name: Annotated[str, Field(description="Name of the signal, such as `SIGINT`.")]
    again: Annotated[
        bool,
        Field(
            description=(
                "True from the second signal on. Such a signal also skips the steps that can wait. Absent in older journals."
            )
        ),
    ] = False


class StopRequested(Content):
    """A person asked the run to stop."""

    KIND: ClassVar[str] = "stop.requested"
    PLACE: ClassVar[str] = "host on which the request was left beside the lock"

    by: Annotated[str, Field(description="Name of the person who asked for the stop, and the person's reason.")]
    from_: Annotated[
        str,
        Field(
            validation_alias="from",
            serialization_alias="from",
            description="Way in which the stop was requested: `lock`, or the path of a file.",
        ),
    ]


class RunEndedEarly(Content):
    """The run ends before its last step. The undo of its changes follows."""

    KIND: ClassVar[str] = "ended.early"

    why: Annotated[
        str, Field(description=("Reason by its kind: `refused`, `inconclusive`, `failed`, `aborted` or `not run here`."))
    ]
    message: Annotated[str, Field(description="The reason in one sentence.")]
    findings: Annotated[tuple[Json, ...], Field(description="Problems that ended the run, as [findings](findings.md).")] = ()


class ControllerStalled(Content):
    """The controller itself stalled. During these `spans` it could not receive answers to probes."""

    KIND: ClassVar[str] = "controller.stalled"

    spans: Annotated[
        tuple[tuple[float, float], ...],
        Field(description=("Time spans, each as `[from, to]` in seconds on the run's clock.")),
    ]


class ObserverFailed(Content):
    """The observer of the run, such as a terminal, failed. The run continues without it."""

    KIND: ClassVar[str] = "observer.failed"

    message: Annotated[str, Field(description="The error.")]


class CapacityHistory(Content):
    """Previous runs measured sizes and restore times. They are recorded, because this plan measures the same values."""

    KIND: ClassVar[str] = "capacity.history"

    points: Annotated[tuple[Json, ...], Field(description="One entry for each measurement of an earlier run.")]
    message: Annotated[str, Field(description="Reason why earlier runs could not be read. Absent when they were read.")] = ""


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
    """The run ended, and its undo too.

    This is the last event of a run, except for events about messages, traces and older backups.
    """

    KIND: ClassVar[str] = RUN_FINISHED


class PruningStarted(Content):
    """The project's older backups are about to be removed by the retention rule of a store.

    This event follows `run.finished`.
    """

    KIND: ClassVar[str] = "pruning.started"

    store: Annotated[str, Field(description="Name of the store in the inventory.")]
    backups: Annotated[
        tuple[str, ...], Field(description=("Locations of the backups to remove, with the digests of their manifests."))
    ]


class PruningFinished(Content):
    """The removal of older backups ended, or was not begun."""

    KIND: ClassVar[str] = "pruning.finished"

    store: Annotated[str, Field(description="Name of the store in the inventory.")]
    pruned: Annotated[tuple[str, ...], Field(description="Locations of the removed backups.")] = ()
    bytes: Annotated[int, Field(description="Total size in bytes of the removed objects, as the store listed them.")] = 0
    kept: Annotated[
        int | None, Field(description=("Number of backups of the project that remain. Absent when it is unknown."))
    ] = None
    left: Annotated[
        tuple[Json, ...],
        Field(description=("Backups that stay although the rule does not keep them. Each has `location` and `why`.")),
    ] = ()
    older_versions: Annotated[
        int | None,
        Field(
            description=(
                "Bytes of the removed backups that remain as older versions of objects; null when the bucket keeps "
                "no versions."
            )
        ),
    ] = None
    message: Annotated[
        str, Field(description=("Reason why nothing or not everything was removed; empty when everything was removed."))
    ] = ""


class RecoveryStarted(Begun):
    """A recovery of the run starts. Or a person starts to declare the remaining changes settled."""

    KIND: ClassVar[str] = "recovery.started"


class RecoveryFinished(Ended):
    """The recovery ended."""

    KIND: ClassVar[str] = RECOVERY_FINISHED

    gone: Annotated[str, Field(description="Reason why nothing is left to undo: the lab of the run is gone.")] = ""
    kept: Annotated[
        tuple[str, ...] | None,
        Field(description=("Locks and files that remain on hosts that do not answer. Only present for a closed run.")),
    ] = None


class StepAdded(Content):
    """A recovery executes a step that is not in the plan."""

    KIND: ClassVar[str] = "step.added"
    PLACE: ClassVar[str] = "step"
    DECISIVE: ClassVar[bool] = True

    step: Annotated[Json, Field(description="The step, in the same form as in a plan.")]
    why: Annotated[str, Field(description="Reason why the step is executed.")] = ""


class ResidueSettled(Content):
    """A named person declared the remaining changes (residue) settled. From now on, these changes need no undo."""

    KIND: ClassVar[str] = "residue.settled"
    DECISIVE: ClassVar[bool] = True

    by: Annotated[str, Field(description="Person who closed the run.")]
    reason: Annotated[str, Field(description="Reason why nothing is left to undo.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "Changes that were declared settled. Each has `step`, `host`, `what`, `proof` (`gone` or `unknown`) "
                "and `detail`."
            )
        ),
    ]
    approval: Annotated[Json | None, Field(description="Approval by a second person and its key; null when there is none.")]
    residue: Annotated[tuple[Json, ...], Field(description="The remaining changes.")]
    intents: Annotated[tuple[int, ...], Field(description="`seq` of each intent that counts as undone from now on.")]


class SettlementRefused(Content):
    """A person wanted to declare the remaining changes of a run settled, but was refused."""

    KIND: ClassVar[str] = "settlement.refused"

    by: Annotated[str, Field(description="Person who wanted to close the run.")]
    reason: Annotated[str, Field(description="Reason that the person gave.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "Remaining changes. Each has `step`, `host`, `what`, `proof` (`gone`, `active` or `unknown`) and `detail`."
            )
        ),
    ]
    findings: Annotated[tuple[Json, ...], Field(description="Reasons against closing the run, as [findings](findings.md).")]


def opening(events: Sequence[Event]) -> RunStarted:
    """Return the content of the first event. Raises JournalError when the journal does not belong to a run."""
    first = events[0]
    if not isinstance(first.what, RunStarted):
        raise JournalError(f"the journal begins with the event {first.kind!r}, not with {RunStarted.KIND}")
    return first.what
