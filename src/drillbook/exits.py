"""Exit statuses of all tasks, for people and for pipelines: each is named here and nowhere else."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit status of a task."""

    OK = 0
    """Everything that was asked for is so: the drill passed, the diagnosis is healthy, the record is whole."""
    FAILED = 1
    """Something is proven to be wrong: the recovery failed, a cause was found, a record was changed."""
    USAGE = 2
    """The input is wrong; nothing was touched."""
    UNVERIFIED = 3
    """It could not be verified, so nothing is known: never a pass."""
    REFUSED = 4
    """The drill was not let begin, or was stopped, and put everything back."""
    RESIDUE = 5
    """Something is left that a person must put back; or it is not known whether there is."""
    BROKEN_PIPE = 141
    """Nobody reads the output any more: 128 and the number of SIGPIPE, as shells tell it."""
