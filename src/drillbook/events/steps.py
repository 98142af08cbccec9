"""The steps of a run: what each did and printed, the intents before changes, and how changes were put back."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content, Json

Seconds = Annotated[float, Field(description="How long it took, in seconds on the controller's monotonic clock.")]
Attempts = Annotated[int, Field(description="How often it was tried.")]
Facts = Annotated[Json, Field(description="What the action found, as its page in [actions](actions.md) says.")]
OfIntent = Annotated[int, Field(description="`seq` of the intent.")]


class OnStep(Content):
    """Base of the events of one step on one host."""

    PLACE: ClassVar[str] = "step and host"


class StepStarted(OnStep):
    """A step began on a host."""

    KIND: ClassVar[str] = "step.started"
    DECISIVE: ClassVar[bool] = True

    action: Annotated[str, Field(description="Name of the action.")]
    phase: Annotated[str, Field(description="Phase of the step.")]
    name: Annotated[str, Field(description="Its name in the drill, or empty.")] = ""
    effect: Annotated[str, Field(description="`read`, `write` or `fault`.")]
    params: Annotated[Json, Field(description="Its parameters, secrets as their source.")]


class IntentRecorded(OnStep):
    """A change is about to be made. Without an outcome behind it, it counts as made."""

    KIND: ClassVar[str] = "intent"
    DECISIVE: ClassVar[bool] = True

    action: Annotated[str, Field(description="Name of the action.")]
    params: Annotated[Json, Field(description="Its parameters, with every expression evaluated.")]
    effect: Annotated[str, Field(description="`write` or `fault`.")]
    undo: Annotated[
        Json,
        Field(
            description=(
                "How to put it back: `kind` (`commands`, `action`, `restore`, `nothing`), `commands`, `action`, `params`, `why`."
            )
        ),
    ]


class CommandRun(OnStep):
    """A command ran on the host, for the step."""

    KIND: ClassVar[str] = "command"
    BULK: ClassVar[bool] = True

    argv: Annotated[tuple[str, ...], Field(description="The command and its arguments, without secrets.")]
    exit: Annotated[int | None, Field(description="Its exit status; null when it has none.")]
    signal: Annotated[str | None, Field(description="The signal that ended it, or null.")]
    seconds: Annotated[float, Field(description="How long it took, in seconds on the controller's monotonic clock.")]
    stdout: Annotated[str, Field(description="The printable end of what it printed.")]
    stderr: Annotated[str, Field(description="The printable end of what it printed as errors.")]
    stdout_bytes: Annotated[int, Field(description="Bytes that it printed.")]
    stderr_bytes: Annotated[int, Field(description="Bytes that it printed as errors.")]
    error: Annotated[str | None, Field(description="Why it had no outcome; null when it had one.")] = None


class Done(OnStep):
    """A step ended well on a host."""

    KIND: ClassVar[str] = "done"
    DECISIVE: ClassVar[bool] = True

    facts: Facts
    seconds: Seconds
    attempts: Attempts


class Failed(OnStep):
    """A step did not end well on a host."""

    KIND: ClassVar[str] = "failed"
    DECISIVE: ClassVar[bool] = True

    outcome: Annotated[
        str,
        Field(
            description=(
                "`failed`: it found something wrong; `unverified`: it could not be carried out; `error`: something broke; "
                "`cancelled`."
            )
        ),
    ]
    code: Annotated[str, Field(description="Code of the [error](errors.md).")]
    message: Annotated[str, Field(description="What was wrong.")]
    findings: Annotated[tuple[Json, ...], Field(description="What was wrong, as [findings](findings.md).")] = ()
    facts: Facts
    seconds: Seconds
    attempts: Attempts
    allowed: Annotated[str | None, Field(description="The written reason why it may fail, or null.")]


class Skipped(Content):
    """A step was left out on all its hosts."""

    KIND: ClassVar[str] = "skipped"
    PLACE: ClassVar[str] = "step"

    why: Annotated[str, Field(description="Its condition, or what failed before it.")]


class OfFault(OnStep):
    """Base of the answers to the question whether a fault is active."""

    active: Annotated[bool | None, Field(description="True, false, or null: it cannot be told.")]
    detail: Annotated[str, Field(description="Why it could not be asked, or empty.")] = ""


class FaultActive(OfFault):
    """The fault was asked whether it is active, after it was injected."""

    KIND: ClassVar[str] = "fault.active"


class FaultGone(OfFault):
    """The fault was asked whether it is gone."""

    KIND: ClassVar[str] = "fault.gone"


class UndoStarted(OnStep):
    """A change is about to be put back."""

    KIND: ClassVar[str] = "undo"
    DECISIVE: ClassVar[bool] = True

    intent: OfIntent
    kind: Annotated[str, Field(description="`commands` or `action`.")]
    commands: Annotated[tuple[tuple[str, ...], ...], Field(description="Commands on the host of the step, in order.")] = ()
    action: Annotated[str, Field(description="Name of the action that puts it back, or empty.")] = ""
    params: Annotated[Json | None, Field(description="Parameters of that action.")] = None
    why: Annotated[str, Field(description="Why there is nothing to do, or nothing but a restore; or empty.")] = ""


class OfUndo(OnStep):
    """Base of the outcomes of putting a change back."""

    DECISIVE: ClassVar[bool] = True

    intent: OfIntent
    message: Annotated[str, Field(description="How it was put back, or why it could not be.")]


class Undone(OfUndo):
    """A change is put back, or there was nothing to put back."""

    KIND: ClassVar[str] = "undone"


class UndoFailed(OfUndo):
    """A change could not be put back."""

    KIND: ClassVar[str] = "undo.failed"


class BackupProven(OnStep):
    """A backup of what a fault will destroy was proven whole in this run."""

    KIND: ClassVar[str] = "backup.proven"
    PLACE: ClassVar[str] = "step and host of the fault"

    service: Annotated[str, Field(description="Service that it is a backup of.")]
    location: Annotated[str, Field(description="Where it lies, with the digest of its manifest.")]
    proof: Annotated[str, Field(description="Name of the action that proved it.")]
    identity: Annotated[
        Json,
        Field(
            description=("What the fault destroys, as its target told right before the injection; empty in older journals.")
        ),
    ] = {}


class TransferProgress(OnStep):
    """A transfer is under way."""

    KIND: ClassVar[str] = "progress"

    what: Annotated[str, Field(description="Direction of the transfer.")]
    bytes: Annotated[int, Field(description="Bytes carried so far.")]
    total: Annotated[int, Field(description="Bytes to carry.")]


class Waited(Content):
    """Time was spent waiting for a person."""

    KIND: ClassVar[str] = "waiting"
    PLACE: ClassVar[str] = "step and host"

    seconds: Annotated[float, Field(description="How long, in seconds on the controller's monotonic clock.")]
    why: Annotated[str, Field(description="What the person was asked.")] = ""


class Diagnosed(OnStep):
    """The step that diagnoses found a cause, or none."""

    KIND: ClassVar[str] = "diagnosed"

    expected: Annotated[str, Field(description="The cause that the drill expects.")]
    found: Annotated[str, Field(description="The cause that was found.")]
    correct: Annotated[bool, Field(description="True when they are the same.")]
    seconds: Annotated[float | None, Field(description="How long it took, on the controller's monotonic clock.")]
    error_s: Annotated[float | None, Field(description="Error of that time, in seconds.")]
    ranked: Annotated[tuple[Json, ...], Field(description="The causes with what was seen, the likeliest first.")]
    why: Annotated[tuple[str, ...], Field(description="What spoke for the cause, or why none was found.")]
    evidence: Annotated[Json | None, Field(description="`file`, `sha256` and `bytes` of all that was seen.")] = None
