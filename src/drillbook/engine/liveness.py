"""Identity of a controller process, and a function that tells whether that process is dead.

A pid alone is ambiguous: pids are reused, and a dead process keeps its pid until its parent reads its exit status. So an
identity consists of the machine with its boot id, the pid, and the start time of the process.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class _Process(NamedTuple):
    """State of a process from /proc/PID/stat; see proc(5)."""

    dead: bool
    begun: int
    """Start time of the process, in clock ticks since the boot."""


def controller() -> str:
    """Return the identity of this process, as ``MACHINE PID@START``. MACHINE includes the boot id of the machine."""
    process = _process(os.getpid())
    return f"{_machine()} {os.getpid()}" + (f"@{process.begun}" if process else "")


def ended(other: str) -> bool:
    """Return True when no other living process has the identity ``other`` (see ``controller``): the process is dead, or is this
    process itself.

    Returns False for a process of another machine. A zombie counts as dead, and a process whose pid was reused counts as
    dead. An identity without a start time comes from an older version of Drillbook and is judged by the pid alone.
    """
    machine, _, process = other.rpartition(" ")
    pid, at, begun = process.partition("@")
    if machine != _machine() or not pid.isdecimal() or (at and not begun.isdecimal()):
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:  # the process exists, and belongs to another user
        pass
    seen = _process(int(pid))
    return seen is not None and (seen.dead or bool(at and seen.begun != int(begun)))


def _process(pid: int) -> _Process | None:
    """Return the state of the process ``pid``. Returns None when the system does not show that process.

    A process whose main thread has exited looks like a zombie. It counts as alive while its other threads run.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir())) if fields[0] == b"Z" else 1
        return _Process(fields[0] in (b"Z", b"X", b"x") and threads <= 1, int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def boot_id() -> str:
    """Return the id that the kernel draws at each start of the machine; see random(4). Raises OSError when it cannot be read."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _machine() -> str:
    """Return the name, the boot id and the process namespace of this machine, joined to one word."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(boot_id())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts).replace(" ", "_")
