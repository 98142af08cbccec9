"""Events about steps: their outcomes, their output, the intents before changes, and the undo of changes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content, Json

Seconds = Annotated[float, Field(description="Duration in seconds, on the controller's monotonic clock.")]
Attempts = Annotated[int, Field(description="Number of attempts.")]
Facts = Annotated[
    Json,
    Field(description=("Facts that the action found. The page [actions](actions.md) describes the facts of each action.")),
]
Outcomes = Annotated[
    tuple[Json, ...],
    Field(
        description=(
            "Outcomes of the attempts, if the step made several attempts: `outcome` (the first line of the message) and `count` "
            "(the number of attempts with this outcome). An attempt that was cut off by the end of the step's time is not "
            "counted. Absent for a single attempt, and in older journals."
        )
    ),
]
OfIntent = Annotated[int, Field(description="`seq` of the event `intent` that announced the change.")]


class OnStep(Content):
    """Base of the events of one step on one host."""

    PLACE: ClassVar[str] = "step and host"


class StepStarted(OnStep):
    """A step began on a host."""

    KIND: ClassVar[str] = "step.started"
    DECISIVE: ClassVar[bool] = True

    action: Annotated[str, Field(description="Name of the action.")]
    phase: Annotated[str, Field(description="Phase of the step.")]
    name: Annotated[str, Field(description="Name of the step in the drill; empty when it has none.")] = ""
    effect: Annotated[str, Field(description="`read`, `write` or `fault`.")]
    params: Annotated[
        Json, Field(description=("Parameters of the action. A secret is replaced by the source of the secret."))
    ]


class IntentRecorded(OnStep):
    """A change is about to be made. If no later event tells its outcome, the change counts as made."""

    KIND: ClassVar[str] = "intent"
    DECISIVE: ClassVar[bool] = True

    action: Annotated[str, Field(description="Name of the action.")]
    params: Annotated[Json, Field(description="Parameters of the action, in which every expression is evaluated.")]
    effect: Annotated[str, Field(description="`write` or `fault`.")]
    undo: Annotated[
        Json,
        Field(
            description=(
                "The undo of the change. Its fields are `kind` (`commands`, `action`, `restore` or `nothing`), "
                "`commands`, `action`, `params` and `why`."
            )
        ),
    ]
    become: Annotated[
        str,
        Field(description=("Account that makes and undoes the change, as set by `become`. Absent when it is the SSH user.")),
    ] = ""


class CommandRun(OnStep):
    """A command ran on the host for the step."""

    KIND: ClassVar[str] = "command"
    BULK: ClassVar[bool] = True

    argv: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "The command and its arguments, without secrets. Of a long one, such as a script, only the beginning and the end."
            )
        ),
    ]
    exit: Annotated[int | None, Field(description=("Exit status of the command; null when the command has no exit status."))]
    signal: Annotated[str | None, Field(description="Signal that terminated the command; null when no signal did.")]
    seconds: Annotated[float, Field(description="Duration in seconds, on the controller's monotonic clock.")]
    stdout: Annotated[str, Field(description="Last part of the command's standard output, in printable form.")]
    stderr: Annotated[str, Field(description="Last part of the command's standard error, in printable form.")]
    stdout_bytes: Annotated[int, Field(description="Number of bytes that the command wrote to standard output.")]
    stderr_bytes: Annotated[int, Field(description="Number of bytes that the command wrote to standard error.")]
    error: Annotated[str | None, Field(description="Reason why the command has no exit status; null when it has one.")] = (
        None
    )
    become: Annotated[
        str, Field(description=("Account that ran the command, as set by `become`. Absent when it was the SSH user."))
    ] = ""


class Done(OnStep):
    """A step succeeded on a host."""

    KIND: ClassVar[str] = "done"
    DECISIVE: ClassVar[bool] = True

    facts: Facts
    seconds: Seconds
    attempts: Attempts


class Failed(OnStep):
    """A step failed on a host."""

    KIND: ClassVar[str] = "failed"
    DECISIVE: ClassVar[bool] = True

    outcome: Annotated[
        str,
        Field(
            description=(
                "Kind of failure. `failed`: the step found a problem. `unverified`: the step could not reach a "
                "result. `error`: the step itself failed. `cancelled`: the step was stopped."
            )
        ),
    ]
    code: Annotated[str, Field(description="Code of the [error](errors.md).")]
    message: Annotated[str, Field(description="The problem in one sentence.")]
    findings: Annotated[
        tuple[Json, ...], Field(description="Problems that the step found, as [findings](findings.md).")
    ] = ()
    facts: Facts
    seconds: Seconds
    attempts: Attempts
    allowed: Annotated[
        str | None,
        Field(description=("Reason that the drill gives for allowing this failure; null when the failure is not allowed.")),
    ]
    outcomes: Outcomes = ()


class Skipped(Content):
    """A step was skipped on all its hosts."""

    KIND: ClassVar[str] = "skipped"
    PLACE: ClassVar[str] = "step"

    why: Annotated[
        str,
        Field(
            description="Reason for the skip: a false condition of the step, an earlier step that failed, or a stop of the run."
        ),
    ]


class OfFault(OnStep):
    """Base of the events about the state of a fault."""

    active: Annotated[
        bool | None,
        Field(description=("True when the fault is active, false when it is not active, and null when this is unknown.")),
    ]
    detail: Annotated[str, Field(description="Reason why the state of the fault is unknown; empty when it is known.")] = ""
    outcomes: Outcomes = ()


class FaultActive(OfFault):
    """The state of a fault was checked after its injection."""

    KIND: ClassVar[str] = "fault.active"


class FaultGone(OfFault):
    """The state of a fault was checked after its undo."""

    KIND: ClassVar[str] = "fault.gone"
    DECISIVE: ClassVar[bool] = True


class UndoStarted(OnStep):
    """The undo of a change began."""

    KIND: ClassVar[str] = "undo"
    DECISIVE: ClassVar[bool] = True

    intent: OfIntent
    kind: Annotated[str, Field(description="`commands` or `action`.")]
    commands: Annotated[
        tuple[tuple[str, ...], ...], Field(description=("Commands that undo the change on the host of the step, in order."))
    ] = ()
    action: Annotated[str, Field(description="Name of the action that undoes the change; empty when no action does.")] = ""
    params: Annotated[Json | None, Field(description="Parameters of the action that undoes the change.")] = None
    why: Annotated[
        str,
        Field(
            description=(
                "Reason why there is nothing to undo, or why only a restore can undo the change. Empty for other changes."
            )
        ),
    ] = ""


class OfUndo(OnStep):
    """Base of the events that report the outcome of an undo."""

    DECISIVE: ClassVar[bool] = True

    intent: OfIntent
    message: Annotated[str, Field(description="Way in which the change was undone, or reason why it could not be undone.")]


class Undone(OfUndo):
    """A change was undone, or needed no undo."""

    KIND: ClassVar[str] = "undone"


class UndoFailed(OfUndo):
    """A change could not be undone."""

    KIND: ClassVar[str] = "undo.failed"


class BackupProven(OnStep):
    """This run verified a backup of the data that a fault will destroy. The event is written before the fault."""

    KIND: ClassVar[str] = "backup.proven"
    PLACE: ClassVar[str] = "step and host of the fault"

    service: Annotated[str, Field(description="Service whose data the backup contains.")]
    location: Annotated[str, Field(description="Location of the backup with the digest of its manifest.")]
    proof: Annotated[str, Field(description="Name of the action that verified the backup.")]
    identity: Annotated[
        Json,
        Field(
            description=(
                "Identity of the data that the fault will destroy, as the target reported it right before the fault. "
                "Empty in older journals."
            )
        ),
    ] = {}


class SourceProven(OnStep):
    """This run verified a backup of the data that a fault will destroy. The team's own tools made this backup.

    The event is written before the fault. A restore of this backup would lose no more data than the objective `rpo` allows.
    """

    KIND: ClassVar[str] = "source.proven"
    PLACE: ClassVar[str] = "step and host of the fault"

    service: Annotated[str, Field(description="Service whose data the fault will destroy.")]
    source: Annotated[str, Field(description="Name of the backup source in the inventory.")]
    backup: Annotated[str, Field(description="Id of the verified backup.")]
    proof: Annotated[str, Field(description="Name of the action that verified the backup.")]
    moment: Annotated[str, Field(description="Time, in UTC, of the newest data that a restore brings back.")]
    basis: Annotated[str, Field(description="Source of `moment`: where this time was read, and which clock set it.")]
    loss_s: Annotated[float, Field(description=("Seconds from `moment` to this event, measured by the controller's clock."))]
    error_s: Annotated[float, Field(description="Maximum error of `moment` in seconds.")]
    rpo_s: Annotated[float, Field(description="Objective `rpo` of the drill in seconds.")]
    identity: Annotated[
        Json,
        Field(
            description=(
                "Identity of the data that the fault will destroy, as the target reported it right before the fault."
            )
        ),
    ] = {}


class TransferProgress(OnStep):
    """A transfer made progress."""

    KIND: ClassVar[str] = "progress"

    what: Annotated[str, Field(description="Direction of the transfer: `to the store` or `from the store`.")]
    bytes: Annotated[int, Field(description="Number of bytes that were transferred so far.")]
    total: Annotated[int, Field(description="Number of bytes to transfer in total.")]


class Waited(Content):
    """A person answered the question of a manual step, or the wait for the answer ended."""

    KIND: ClassVar[str] = "waiting"
    PLACE: ClassVar[str] = "step and host"

    seconds: Annotated[float, Field(description="Duration of the wait in seconds, on the controller's monotonic clock.")]
    why: Annotated[str, Field(description="The question that the person was asked.")] = ""


class Diagnosed(OnStep):
    """A diagnosis step ended. The event tells which cause was found, if any."""

    KIND: ClassVar[str] = "diagnosed"

    expected: Annotated[str, Field(description="Cause that the drill expects.")]
    found: Annotated[str, Field(description="Cause that the diagnosis found.")]
    correct: Annotated[bool, Field(description="True when the cause found is the expected cause.")]
    seconds: Annotated[float | None, Field(description="Duration in seconds, on the controller's monotonic clock.")]
    error_s: Annotated[float | None, Field(description="Maximum error of the duration in seconds.")]
    ranked: Annotated[
        tuple[Json, ...],
        Field(
            description=(
                "The likeliest causes, at most 10, with the observations for and against each. The likeliest cause comes "
                "first. The evidence file has all possible causes."
            )
        ),
    ]
    why: Annotated[
        tuple[str, ...],
        Field(description=("Observations that support the cause. When no cause was found: the reasons for this.")),
    ]
    evidence: Annotated[
        Json | None, Field(description="`file`, `sha256` and `bytes` of the evidence file with all observations.")
    ] = None
