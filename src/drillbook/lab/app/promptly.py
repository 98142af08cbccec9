"""Waiting for an answer no longer than one has time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
_abandoned: set[asyncio.Task[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """What ``work`` returns. Raises TimeoutError after ``seconds``, and what ``work`` raises.

    `asyncio.timeout` also waits until what it cancels has ended, and psycopg first asks the server to cancel the statement,
    for up to 10 s when no packet gets through. Here that goes on in the background, and nobody waits for it.
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
        task.exception()  # nobody waits for it any more: without this it would be logged as never retrieved
