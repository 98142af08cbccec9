"""Errors in the last lines of a unit's log. Errors that are too old to explain a present incident are listed separately."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from drillbook.sdk.host import printable
from drillbook.sdk.log_times import HostClock, LogLine, dated

MOST_ERRORS = 20
_ERROR = re.compile(
    r"(?<![.\w])(?:error|critical|fatal|panic|exception|traceback|refused|denied|missing|killed|"
    r"out of memory|no space left|already in use|too many|timed? ?out)\b|"
    r"^[\w.]+(?:Error|Exception)(?::|$)",
    re.IGNORECASE,
)


def facts(texts: Sequence[str], most: int, clock: HostClock | None, since: float | None) -> dict[str, Any]:
    """Return the facts of `service.log` about the last ``most`` lines. ``texts``: the output streams of the unit.

    ``since``: time on the controller's monotonic clock. Errors from before this time are in ``older_errors``.
    """
    streams = [[line for line in text.splitlines() if line.strip()] for text in texts]
    lines = [line for stream in streams for line in dated(stream, clock, since)][-most:]
    errors = _errors([line for line in lines if not line.older])
    last = errors[-1] if errors else None
    return {
        "lines": [_shown(line) for line in lines],
        "errors": [_shown(line) for line in errors],
        "last_error": _shown(last) if last else "",
        "last_error_age_s": round(last.age_s, 1) if last and last.age_s is not None else None,
        "older_errors": [_shown(line) for line in _errors([line for line in lines if line.older])],
    }


def _errors(lines: Sequence[LogLine]) -> list[LogLine]:
    """Return the newest lines with errors, oldest first. If several lines are equal, only the newest of them is returned."""
    line_by_text: dict[str, LogLine] = {}
    for line in reversed(lines):
        if _ERROR.search(_shown(line)):
            line_by_text.setdefault(_shown(line), line)
    return list(line_by_text.values())[:MOST_ERRORS][::-1]


def _shown(line: LogLine) -> str:
    return printable(line.text, limit=300)
