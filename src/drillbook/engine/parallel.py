"""Runs the same work on many hosts at the same time, with a limited number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Answer = TypeVar("Answer")

AT_ONCE = 64
"""Largest number of hosts on which a step or other work runs at the same time."""


def on_each(work: Callable[[T], Answer], items: Sequence[T], *, name: str) -> list[Answer]:
    """Call ``work`` for all ``items`` in parallel. Return the results in the order of ``items``.

    ``name``: name of the threads. Waits for all calls, even after an error. Then raises the first error in the order of
    ``items``.
    """
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(items))), thread_name_prefix=name) as pool:
        calls = [pool.submit(work, item) for item in items]
    return [call.result() for call in calls]
