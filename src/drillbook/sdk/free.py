"""Free steps: commands of the drill's own, which say themselves what they do, how it is put back, and what they restore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.language.explaining import Misplaced
from drillbook.sdk.action import Action, Effect, Fault

RESTORE = "restore"
"""The undo of what only a restore brings back."""


class Restores(BaseModel):
    """Service that a free step restores, and the backup that it restores from."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    service: Annotated[str, Field(min_length=1, description="The service that it brings back.")]
    from_: Annotated[str, Field(alias="from", min_length=1, description="The `location` of the backup that was proven.")]


class Free(Action):
    """Base of the actions whose effect a drill declares: nothing else knows what they do."""

    CODE = "argv"

    restores: Annotated[
        Restores | None,
        Field(
            description=(
                "write: the `service` that it restores, and `from` which backup: the `location` that was proven. The phase `verify` "
                "then needs a comparison of the content."
            )
        ),
    ] = None

    @property
    def effect(self) -> Effect:
        """The declared one."""
        return Effect(self.__dict__.get("effect_", Effect.READ))

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        """A plan of a version that did not ask for the effect: what declared none read."""
        return {"effect": Effect.READ, **values} if isinstance(values, dict) and "effect_" not in values else values

    @classmethod
    def check_written(cls, params: Mapping[str, Any]) -> None:
        """Check what the ``params`` of a step in a file declare, whatever expressions they hold. Raises Misplaced."""
        effect, name = params.get("effect"), cls.name()
        if effect is None:
            breaks = ", or `effect: fault` (it breaks something; with `undo` and `proof`)" if issubclass(cls, Fault) else ""
            raise Misplaced(
                f"{name} does not say what it does: `effect` is missing",
                (),
                (f"add `effect: read` (it only looks) or `effect: write` (it changes something on purpose){breaks}"),
            )
        if params.get("restores") is not None and effect != Effect.WRITE:
            raise Misplaced(
                f"{name} restores something, so its effect is `write`, not `{effect}`",
                ("restores",),
                "write `effect: write`, or remove `restores`",
            )
        if effect == Effect.FAULT:
            cls._check_fault(params)
        elif params.get("undo") == RESTORE or params.get("proven_by") is not None:
            raise Misplaced(
                f"{name} breaks nothing, so nothing has to be restored for it",
                ("proven_by" if params.get("proven_by") is not None else "undo",),
                "write `effect: fault`, or the command that puts it back",
            )

    @classmethod
    def _check_fault(cls, params: Mapping[str, Any]) -> None:
        """A fault says how it is put back, and how it is seen."""
        undo, proven = params.get("undo"), params.get("proven_by")
        if undo is None:
            raise Misplaced(
                "a command whose effect is `fault` needs `undo`: the command that puts it back",
                (),
                f"or `undo: {RESTORE}` with `proven_by`, where nothing but a restore brings it back",
            )
        if params.get("proof") is None:
            raise Misplaced(
                "a command whose effect is `fault` needs `proof`: without it nobody could tell that it is gone",
                (),
                "write a command that ends with 0 while the fault is active, and with 1 when it is gone",
            )
        if isinstance(undo, str) and undo != RESTORE:
            raise Misplaced(
                "the undo of a fault must be known before anything runs",
                ("undo",),
                f"write a list: the program and its arguments; or `{RESTORE}`",
            )
        if undo == RESTORE and not isinstance(proven, str):
            raise Misplaced(
                f"`undo: {RESTORE}` needs `proven_by`: the step of `backup` that proves the backup",
                ("undo",),
                "write its `save`, or its id such as backup.2",
            )
        if undo != RESTORE and proven is not None:
            raise Misplaced(f"`proven_by` belongs to `undo: {RESTORE}`", ("proven_by",), "remove it")
