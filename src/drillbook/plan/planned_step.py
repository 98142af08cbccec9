"""The model of the planned steps and probes of a run, each with its parameters and its hosts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from drillbook.inventory.controller import CONTROLLER
from drillbook.sdk.effect import Effect


class PlanPart(BaseModel):
    """A part of a plan: it does not change, and accepts no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedStep(PlanPart):
    """One step with its hosts. Its parameters may contain expressions that use facts of earlier steps."""

    id: str
    phase: str
    group: int | None
    action: str
    name: str
    params: dict[str, Any]
    effect: Effect
    restore_only: bool
    proves_backup: bool
    hosts: tuple[str, ...]
    save: str | None
    when: str | None
    expect: tuple[str, ...]
    timeout_s: float
    retries: int
    every_s: float | None
    allow_failure: str | None
    line: str
    become: str | None = None
    """Account that the step itself names. An empty text means the SSH user. None means that the step sets no account.
    The service or the host then decides.
    """

    @model_serializer(mode="wrap")
    def _without_unused(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Serialise the step. Leave out `become` when it is not set. Older versions wrote no `become`, so the digests of
        their plans stay the same.
        """
        return {key: value for key, value in written(self).items() if key != "become" or value is not None}

    def works_on(self, places: str) -> str:
        """Return a phrase about the target of the step: its hosts, or the service that it reaches from the controller.

        ``places``: names of the step's hosts, as a phrase.
        """
        named = ", ".join(dict.fromkeys(self.services())) if self.hosts == (CONTROLLER,) else ""
        return f"{named} (from the {places})" if named else places

    def services(self) -> tuple[str, ...]:
        """Services in the parameters of the step.

        These are the service on which the step works, and the service in the parameter `restores`.
        """
        said = self.params.get("restores")
        return tuple(
            str(params["service"]) for params in (self.params, said) if isinstance(params, dict) and params.get("service")
        )


class PlannedProbe(PlanPart):
    """One probe that runs during the whole drill."""

    id: str
    name: str
    params: dict[str, Any]
    line: str
