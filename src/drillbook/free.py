"""Free steps: commands of the drill's own, which say themselves what they restore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from drillbook.action import Action, Effect
from drillbook.explaining import Misplaced


class Restores(BaseModel):
    """Service that a free step restores, and the backup that it restores from."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    service: Annotated[str, Field(min_length=1, description="The service that it brings back.")]
    from_: Annotated[str, Field(alias="from", min_length=1, description="The `location` of the backup that was proven.")]


class Free(Action):
    """Base of the actions whose effect a drill declares: nothing else knows what they do."""

    restores: Annotated[Restores | None, Field(description=(
        "write: the `service` that it restores, and `from` which backup: the `location` that was proven. The phase `verify` "
        "then needs a comparison of the content."))] = None

    @property
    def effect(self) -> Effect:
        """The declared one."""
        return Effect(self.__dict__.get("effect_", Effect.READ))

    @classmethod
    def check_written(cls, params: Mapping[str, Any]) -> None:
        """Check how the ``params`` of a step, as a file writes them, fit together. Raises Misplaced."""
        effect = params.get("effect", Effect.READ)
        if params.get("restores") is not None and effect != Effect.WRITE:
            raise Misplaced(f"{cls.name()} restores something, so its effect is `write`, not `{effect}`", ("restores",),
                            "write `effect: write`, or remove `restores`")
