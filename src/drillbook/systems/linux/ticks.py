"""Computes the CPU use of a process and its descendants from two readings of the kernel's CPU ticks.

The functions only compute. They read no files and run no commands.
"""

from __future__ import annotations

from typing import Any

UPTIME_S = 0.01
"""Resolution of the host's uptime, in seconds."""


def load_of(root: int, text: str) -> dict[str, Any]:
    """Return ``processes`` (number), ``cpu_percent`` (share of one core), and ``cpu_error`` (error of that share).

    ``text`` contains a line `hz N` (ticks per second), and then two readings. A reading is a line `at SECONDS`, followed by
    a line `PID PARENT TICKS` for each process. A process that started between the two readings counts from its start. A
    process that exited does not count, because the kernel no longer has its ticks. Raises ValueError or IndexError when
    ``text`` has another form.
    """
    heading, *readings = text.split("at ")
    hz = float(heading.split()[1])
    (at, before), (end, after) = (_reading(reading) for reading in readings)
    if root not in before or root not in after:
        raise ValueError(f"process {root} does not exist")
    family = _family(root, after)
    ticks = sum(after[pid][1] - (before[pid][1] if pid in before else 0) for pid in family)
    seconds = end - at
    percent = 100 * ticks / hz / seconds
    # Ticks are counted as whole numbers, for user and kernel time of each process, at both ends of the interval.
    error = 100 * 2 * len(family) / hz / seconds + percent * UPTIME_S / seconds
    return {"processes": len(family), "cpu_percent": round(percent, 1), "cpu_error": round(error, 1)}


def _reading(text: str) -> tuple[float, dict[int, tuple[int, int]]]:
    at, *lines = text.splitlines()
    rows = (line.split() for line in lines)
    return float(at), {int(pid): (int(parent), int(ticks)) for pid, parent, ticks in rows}


def _family(root: int, processes: dict[int, tuple[int, int]]) -> set[int]:
    """Return the pids of a process and its descendants."""
    pids = {root}
    while more := {pid for pid, (parent, _) in processes.items() if parent in pids and pid not in pids}:
        pids |= more
    return pids
