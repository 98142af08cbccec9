"""Undo of an action, in the form stored in the journal."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Undo(BaseModel):
    """Undo of an action. It is written to the journal before the action starts.

    It must be safe to run an undo twice, and to run it when the action never started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["commands", "action", "restore", "nothing"]
    commands: tuple[tuple[str, ...], ...] = ()
    action: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    why: str = ""

    @classmethod
    def by_commands(cls, *commands: tuple[str, ...]) -> Self:
        """Return an undo that runs ``commands`` in their order on the step's host. Every command must exit with status 0."""
        return cls(kind="commands", commands=commands)

    @classmethod
    def by_action(cls, name: str, **params: Any) -> Self:
        """Return an undo that runs the action ``name`` with ``params`` on the hosts of the step."""
        return cls(kind="action", action=name, params=params)

    @classmethod
    def by_restore(cls, why: str) -> Self:
        """Return an undo for a fault that only a restore in the drill can repair.

        ``why``: the reason why no command can repair it.
        """
        return cls(kind="restore", why=why)

    @classmethod
    def nothing(cls, why: str) -> Self:
        """Return the undo of a step that needs no undo. ``why``: the reason."""
        return cls(kind="nothing", why=why)
