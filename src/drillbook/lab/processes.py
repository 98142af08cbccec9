"""Finds and kills the processes of a lab.

Pids are reused, so a process is identified by its pid and its start time. The processes of a lab are its daemon and
the supervisors in its pid files, all their descendants, and every process whose environment contains the lab's mark.
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
    """A process in /proc. ``started``: its start time in clock ticks since boot."""

    pid: int
    parent: int
    started: int
    zombie: bool


def find(pid: int) -> Process | None:
    """Read the process ``pid`` from /proc. Returns None when it does not exist."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[1]), int(fields[19]), fields[0] in (b"Z", b"X"))


def alive(pid: int, started: int) -> bool:
    """Return True when the process with this pid and this start time still runs, and is not a zombie."""
    process = find(pid)
    return process is not None and process.started == started and not process.zombie


def everything() -> dict[int, Process]:
    """Read all processes from /proc. The key of each process is its pid."""
    processes = (find(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208  only names are needed
    return {process.pid: process for process in processes if process is not None}


def below(roots: Iterable[int], table: dict[int, Process]) -> set[int]:
    """Return the pids of the descendants of ``roots``. The roots themselves are left out."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    descendants: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in descendants:
                descendants.add(child)
                waiting.append(child)
    return descendants


def marked(folder: Path, table: Iterable[int]) -> set[int]:
    """Return the pids of the processes whose environment contains the lab's mark. Unreadable environments are skipped."""
    mark = f"{MARK}={folder}".encode()
    pids = set()
    for pid in table:
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                pids.add(pid)
    return pids


def record(folder: Path, name: str, pid: int) -> None:
    """Write the pid file ``name`` with the pid and the start time of a process."""
    process = find(pid)
    put(folder / "run" / f"{name}.pid", f"{pid} {process.started if process else 0}\n")


def recorded(folder: Path) -> dict[str, int]:
    """Return the pids of the running processes in the pid files. The key of each pid is the name of its pid file. A pid that
    another process has reused is skipped.
    """
    pids = {}
    for file in (folder / "run").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid, started = map(int, file.read_text(encoding="ascii").split())
            if alive(pid, started):
                pids[file.stem] = pid
    return pids


def kill(process: Process) -> None:
    """Kill exactly ``process``. If another process has reused its pid, do nothing."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            if alive(process.pid, process.started):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def sweep(folder: Path, seconds: float = 10.0) -> set[int]:
    """Kill every process of the lab. Return the pids of the processes that still run after ``seconds``."""
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
    """Return ``pid`` and the pids of all its ancestors."""
    pids: set[int] = set()
    while pid in table and pid not in pids:
        pids.add(pid)
        pid = table[pid].parent
    return pids


def end_children(seconds: float = 10.0) -> None:
    """Kill and reap all descendants of this process, for at most ``seconds``. This process must be a subreaper."""
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
    """Make this process a subreaper. When the parent of a descendant ends, the descendant becomes a child of this process.

    This process can then reap it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(1 if sweep(Path(sys.argv[1])) else 0)
