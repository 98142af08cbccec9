"""Executor on this machine: a bounded number of child processes, each watched by a thread."""

from __future__ import annotations

import contextlib
import queue
import threading

from drillbook.campaign import attempt
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.scheduler import SiteState


class Processes:
    """Carries out each job in a child process of this process; the scheduler bounds their number."""

    name = "processes"

    def __init__(self) -> None:
        """Start without jobs."""
        self._ended: queue.SimpleQueue[Ending] = queue.SimpleQueue()

    def submit(self, job: Job) -> None:
        """Start ``job`` in a thread of its own, which only waits."""
        threading.Thread(target=self._carry_out, args=(job,), name=f"site {job.site}", daemon=True).start()

    def wait(self, timeout_s: float) -> list[Ending]:
        """Return the jobs that ended; none after ``timeout_s`` seconds."""
        found: list[Ending] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._ended.get(timeout=max(timeout_s, 0)))
            while True:
                found.append(self._ended.get_nowait())
        return found

    def cancel(self, job: Job) -> None:
        """Send SIGINT to the child process of ``job``."""
        attempt.cancel(job)

    def close(self) -> None:
        """Do nothing: the threads end with their child processes, and child processes outlive this one."""

    def _carry_out(self, job: Job) -> None:
        try:
            ending = attempt.carry_out(job)
        except Exception as error:  # noqa: BLE001  a site must never be forgotten
            ending = Ending(job.site, SiteState.UNKNOWN, run=job.run, message=f"{type(error).__name__}: {error}")
        self._ended.put(ending)
