"""How to put back what an action changed, as data of the journal."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Undo(BaseModel):
    """How to put back what an action changed: data, written to the journal before the action starts.

    Must be safe to carry out twice, and when the action never happened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["commands", "action", "restore", "nothing"]
    commands: tuple[tuple[str, ...], ...] = ()
    action: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    why: str = ""

    @classmethod
    def by_commands(cls, *commands: tuple[str, ...]) -> Self:
        """Commands on the step's own host, in order; each must end with status 0."""
        return cls(kind="commands", commands=commands)

    @classmethod
    def by_action(cls, name: str, **params: Any) -> Self:
        """Another action with its parameters, where the step itself ran."""
        return cls(kind="action", action=name, params=params)

    @classmethod
    def by_restore(cls, why: str) -> Self:
        """Nothing but the drill's restore phase helps."""
        return cls(kind="restore", why=why)

    @classmethod
    def nothing(cls, why: str) -> Self:
        """There is nothing to put back, and ``why``."""
        return cls(kind="nothing", why=why)
