"""Waits for a coroutine with a strict time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
_abandoned: set[asyncio.Task[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Wait for ``work``, and return its result. Raises TimeoutError when ``work`` takes longer than ``seconds``. Otherwise
    raises any exception of ``work``.

    Unlike `asyncio.timeout`, this function does not wait until the cancelled task has ended. When psycopg is cancelled, it
    asks the server to cancel the statement, which takes up to 10 s when no packet gets through.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            _abandoned.add(task)
            task.add_done_callback(_forget)
            task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # marks the exception as retrieved; otherwise asyncio would log it
