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

    def __init__(self, ended: queue.SimpleQueue[Ending] | None = None) -> None:
        """Start without jobs; ends are put into the queue ``ended``."""
        self._ended: queue.SimpleQueue[Ending] = ended or queue.SimpleQueue()

    def who(self, job: Job) -> str:
        """Name this machine, which carries out every job."""
        del job
        return ""

    def submit(self, job: Job) -> None:
        """Start ``job`` in a thread of its own, which only waits."""
        threading.Thread(target=self._carry_out, args=(job,), name=f"site {job.site}", daemon=True).start()

    def wait(self, timeout_s: float) -> list[Ending]:
        """Return the jobs that ended; none after ``timeout_s`` seconds."""
        return drained(self._ended, timeout_s)

    def cancel(self, job: Job) -> None:
        """Send SIGINT to the child process of ``job``."""
        attempt.cancel(job)

    def told(self) -> list[str]:
        """Return nothing: there is one place, this machine."""
        return []

    def close(self) -> None:
        """Do nothing: the threads end with their child processes, and child processes outlive this one."""

    def _carry_out(self, job: Job) -> None:
        try:
            ending = attempt.carry_out(job)
        except Exception as error:  # noqa: BLE001  a site must never be forgotten
            ending = Ending(job.site, SiteState.UNKNOWN, run=job.run, message=f"{type(error).__name__}: {error}")
        self._ended.put(ending)


def drained(ended: queue.SimpleQueue[Ending], timeout_s: float) -> list[Ending]:
    """Take all ends from a queue; waits for the first one up to ``timeout_s`` seconds."""
    found: list[Ending] = []
    with contextlib.suppress(queue.Empty):
        found.append(ended.get(timeout=max(timeout_s, 0)))
        while True:
            found.append(ended.get_nowait())
    return found
