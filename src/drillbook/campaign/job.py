"""State of an unfinished job, in a campaign that uses workers of Dask."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from distributed import Future

from drillbook.campaign.attempt import Job


@dataclass(slots=True)
class Pending:
    """A job that has not ended yet."""

    job: Job
    future: Future | None = None
    address: str = ""
    lost_at: float = field(default_factory=time.monotonic)
    """Time on the monotonic clock at which the job lost its last worker. For a job that never had a worker, it is the time
    at which the job was created.
    """
    losses: int = 0
    """Number of workers that the job has lost."""
    failures: int = 0
    """Number of attempts that failed although neither the worker nor the scheduler was lost."""
    not_before: float = 0.0
    """Earliest time of the next attempt, on the monotonic clock."""
    trouble: str = ""
    """Reason why the last attempt failed."""
    preparing: bool = False
    """True while a thread sends the approval of the campaign to the worker."""
    stopping: bool = False
    """True while a thread asks the worker to stop the drill."""
    stopped: bool = False
    """True when the process of the drill was asked to stop."""
