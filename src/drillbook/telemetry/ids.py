"""Ids of traces and spans. They are derived from the name of the run. Therefore they never change, and are known before
the spans are sent.

W3C Trace Context defines the format of ``traceparent`` (https://www.w3.org/TR/trace-context/#traceparent-header).
"""

from __future__ import annotations

import hashlib

ROOT = "run"


def trace_id(run: str) -> int:
    """Return the trace id of ``run``. The id is an integer of 16 bytes, and never zero. The run of a suite and the runs of
    its drills have the same trace id.
    """
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[:16]) or 1


def span_id(run: str, key: str) -> int:
    """Return the id of the span ``key`` in a run. It is an integer of 8 bytes, and never zero."""
    return int.from_bytes(hashlib.sha256(f"{run}\0{key}".encode()).digest()[:8]) or 1


def step_key(step: str, host: str = "") -> str:
    """Return the key of a step for ``span_id``. If ``host`` is given, it is the key of the step on this host. A probe
    has a key like a step without a host.
    """
    return f"step {step}\0{host}" if host else f"step {step}"


def traceparent(run: str, step: str, host: str = "", *, trace: str = "") -> str:
    """Return the value of the HTTP header ``traceparent``. A request with this header belongs to the span of ``step``
    on ``host``.

    ``trace``: for a run inside a suite, the name of the suite's run.
    """
    return f"00-{trace_id(trace or run):032x}-{span_id(run, step_key(step, host)):016x}-01"
