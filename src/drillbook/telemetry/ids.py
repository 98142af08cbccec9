"""Ids of traces and spans, made from the run's name: known before anything is exported, and the same every time.

The form of ``traceparent`` is that of W3C Trace Context (https://www.w3.org/TR/trace-context/#traceparent-header).
"""

from __future__ import annotations

import hashlib

ROOT = "run"


def trace_id(run: str) -> int:
    """The trace of a run, or of a suite's run with all its drills: 16 bytes, never zero."""
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[:16]) or 1


def span_id(run: str, key: str) -> int:
    """The span ``key`` of a run: 8 bytes, never zero."""
    return int.from_bytes(hashlib.sha256(f"{run}\0{key}".encode()).digest()[:8]) or 1


def step_key(step: str, host: str = "") -> str:
    """Key of a step's span, or of that of one of its hosts; a probe is a step without a host."""
    return f"step {step}\0{host}" if host else f"step {step}"


def traceparent(run: str, step: str, host: str = "", *, trace: str = "") -> str:
    """The header that makes a request part of the span of ``step`` on ``host``, in the trace of the suite ``trace``."""
    return f"00-{trace_id(trace or run):032x}-{span_id(run, step_key(step, host)):016x}-01"
