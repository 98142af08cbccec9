"""Base of custom steps.

A custom step runs a command from a drill. The drill also declares the effect of the command, its undo, and the service that
it restores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.language.explaining import Misplaced
from drillbook.sdk.action import Action, Context, Effect, Facts, Fault, Undo
from drillbook.sdk.host import Output, printable, shown

RESTORE = "restore"
"""Value of `undo` for a fault that no command can undo, but only a restore step of the drill."""


def declared_undo(argv: tuple[str, ...] | None, what: str) -> Undo:
    """Return the undo of a custom step. The step is not a fault, so it may have no undo. ``argv``: its undo command in the
    drill.

    ``what``: kind of the step, for messages.
    """
    return Undo.by_commands(argv) if argv else Undo.nothing(f"the drill declares no undo for this {what}")


def ended_wrongly(
    ctx: Context, argv: Sequence[str], output: Output, facts: Facts, *, wanted: Sequence[int], why: str = ""
) -> StepFailed:
    """Return the error for a command that ended with a status that is not in ``wanted``. ``why``: explanation of the status
    if it is known.
    """
    how = (f"signal {output.signal}" if output.signal else f"status {output.exit}") + (f" ({why})" if why else "")
    said = printable(output.stderr).rstrip("\n")[-1000:]
    return StepFailed(
        f"{ctx.host.name}: `{shown(argv)}` ended with {how}\n{said}".rstrip(),
        facts=facts,
        findings=[
            finding("step-failed", title=shown(argv, limit=80), measured=how, wanted=f"status {', '.join(map(str, wanted))}")
        ],
    )


class Restores(BaseModel):
    """Parameter of a custom step that restores a backup. It contains the service and the location of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    service: Annotated[str, Field(min_length=1, description="Service that the step restores.")]
    from_: Annotated[str, Field(alias="from", min_length=1, description="Fact `location` of the verified backup.")]


class Free(Action):
    """Base of custom actions. Their commands can do anything, so the drill must declare their effect."""

    CODE = "argv"
    ANY_DATA = True

    restores: Annotated[
        Restores | None,
        Field(
            description=(
                "Needed for a step with `effect: write` that restores a service. `service` is the name of this service, and "
                "`from` is the fact `location` of the verified backup. The phase `verify` then needs a step that compares "
                "the content."
            )
        ),
    ] = None

    @property
    def effect(self) -> Effect:
        """Effect that the drill declares."""
        return Effect(self.if_known("effect_", Effect.READ))

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        """Set the effect to ``read`` when it is missing. It is missing in plans of older versions."""
        return {"effect": Effect.READ, **values} if isinstance(values, dict) and "effect_" not in values else values

    @classmethod
    def check_written(cls, params: Mapping[str, Any]) -> None:
        """Validate the declarations in ``params``. Their values are as written in the drill, so a value may be an
        expression.

        Raises Misplaced when a declaration is missing, or when two declarations contradict each other.
        """
        effect, name = params.get("effect"), cls.name()
        if effect is None:
            breaks = ", or `effect: fault` (a fault, with `undo` and `proof`)" if issubclass(cls, Fault) else ""
            raise Misplaced(
                f"{name} does not declare its effect: `effect` is missing",
                (),
                (f"add `effect: read` (changes nothing) or `effect: write` (an intended change){breaks}"),
            )
        if params.get("restores") is not None and effect != Effect.WRITE:
            raise Misplaced(
                f"{name} restores something, so the only allowed value of `effect` is `write`, not `{effect}`",
                ("restores",),
                "write `effect: write`, or remove `restores` from the step",
            )
        if effect == Effect.FAULT:
            cls._check_fault(params)
        elif params.get("undo") == RESTORE or params.get("proven_by") is not None:
            raise Misplaced(
                f"{name} is not a fault, so `undo: restore` and `proven_by` are not allowed",
                ("proven_by" if params.get("proven_by") is not None else "undo",),
                "write `effect: fault`; or write into `undo` the command that undoes the change",
            )

    @classmethod
    def _check_fault(cls, params: Mapping[str, Any]) -> None:
        """Check that a fault declares `undo` and `proof`, and that `proven_by` fits the value of `undo`. Raises Misplaced
        otherwise.
        """
        undo, proven = params.get("undo"), params.get("proven_by")
        if undo is None:
            raise Misplaced(
                "a command whose effect is `fault` needs `undo`: the command that undoes the fault",
                (),
                f"write `undo: {RESTORE}` and `proven_by` if only a restore can undo the fault",
            )
        if params.get("proof") is None:
            raise Misplaced(
                "a command whose effect is `fault` needs `proof`: without it the fault cannot be verified",
                (),
                "write into `proof` a command that exits with 0 while the fault is active, and with 1 when it is gone",
            )
        if isinstance(undo, str) and undo != RESTORE:
            raise Misplaced(
                "the undo of a fault must be known before the run",
                ("undo",),
                f"write the undo as a list of the program and its arguments, or as `{RESTORE}`",
            )
        if undo == RESTORE and not isinstance(proven, str):
            raise Misplaced(
                f"`undo: {RESTORE}` needs `proven_by`: the step of the phase `backup` that verifies the backup",
                ("undo",),
                "write into `proven_by` the name in the step's `save`, or the step's id such as backup.2",
            )
        if undo != RESTORE and proven is not None:
            raise Misplaced(f"`proven_by` is allowed only with `undo: {RESTORE}`", ("proven_by",), "remove it")
