"""State of one lock of a run, as the result of the run stores it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class LockState(BaseModel):
    """State of one lock when its run ended. A recovery may release the lock later; see ``later``."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    host: str
    title: str
    """Services that the lock protects."""
    status: Literal["released", "lost", "unreleased"]
    """``lost``: another run took the lock over. ``unreleased``: the journal of the run records no release."""
    later: bool = False
    """True when a later recovery released the lock."""
