"""Faults that drills inject into the API, by settings in the API's env file. These settings exist only in labs.

``LAB_FAULTS=1`` enables `/debug/allocations` and all other settings. Without it, the other settings have no effect.
``LAB_LEAK_KIB``          KiB of memory that every request leaves allocated, like a cache without a limit
``LAB_CACHE_LIMIT_KIB``   limit of that memory, above which the oldest entries are freed; default: no limit
``LAB_MEMORY_LIMIT_MIB``  resident memory at which the process kills itself, as the kernel's OOM killer would
``LAB_BURN_MS``           CPU time in milliseconds that every request for a document takes
``LAB_FAIL_PATH``         path for which every request fails, as if the code had a bug
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_log = logging.getLogger(__name__)
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int | str = "self") -> int:
    """Return the resident memory of a process in bytes, as the kernel reports it. Returns 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def serving_processes() -> list[int]:
    """Return the pids of the processes that serve requests. With workers, these are all workers of this process's parent.
    Without workers, it is only this process.
    """
    if multiprocessing.parent_process() is None:
        return [os.getpid()]
    tasks = Path(f"/proc/{os.getppid()}/task")
    return [int(pid) for path in tasks.glob("*/children") for pid in path.read_text(encoding="ascii").split()]


@dataclass(slots=True)
class Switches:
    """The injected faults of one process. Sizes are in bytes, and 0 means that the fault is off."""

    leak: int = 0
    cache_limit: int = 0
    memory_limit: int = 0
    burn_s: float = 0.0
    fail_path: str = ""
    allowed: bool = False
    _kept: deque[bytes] = field(default_factory=deque)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Switches:
        """Read the switches from environment variables. Without ``LAB_FAULTS=1``, all of them are off."""

        def number(name: str) -> int:
            value = environment.get(name, "")
            return int(value) if value.isdigit() else 0

        if environment.get("LAB_FAULTS") != "1":
            return cls()
        return cls(
            number("LAB_LEAK_KIB") << 10,
            number("LAB_CACHE_LIMIT_KIB") << 10,
            number("LAB_MEMORY_LIMIT_MIB") << 20,
            number("LAB_BURN_MS") / 1000,
            environment.get("LAB_FAIL_PATH", ""),
            allowed=True,
        )

    @property
    def kept(self) -> int:
        """Number of bytes that the injected leak holds now."""
        return len(self._kept) * self.leak

    def remember(self) -> None:
        """Hold memory for one more request, and apply the limits of the cache and of the process."""
        if self.leak:
            self._kept.append(os.urandom(1) * self.leak)
            while self.cache_limit and self.kept > self.cache_limit:
                self._kept.popleft()
        if self.memory_limit and (taken := resident()) > self.memory_limit:
            _log.error("out of memory: %d MiB resident, the limit is %d MiB; killed", taken >> 20, self.memory_limit >> 20)
            os.kill(os.getpid(), signal.SIGKILL)

    def stumble(self, path: str) -> None:
        """Raise RuntimeError when ``path`` is the path in ``LAB_FAIL_PATH``."""
        if self.fail_path and path == self.fail_path:
            raise RuntimeError(f"no page layout is known for {path}")

    async def work(self) -> None:
        """Call ``recognise_layout`` in a separate thread, and wait for its end. Do nothing when ``burn_s`` is 0."""
        if self.burn_s:
            await asyncio.to_thread(self.recognise_layout)

    def recognise_layout(self) -> None:
        """Keep the CPU busy for ``burn_s`` seconds, as if the layout of a page had to be recognised."""
        end = time.monotonic() + self.burn_s
        while time.monotonic() < end:
            sum(range(1000))
