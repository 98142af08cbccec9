"""Ids of traces and spans, derived from the run's name: always the same, and known before the export.

The format of ``traceparent`` is that of W3C Trace Context (https://www.w3.org/TR/trace-context/#traceparent-header).
"""

from __future__ import annotations

import hashlib

ROOT = "run"


def trace_id(run: str) -> int:
    """Trace id of ``run``; a suite's run and the runs of its drills share one id. 16 bytes as an integer, never zero."""
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[:16]) or 1


def span_id(run: str, key: str) -> int:
    """Span id of ``key`` in a run: 8 bytes as an integer, never zero."""
    return int.from_bytes(hashlib.sha256(f"{run}\0{key}".encode()).digest()[:8]) or 1


def step_key(step: str, host: str = "") -> str:
    """Key of a step for ``span_id``, or of a step on one ``host``; a probe counts as a step without a host."""
    return f"step {step}\0{host}" if host else f"step {step}"


def traceparent(run: str, step: str, host: str = "", *, trace: str = "") -> str:
    """Value of the HTTP header ``traceparent``, which makes a request part of the span of ``step`` on ``host``.

    For a run inside a suite, ``trace`` is the suite's run.
    """
    return f"00-{trace_id(trace or run):032x}-{span_id(run, step_key(step, host)):016x}-01"
