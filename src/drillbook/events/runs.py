"""Events about a run as a whole: phases, signals, requests to stop, recoveries, and the closing of remaining changes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import RECOVERY_FINISHED, RUN_FINISHED, Content, Json

Slept = Annotated[
    float | None,
    Field(
        description=(
            "Seconds for which the controller was suspended since the journal was opened. Absent if the clocks of "
            "the controller cannot measure this time."
        )
    ),
]
Residue = Annotated[
    tuple[Json, ...],
    Field(
        description=(
            "Changes that could not be undone. Each has `step`, `host`, `what`, `why`, and `by_hand`. `by_hand` "
            "lists the commands that undo the change."
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


class Stamped(Content):
    """Base of the events that record the number of seconds for which the controller was suspended."""

    STAMPED: ClassVar[bool] = True

    slept_s: Slept = None


class Begun(Content):
    """Base of the events that begin a run or a recovery. In later events, `clock` is the time since this event."""

    operator: Annotated[
        str, Field(description=("Operator of the run: the name that the pipeline set, or else the name of the account."))
    ]
    tool: Annotated[str, Field(description="Name and version of the program.")] = ""
    controller: Annotated[str, Field(description="Host name, operating system and Python version of the controller.")] = ""
    account: Annotated[
        str | None, Field(description="Account of the operator, as the kernel reports it. Absent in older journals.")
    ] = None
    program: Annotated[
        str,
        Field(
            description=(
                "Name of the program that the user called: `drillbook` or `invoke`. Reports use this name "
                "in commands. Absent in older journals."
            )
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
                "Approval of the run. It contains the person who approved, the time until which the approval is valid, and the "
                "fingerprint of the key that signed it. Null when no approval is needed. Absent in older journals."
            )
        ),
    ] = None
    schedule: Annotated[
        Json | None,
        Field(
            description=(
                "Schedule of the drill with `every`, `grace` and `windows`; null when the drill has no schedule. "
                "Absent in older journals."
            )
        ),
    ] = None
    inventory: Annotated[
        str,
        Field(
            description=(
                "Inventory as the user named it. Reports use this name in commands. Empty when the user "
                "named no inventory. Absent in older journals."
            )
        ),
    ] = ""
    routine: Annotated[
        tuple[str, ...] | None,
        Field(
            description=(
                "Other drills of the project that restore a routine backup of the same service, the most suitable first. "
                "A routine backup is one that the usual schedule makes, not a drill. Reports suggest these drills after "
                "a run that restored its own backup. Null when the drill takes no backup itself. Absent in older journals."
            )
        ),
    ] = None


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
        str,
        Field(
            description=("Outcome: `done`, `failed`, `skipped` or `interrupted`. A stopped verification is `interrupted`.")
        ),
    ]


class SignalReceived(Content):
    """The controller received a signal to stop the run."""

    KIND: ClassVar[str] = "signal"

    name: Annotated[str, Field(description="Name of the signal, such as `SIGINT`.")]
    again: Annotated[
        bool,
        Field(
            description=(
                "True from the second signal on. After the second signal, the run does only what is needed to undo "
                "its changes. Absent in older journals."
            )
        ),
    ] = False


class StopRequested(Content):
    """A person asked the run to stop."""

    KIND: ClassVar[str] = "stop.requested"
    PLACE: ClassVar[str] = "the host that stored the request to stop, next to the run's lock"

    by: Annotated[str, Field(description="Name of the person who asked for the stop, with the reason.")]
    from_: Annotated[
        str,
        Field(
            validation_alias="from",
            serialization_alias="from",
            description=(
                "Place at which the request to stop was found. `lock`: next to a lock on a host. `file NAME`: in the file NAME."
            ),
        ),
    ]


class RunEndedEarly(Content):
    """The run ends before its last step. The undo of its changes follows."""

    KIND: ClassVar[str] = "ended.early"

    why: Annotated[
        str, Field(description=("Kind of the early end: `refused`, `inconclusive`, `failed`, `aborted` or `not run here`."))
    ]
    message: Annotated[str, Field(description="Reason for the early end, in one sentence.")]
    findings: Annotated[tuple[Json, ...], Field(description="Problems that ended the run, as [findings](findings.md).")] = ()


class ControllerStalled(Content):
    """The controller itself stalled. During the times in `spans`, it could not receive answers to probes."""

    KIND: ClassVar[str] = "controller.stalled"

    spans: Annotated[
        tuple[tuple[float, float], ...],
        Field(description=("Times when the controller stalled, each as `[from, to]` in seconds on the run's clock.")),
    ]


class ObserverFailed(Content):
    """An observer of the run, such as a terminal, failed. The run continues without this observer."""

    KIND: ClassVar[str] = "observer.failed"

    message: Annotated[str, Field(description="The error.")]


class CapacityHistory(Content):
    """Sizes and restore times that earlier runs measured. They are recorded because this run measures such values, too."""

    KIND: ClassVar[str] = "capacity.history"

    points: Annotated[tuple[Json, ...], Field(description="One entry for each measurement of an earlier run.")]
    message: Annotated[str, Field(description="Reason why earlier runs could not be read. Absent when they were read.")] = ""


class EarlierRuns(Content):
    """Newest earlier runs of the same drill in the same environment.

    They are recorded so that the report can tell what changed.
    """

    KIND: ClassVar[str] = "earlier.runs"

    runs: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "The earlier runs, the newest first. Each has `run`, `started`, `verdict`, `exit`, `tool`, "
                "`plan_digest`, `figures` (value and error in seconds), `findings`, `steps`, `targets` (of the objectives, in "
                "seconds), `unverified` (objectives that were measured, but not verified) and `lost` (data that was removed "
                "and did not come back completely). Older journals do not have the last three. "
                "Empty when there was no earlier run."
            )
        ),
    ]
    message: Annotated[str, Field(description="Reason why earlier runs could not be read; absent when they were read.")] = ""


class Ended(Content):
    """Base of the events that end a run or its recovery."""

    residue: Residue
    unwritten: Unwritten = ""


class RunFinished(Ended):
    """The run and its undo ended.

    This is the last event of a run, except for events about messages, traces and older backups.
    """

    KIND: ClassVar[str] = RUN_FINISHED


class PruningStarted(Content):
    """Older backups of the project are about to be removed, because the retention rule of a store does not keep them.

    This event follows `run.finished`.
    """

    KIND: ClassVar[str] = "pruning.started"

    store: Annotated[str, Field(description="Name of the store in the inventory.")]
    backups: Annotated[
        tuple[str, ...], Field(description=("Locations of the backups to remove, with the digests of their manifests."))
    ]


class PruningFinished(Content):
    """The removal of older backups ended, or it did not begin."""

    KIND: ClassVar[str] = "pruning.finished"

    store: Annotated[str, Field(description="Name of the store in the inventory.")]
    pruned: Annotated[tuple[str, ...], Field(description="Locations of the removed backups.")] = ()
    bytes: Annotated[int, Field(description="Total size, in bytes, of the removed objects, as listed by the store.")] = 0
    kept: Annotated[
        int | None, Field(description=("Number of backups of the project that remain. Absent when it is unknown."))
    ] = None
    left: Annotated[
        tuple[Json, ...],
        Field(
            description=("Backups that stay although the retention rule does not keep them. Each has `location` and `why`.")
        ),
    ] = ()
    older_versions: Annotated[
        int | None,
        Field(
            description=(
                "Bytes that the removed backups still use, because the bucket keeps older versions of objects. "
                "Null when the bucket keeps no versions."
            )
        ),
    ] = None
    message: Annotated[
        str,
        Field(description=("Reason why nothing was removed, or why objects remain. Empty when everything was removed.")),
    ] = ""


class RecoveryStarted(Begun):
    """A recovery of the run starts, or a person begins to close the run. To close a run is to declare that its remaining
    changes need no undo."""

    KIND: ClassVar[str] = "recovery.started"


class RecoveryFinished(Ended):
    """The recovery ended."""

    KIND: ClassVar[str] = RECOVERY_FINISHED

    gone: Annotated[
        str, Field(description="Reason why nothing is left to undo. Only present when the lab of the run is gone.")
    ] = ""
    kept: Annotated[
        tuple[str, ...] | None,
        Field(description=("Locks and files that remain on unreachable hosts. Only present when a person closed the run.")),
    ] = None


class StepAdded(Content):
    """A recovery executes a step that is not in the plan."""

    KIND: ClassVar[str] = "step.added"
    PLACE: ClassVar[str] = "step"
    DECISIVE: ClassVar[bool] = True

    step: Annotated[Json, Field(description="The step, in the same form as in a plan.")]
    why: Annotated[str, Field(description="Reason why the step is executed.")] = ""


class ResidueSettled(Content):
    """A named person closed the remaining changes (residue). From now on, these changes need no undo."""

    KIND: ClassVar[str] = "residue.settled"
    DECISIVE: ClassVar[bool] = True

    by: Annotated[str, Field(description="Person who closed the run.")]
    reason: Annotated[str, Field(description="Reason why nothing is left to undo.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "Changes that were closed. Each has `step`, `host`, `what`, `proof` (state that a check found: `gone` or "
                "`unknown`) and `detail`."
            )
        ),
    ]
    approval: Annotated[
        Json | None,
        Field(description=("Approval by a second person, with the key of the approval; null when there is no approval.")),
    ]
    residue: Annotated[
        tuple[Json, ...],
        Field(
            description="Remaining changes that need no undo, as the person declared; same form as `residue` in `run.finished`."
        ),
    ]
    intents: Annotated[tuple[int, ...], Field(description="`seq` of each `intent` whose change counts as undone now.")]


class SettlementRefused(Content):
    """A person wanted to close a run: to declare that its remaining changes need no undo. This was refused."""

    KIND: ClassVar[str] = "settlement.refused"

    by: Annotated[str, Field(description="Person who wanted to close the run.")]
    reason: Annotated[str, Field(description="Reason that the person gave for closing the run.")]
    changes: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "Remaining changes. Each has `step`, `host`, `what`, `proof` (state that a check found: `gone`, `active` "
                "or `unknown`) and `detail`."
            )
        ),
    ]
    findings: Annotated[
        tuple[Json, ...], Field(description="Reasons against closing the remaining changes, as [findings](findings.md).")
    ]
