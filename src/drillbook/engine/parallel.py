"""The same work on many hosts at the same time, with a bounded number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Answer = TypeVar("Answer")

AT_ONCE = 64
"""Largest number of hosts that are asked at the same time."""


def on_each(work: Callable[[T], Answer], items: Sequence[T], *, name: str) -> list[Answer]:
    """Call ``work`` for all ``items`` in parallel; returns the results in their order. ``name`` is that of the threads.

    Waits for all of them, also after an error; then raises the first error in the order of ``items``.
    """
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(items))), thread_name_prefix=name) as pool:
        calls = [pool.submit(work, item) for item in items]
    return [call.result() for call in calls]
