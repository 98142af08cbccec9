"""Executor that carries out jobs in child processes on this machine. A thread waits for each child process."""

from __future__ import annotations

import contextlib
import queue
import threading

from drillbook.campaign import attempt
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.scheduler import SiteState


class Processes:
    """Carries out each job in a child process of this process. The scheduler of the campaign limits the number of child
    processes.
    """

    name = "processes"

    def __init__(self, ended: queue.SimpleQueue[Ending] | None = None, *, place: str = "") -> None:
        """Create the executor. The results of jobs that have ended are put into the queue ``ended``. ``place``: name of this
        project folder on this machine.
        """
        self._place = place
        self._ended: queue.SimpleQueue[Ending] = ended or queue.SimpleQueue()

    def who(self, job: Job) -> str:
        """Return the place that carries out ``job``. This is always the place of this process: its project folder on this
        machine.
        """
        del job
        return self._place

    def submit(self, job: Job) -> None:
        """Start ``job`` in a new thread. The thread waits until the child process of the job has ended."""
        threading.Thread(target=self._carry_out, args=(job,), name=f"site {job.site}", daemon=True).start()

    def wait(self, timeout_s: float) -> list[Ending]:
        """Wait until a job has ended. Return the results of the jobs that have ended, or an empty list after ``timeout_s``
        seconds.
        """
        return drained(self._ended, timeout_s)

    def cancel(self, job: Job) -> bool:
        """Ask the child process of ``job`` to stop. Returns False when the job has no child process yet."""
        return attempt.cancel(job)

    def told(self) -> list[str]:
        """Return no lines about workers: all drills run on this machine."""
        return []

    def close(self) -> None:
        """Do nothing. There is nothing to stop: each thread ends by itself when its child process has ended, and the child
        processes are allowed to outlive this process.
        """

    def _carry_out(self, job: Job) -> None:
        try:
            ending = attempt.carry_out(job)
        except Exception as error:  # noqa: BLE001  a site must never be forgotten
            ending = Ending(job.site, SiteState.UNKNOWN, run=job.run, message=f"{type(error).__name__}: {error}")
        self._ended.put(ending)


def drained(ended: queue.SimpleQueue[Ending], timeout_s: float) -> list[Ending]:
    """Take from a queue all results of jobs that have ended. If the queue is empty, wait at most ``timeout_s`` seconds for
    the first result.
    """
    endings: list[Ending] = []
    with contextlib.suppress(queue.Empty):
        endings.append(ended.get(timeout=max(timeout_s, 0)))
        while True:
            endings.append(ended.get_nowait())
    return endings
