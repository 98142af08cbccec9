"""Parses, shortens and counts the stacks of a Python process that py-spy (https://github.com/benfred/py-spy) prints.

Arguments and local variables are never requested, and command lines of processes are left out, because all of these may
contain secrets.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from drillbook.sdk.host import printable
from drillbook.statistics.quantiles import share

MOST_THREADS = 50
MOST_FRAMES = 12
MOST_FUNCTIONS = 15
_DEEPEST = 200
Stack = tuple[str, ...]
_PROCESS = re.compile(r'^process (\d+):".*?"(?=;|$)')


def threads(text: str) -> list[dict[str, Any]]:
    """Parse the threads of `py-spy dump --json`. The innermost frame of each thread comes first.

    Raises ValueError when the text is not a list of threads.
    """
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise ValueError("not a list of threads")
    return [
        {
            "name": printable(str(thread.get("thread_name") or thread.get("os_thread_id")), limit=80),
            "active": bool(thread.get("active")),
            "owns_gil": bool(thread.get("owns_gil")),
            "frames": [_frame(frame) for frame in thread.get("frames", [])[:_DEEPEST]],
        }
        for thread in listed
    ]


def _frame(frame: Mapping[str, Any]) -> str:
    place = frame.get("short_filename") or frame.get("filename")
    return printable(f"{frame.get('name')} ({place}:{frame.get('line')})", limit=160)


def listing(listed: list[dict[str, Any]]) -> str:
    """Format all threads, each with its stack, as readable text."""
    parts = []
    for thread in listed:
        what = f"{'active' if thread['active'] else 'idle'}{', holds the interpreter lock' if thread['owns_gil'] else ''}"
        parts.append("".join([f"{thread['name']} ({what})\n", *(f"    {frame}\n" for frame in thread["frames"])]))
    return "\n".join(parts)


def shortened(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shorten the threads for the facts. The thread that holds the interpreter lock comes first, then the active
    threads. Each thread has only its innermost frames."""
    order = sorted(listed, key=lambda thread: (not thread["owns_gil"], not thread["active"]))
    return [{**thread, "frames": thread["frames"][:MOST_FRAMES]} for thread in order[:MOST_THREADS]]


def collapsed(text: str) -> Counter[Stack]:
    """Parse the output of `py-spy record --format raw`. Return the number of samples of each stack, outermost frame first."""
    samples: Counter[Stack] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit() or line.startswith("py-spy>"):
            continue
        stack = _PROCESS.sub(r"process \1", stack)
        samples[tuple(printable(frame, limit=160) for frame in stack.split(";")[:_DEEPEST])] += int(count)
    return samples


def functions(samples: Mapping[Stack, int]) -> list[dict[str, Any]]:
    """Return the functions with their share of the samples, largest share first, and with 95 % intervals.

    ``share`` counts the samples in which the function was the innermost function of the stack. ``with_calls`` counts the
    samples in which the function was at any level.
    """
    whole, own, anywhere = sum(samples.values()), Counter[str](), Counter[str]()
    for stack, count in samples.items():
        own[_function(stack[-1])] += count
        for name in {_function(frame) for frame in stack}:
            anywhere[name] += count
    rows = []
    for name, count in own.most_common(MOST_FUNCTIONS):
        estimate = share(count, whole)
        assert estimate is not None  # noqa: S101  there is at least one sample
        rows.append(
            {
                "function": name,
                "samples": count,
                "share": round(estimate.value, 4),
                "low": round(estimate.low or 0.0, 4),
                "high": round(estimate.high or 1.0, 4),
                "with_calls": round(anywhere[name] / whole, 4),
            }
        )
    return rows


def _function(frame: str) -> str:
    """Return a frame of a stack without its line number. All lines of a function are then counted together."""
    return re.sub(r":\d+\)$", ")", frame)
