"""How busy a process and those below it keep processors, by two readings of the kernel's ticks; pure."""

from __future__ import annotations

from typing import Any

UPTIME_S = 0.01
"""The host's uptime is told in hundredths of a second."""


def load_of(root: int, text: str) -> dict[str, Any]:
    """``processes``, ``cpu_percent`` of one core, and ``cpu_error``, how wrong it may be. Raises ValueError, IndexError.

    ``text``: a line `hz N`, and twice a line `at SECONDS` with lines `PID PARENT TICKS` behind it. One that began between
    the readings counts from its beginning, one that ended then not at all: the kernel then has its last ticks no more.
    """
    heading, *readings = text.split("at ")
    hz = float(heading.split()[1])
    (at, before), (end, after) = (_reading(one) for one in readings)
    if root not in before or root not in after:
        raise ValueError(f"process {root} is not there")
    family = _family(root, after)
    ticks = sum(after[pid][1] - (before[pid][1] if pid in before else 0) for pid in family)
    seconds = end - at
    percent = 100 * ticks / hz / seconds
    # Each of the two modes of each process is told in whole ticks, at both ends.
    error = 100 * 2 * len(family) / hz / seconds + percent * UPTIME_S / seconds
    return {"processes": len(family), "cpu_percent": round(percent, 1), "cpu_error": round(error, 1)}


def _reading(text: str) -> tuple[float, dict[int, tuple[int, int]]]:
    at, *lines = text.splitlines()
    rows = (line.split() for line in lines)
    return float(at), {int(pid): (int(parent), int(ticks)) for pid, parent, ticks in rows}


def _family(root: int, processes: dict[int, tuple[int, int]]) -> set[int]:
    """A process and all that descend from it."""
    found = {root}
    while more := {pid for pid, (parent, _) in processes.items() if parent in found and pid not in found}:
        found |= more
    return found
