"""Effects of actions. Modules of actions import them from ``sdk.action``. The models of plans import them from here, because
they do not need the base classes of actions.
"""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """Effect of an action on its target."""

    READ = "read"
    WRITE = "write"
    FAULT = "fault"
