"""The identity of a controller's process, and proof that it does not run any more.

A pid alone says little: its number is used again, and a process that has died keeps it until its parent asks for its
status. So an identity names the machine since its boot, the pid, and when that process began.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class _Process(NamedTuple):
    """A process as /proc/PID/stat shows it; see proc(5)."""

    dead: bool
    begun: int
    """Clock ticks since boot."""


def controller() -> str:
    """This machine since its start, and this process since it began: ``MACHINE PID@START``."""
    process = _process(os.getpid())
    return f"{_machine()} {os.getpid()}" + (f"@{process.begun}" if process else "")


def ended(other: str) -> bool:
    """True when ``other`` is a controller of this machine, as ``controller`` wrote it, that does not run any more.

    A zombie does not run, and neither does one whose pid another process has now. An identity without the start of its
    process, as older versions wrote it, is told by the pid alone.
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
    except OSError:  # it is there, and somebody else's
        pass
    seen = _process(int(pid))
    return seen is not None and (seen.dead or bool(at and seen.begun != int(begun)))


def _process(pid: int) -> _Process | None:
    """The process with that number now; None where the system does not show it.

    A process whose first thread alone has ended is shown as a zombie too, while its other threads go on.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir())) if fields[0] == b"Z" else 1
        return _Process(fields[0] in (b"Z", b"X", b"x") and threads <= 1, int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def _machine() -> str:
    """Name, start and process namespace of this machine, in one word."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts).replace(" ", "_")
