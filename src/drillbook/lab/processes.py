"""Processes of a lab: telling them from others, and ending every one of them.

A pid alone says little, because numbers are used again: a process is its pid with its start time. A process belongs to
a lab when it is the daemon or a supervisor of its pid files, when it descends from one of those, or when its
environment carries the lab's mark.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drillbook.lab.layout import MARK, Lab, put

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc shows it; ``started`` is in clock ticks since boot."""

    pid: int
    parent: int
    started: int
    zombie: bool


def find(pid: int) -> Process | None:
    """The process of that number now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[1]), int(fields[19]), fields[0] in (b"Z", b"X"))


def alive(pid: int, started: int) -> bool:
    """Whether the process that had this number at that time still runs."""
    process = find(pid)
    return process is not None and process.started == started and not process.zombie


def everything() -> dict[int, Process]:
    """All processes, by number."""
    found = (find(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208  only names
    return {process.pid: process for process in found if process is not None}


def below(roots: Iterable[int], table: dict[int, Process]) -> set[int]:
    """Numbers of the processes that descend from ``roots``, without these."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def marked(folder: Path, table: Iterable[int]) -> set[int]:
    """Numbers of the processes whose environment carries the lab's mark, as far as it may be read."""
    mark = f"{MARK}={folder}".encode()
    found = set()
    for pid in table:
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def record(folder: Path, name: str, pid: int) -> None:
    """Write a pid file; it holds the number and the start time."""
    process = find(pid)
    put(folder / "run" / f"{name}.pid", f"{pid} {process.started if process else 0}\n")


def recorded(folder: Path) -> dict[str, int]:
    """Processes of the pid files that are still the ones that were started, by name."""
    found = {}
    for file in (folder / "run").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid, started = map(int, file.read_text(encoding="ascii").split())
            if alive(pid, started):
                found[file.stem] = pid
    return found


def kill(process: Process) -> None:
    """End exactly this process; nothing happens when its number has gone to another one."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            if alive(process.pid, process.started):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def sweep(folder: Path, seconds: float = 10.0) -> set[int]:
    """End every process of the lab; returns the numbers of those that did not end in time."""
    until = time.monotonic() + seconds
    while True:
        left = _of_lab(folder)
        if not left or time.monotonic() > until:
            return {process.pid for process in left}
        for process in left:
            kill(process)
        time.sleep(0.02)


def _of_lab(folder: Path) -> list[Process]:
    table = everything()
    lab = Lab.read(folder)
    roots = set(recorded(folder).values()) | marked(folder, table)
    if lab is not None and alive(lab.pid, lab.started):
        roots.add(lab.pid)
    pids = (roots | below(roots, table)) - ancestors(os.getpid(), table)
    return [table[pid] for pid in pids if pid in table and not table[pid].zombie]


def ancestors(pid: int, table: dict[int, Process]) -> set[int]:
    """Numbers of the processes that ``pid`` descends from, and its own."""
    found: set[int] = set()
    while pid in table and pid not in found:
        found.add(pid)
        pid = table[pid].parent
    return found


def end_children(seconds: float = 10.0) -> None:
    """End and reap every descendant of this process, which must be a subreaper."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        table = everything()
        for pid in below([os.getpid()], table):
            if pid in table:
                kill(table[pid])
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def adopt_orphans() -> None:
    """Make this process the one that inherits, and can reap, descendants whose parent ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(1 if sweep(Path(sys.argv[1])) else 0)
