"""Traces the memory allocations of the API on request, with tracemalloc of Python's standard library.

A request starts a trace that lasts ``seconds``. The answer lists only the source lines that allocated memory in that time
and did not free it, with the size of this memory. Tracing slows every allocation. It ends after the request, even if the
client has disconnected.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Query, Response
from fastapi.responses import JSONResponse

LONGEST = 600


class Watch:
    """Tracer of allocations. Only one request at a time may trace, because tracing applies to the whole process."""

    def __init__(self) -> None:
        """Create an idle tracer."""
        self._busy = False

    async def look(self, seconds: float, most: int) -> dict[str, Any] | None:
        """Trace memory allocations for ``seconds``. Return the source lines that hold most of the new memory.

        ``most``: largest number of lines to return. Returns None while another request is tracing.
        """
        if self._busy:
            return None
        self._busy = True
        ours = not tracemalloc.is_tracing()
        try:
            return await self._watched(seconds, most, ours)
        finally:
            if ours:
                tracemalloc.stop()
            self._busy = False

    async def _watched(self, seconds: float, most: int, ours: bool) -> dict[str, Any]:
        began = time.monotonic()
        if ours:
            tracemalloc.start()
        before = tracemalloc.take_snapshot()
        tracemalloc.reset_peak()
        first, _ = tracemalloc.get_traced_memory()
        await asyncio.sleep(seconds)
        _, peak = tracemalloc.get_traced_memory()
        after = await asyncio.to_thread(tracemalloc.take_snapshot)
        took = time.monotonic() - began
        growth = await asyncio.to_thread(_growth, after, before)
        return {"seconds": round(took, 3), "peak_bytes": max(0, peak - first), **_sums(growth, most)}


def _growth(after: tracemalloc.Snapshot, before: tracemalloc.Snapshot) -> list[tracemalloc.StatisticDiff]:
    """Return the source lines that hold more memory in the snapshot ``after`` than in the snapshot ``before``.

    Lines of tracemalloc itself are left out.
    """
    without = [tracemalloc.Filter(False, tracemalloc.__file__)]
    differences = after.filter_traces(without).compare_to(before.filter_traces(without), "lineno")
    return sorted(
        (difference for difference in differences if difference.size_diff > 0), key=lambda difference: -difference.size_diff
    )


def _sums(differences: Sequence[tracemalloc.StatisticDiff], most: int) -> dict[str, Any]:
    lines = [
        {
            "where": f"{difference.traceback[0].filename}:{difference.traceback[0].lineno}",
            "bytes": difference.size_diff,
            "allocations": difference.count_diff,
        }
        for difference in differences[:most]
    ]
    return {
        "held_bytes": sum(difference.size_diff for difference in differences),
        "held_allocations": sum(difference.count_diff for difference in differences),
        "lines": lines,
    }


def add(app: FastAPI) -> None:
    """Add the route ``GET /debug/allocations?seconds=S&most=N``.

    Its answer has the status 200 and lists the held memory, or has the status 409 while another request traces.
    """
    watch = Watch()

    @app.get("/debug/allocations")
    async def show_allocations(
        seconds: Annotated[int, Query(ge=1, le=LONGEST)] = 10,
        most: Annotated[int, Query(ge=1, le=100)] = 15,
    ) -> Response:
        answer = await watch.look(seconds, most)
        return JSONResponse({"error": "another request is already tracing"}, 409) if answer is None else JSONResponse(answer)
