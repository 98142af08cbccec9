"""Kernel data of processes, and their suspension; a process that ends in the meantime is no error."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import until


def entries(name: str) -> Iterator[Path]:
    """The file `/proc/PID/NAME` of every process there is; reading it may fail.

    `glob("[0-9]*/NAME")` asks if each is there, which raises ProcessLookupError for one that is just ending.
    """
    return (entry / name for entry in Path("/proc").glob("[0-9]*"))


def suspend(pid: int) -> None:
    """Stop a process by SIGSTOP, and wait until the kernel has stopped each of its threads; until then it may still answer."""
    os.kill(pid, signal.SIGSTOP)
    until(
        lambda: {stat.read_text().rpartition(")")[2].split()[0] for stat in _threads(pid)} <= {"T", "t"},
        f"the stop of {pid}",
    )


def _threads(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").glob("*/stat")
