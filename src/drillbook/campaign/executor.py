"""Interface of executors. An executor carries out the drills of a campaign."""

from __future__ import annotations

from typing import Protocol

from drillbook.campaign.attempt import Ending, Job

LOCAL_CLUSTER = "dask on this machine"
REMOTE = "dask at "
"""Beginning of the name of an executor that uses a scheduler. The address of the scheduler follows."""
ON_THIS_MACHINE = ("processes", LOCAL_CLUSTER)
"""Names of the executors that run the drills of a campaign on the machine of the controller."""


class Executor(Protocol):
    """Carries out jobs. ``wait`` returns the result of each job exactly once."""

    @property
    def name(self) -> str:
        """Name of the executor, as written to the journal."""

    def who(self, job: Job) -> str | None:
        """Return the name of the place that would carry out ``job`` now. Returns None when no place can take the job
        yet. The name is recorded before the job is started.
        """

    def submit(self, job: Job) -> None:
        """Start ``job``. The job may have been submitted before, by this process or by an earlier process of the campaign.
        In that case, the executor finds out how the job ended, and does not run its drill again.
        """

    def wait(self, timeout_s: float) -> list[Ending]:
        """Wait until at least one job has ended. Return the results of the jobs that have ended, or an empty list after
        ``timeout_s`` seconds.
        """

    def cancel(self, job: Job) -> bool:
        """Ask the drill of ``job`` to stop. The drill first undoes its changes. Its result is returned by ``wait``. Returns
        False when the drill could not be asked yet, and must be asked again.
        """

    def told(self) -> list[str]:
        """Return lines for the operator that describe the places that carry out jobs."""

    def close(self) -> None:
        """Release the executor. Drills that are still running are not stopped."""
