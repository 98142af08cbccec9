"""Exit statuses of all tasks, for people and for pipelines; defined only in this module."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit status of a task."""

    OK = 0
    """Success: the drill passed, the diagnosis is healthy, the record is complete."""
    FAILED = 1
    """A failure is proven: the recovery failed, a cause was found, a record was changed, a drill is overdue."""
    USAGE = 2
    """The input is wrong; nothing was touched."""
    UNVERIFIED = 3
    """Verification was impossible, so the state is unknown: never a pass."""
    REFUSED = 4
    """The drill was refused, or was stopped and its changes were undone."""
    RESIDUE = 5
    """Changes remain that a person must undo; or it is unknown if any remain."""
    BROKEN_PIPE = 141
    """The reader of the output has gone; the status is 128 plus the number of SIGPIPE, as in shells."""
