"""Hosts that cannot be reached for a while: what must be done there is tried again until the patience for it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from drillbook.errors import CommandTimedOut, HostUnreachable
from drillbook.sdk.host import Deadline

LOST = (HostUnreachable, CommandTimedOut)
"""What a command raises whose host does not answer."""

AGAIN_S = 1.0

Answer = TypeVar("Answer")


def patiently(work: Callable[[], Answer], reach: Deadline | None) -> Answer:
    """Do ``work``, again and again while its host does not answer and ``reach`` lasts; without ``reach`` once.

    ``work`` must be safe to do twice. Raises what it raises in the end.
    """
    while True:
        try:
            return work()
        except LOST:
            if reach is None or reach.remaining() <= 0 or reach.cancel.wait(min(AGAIN_S, reach.remaining())):
                raise
