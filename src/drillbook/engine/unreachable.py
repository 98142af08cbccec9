"""Repeats work on hosts that are unreachable for a while, until a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from drillbook.errors import CommandTimedOut, HostUnreachable
from drillbook.sdk.host import Deadline

LOST = (HostUnreachable, CommandTimedOut)
"""Errors that show that the host of a command does not answer."""

AGAIN_S = 1.0

Answer = TypeVar("Answer")


def patiently(work: Callable[[], Answer], reach: Deadline | None) -> Answer:
    """Run ``work``. While its host does not answer, repeat ``work`` until the deadline ``reach``.

    Without ``reach``, run it once. ``work`` must be safe to repeat. Raises the last error of ``work``.
    """
    while True:
        try:
            return work()
        except LOST:
            if reach is None or reach.remaining() <= 0 or reach.cancel.wait(min(AGAIN_S, reach.remaining())):
                raise
