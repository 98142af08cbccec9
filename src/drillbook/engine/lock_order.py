"""Takes many locks in an order in which two runs never wait for each other.

All runs sort their locks by the same rule. While a run waits for a lock, it holds no lock that comes later in this
order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from drillbook.engine.parallel import on_each
from drillbook.errors import Locked
from drillbook.sdk.identity import LockName

GRACE_S = 3.0
"""Time, in seconds, to wait for a lock that another run has just taken.

Two runs that begin at the same time can each hold a lock that the other one needs. One of them then releases its locks within
this time, and takes them again later; see ``take_all``.
"""


class Taker(Protocol):
    """Takes and gives back single locks."""

    def take_one(self, named: LockName, patience: float) -> None:
        """Take a lock, waiting at most ``patience`` seconds.

        Raises Locked when another run holds the lock, and HostError when the host cannot be used.
        """

    def give_back(self, named: LockName) -> None:
        """Release a lock that ``take_one`` took. Raises HostError when the host fails."""

    def is_new(self, named: LockName) -> bool:
        """Return True when the holder took the lock only a moment ago. Such a holder possibly gives the lock back soon."""


def take_all(locks: Sequence[LockName], taker: Taker) -> None:
    """Take all ``locks``: the first lock alone, and then the other locks in parallel.

    When several runs want the same locks, the run that gets the first lock gets all locks. But another run may hold some of the
    later locks. Let M be the first of these in ``locks``. This run then gives back all locks that come after M in ``locks``.
    Then it takes M and the locks after M one by one, in their order. Raises Locked when another run holds a lock, and HostError
    when a host fails.
    """
    first, rest = locks[:1], locks[1:]
    for named in first:
        taker.take_one(named, 0.0)
    errors = on_each(lambda named: _error(lambda: taker.take_one(named, 0.0)), rest, name="lock")
    unlike = [error for error in errors if error and not isinstance(error, Locked)]
    if unlike:
        raise unlike[0]
    begin = next((number for number, error in enumerate(errors) if error), len(rest))
    for named, error in zip(rest[begin:], errors[begin:], strict=True):
        if not error:
            taker.give_back(named)
    for named in rest[begin:]:
        taker.take_one(named, GRACE_S if taker.is_new(named) else 0.0)


def take_over(locks: Sequence[LockName], take_one: Callable[[LockName, float], None], patience: float) -> None:
    """Take all ``locks`` of a dead run: the first lock alone, and then the other locks in parallel.

    No lock is given back, because the changes of the dead run are not undone yet. If another run holds some of these locks,
    wait for them one by one, in their order, for ``patience`` seconds in all. ``take_one``: function that takes a lock, and
    waits at most a given number of seconds. Raises Locked when another run still holds a lock, and the errors of ``take_one``.
    """
    until = time.monotonic() + patience
    for named in locks[:1]:
        take_one(named, patience)
    errors = on_each(lambda named: _error(lambda: take_one(named, 0.0)), locks[1:], name="lock")
    for named, error in zip(locks[1:], errors, strict=True):
        if isinstance(error, Locked):
            take_one(named, max(0.0, until - time.monotonic()))
        elif error:
            raise error


def _error(work: Callable[[], None]) -> Exception | None:
    try:
        work()
    except Exception as error:  # noqa: BLE001  raised by the caller, in the order of the locks
        return error
    return None
