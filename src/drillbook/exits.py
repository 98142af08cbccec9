"""Exit statuses of all tasks, for people and for pipelines. They are defined only in this module."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit status of a task."""

    OK = 0
    """Success: for example, the drill passed, the diagnosis is healthy, or the audited records are complete."""
    FAILED = 1
    """A failure is proven: the recovery failed, a cause was found, an audited record was changed, or a drill is overdue."""
    USAGE = 2
    """The input is wrong. Nothing was touched."""
    UNVERIFIED = 3
    """The verification was impossible, so the state is unknown. This never counts as passed."""
    REFUSED = 4
    """The drill was refused. Or the drill was stopped or its controller died, and its changes were undone."""
    RESIDUE = 5
    """A person must undo remaining changes, or it is unknown whether any changes remain."""
    BROKEN_PIPE = 141
    """The reader of the output has gone. The status is 128 plus the number of SIGPIPE, as in shells."""
