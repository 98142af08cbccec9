"""Faults of the API on demand, for drills: settings of its env file, which no API outside a lab has.

``LAB_FAULTS=1`` allows them, and `/debug/allocations`; without it the others mean nothing.

``LAB_LEAK_KIB``          so much is kept in memory for every request, as by a cache that nobody limits
``LAB_CACHE_LIMIT_KIB``   the oldest of it is let go above this; without it nothing ever is
``LAB_MEMORY_LIMIT_MIB``  the process ends itself, as the kernel would end it, once it takes more than that
``LAB_BURN_MS``           so long a document keeps the processor busy when it is asked for
``LAB_FAIL_PATH``         every request for this path fails, as by a mistake in its code
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
    """Bytes of memory that a process takes now, as the kernel counts them; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def serving_processes() -> list[int]:
    """This process, and where it is one of several workers all processes of their parent."""
    if multiprocessing.parent_process() is None:
        return [os.getpid()]
    tasks = Path(f"/proc/{os.getppid()}/task")
    return [int(pid) for path in tasks.glob("*/children") for pid in path.read_text(encoding="ascii").split()]


@dataclass(slots=True)
class Switches:
    """The switches of one process; sizes in bytes, 0: off."""

    leak: int = 0
    cache_limit: int = 0
    memory_limit: int = 0
    burn_s: float = 0.0
    fail_path: str = ""
    allowed: bool = False
    _kept: deque[bytes] = field(default_factory=deque)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Switches:
        """The switches that an environment sets."""

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
        """Bytes that are kept."""
        return len(self._kept) * self.leak

    def remember(self) -> None:
        """Keep something for a request, and look at the limit."""
        if self.leak:
            self._kept.append(os.urandom(1) * self.leak)
            while self.cache_limit and self.kept > self.cache_limit:
                self._kept.popleft()
        if self.memory_limit and (taken := resident()) > self.memory_limit:
            _log.error("out of memory: %d MiB resident, the limit is %d MiB; killed", taken >> 20, self.memory_limit >> 20)
            os.kill(os.getpid(), signal.SIGKILL)

    def stumble(self, path: str) -> None:
        """Raise RuntimeError for a request that is to fail."""
        if self.fail_path and path == self.fail_path:
            raise RuntimeError(f"no layout is known for {path}")

    async def work(self) -> None:
        """What a document costs, in a thread of its own."""
        if self.burn_s:
            await asyncio.to_thread(self.recognise_layout)

    def recognise_layout(self) -> None:
        """Keep the processor busy, as work on every page of a document does."""
        end = time.monotonic() + self.burn_s
        while time.monotonic() < end:
            sum(range(1000))
