"""Executor that uses workers of Dask. Each job is bound to one place. Dask only carries messages.

The disk of each place holds a lock and a run folder for a job. These two show whether the job was started, so a job may
be submitted any number of times. When a worker or the scheduler dies, the job is submitted again to the same place.
Therefore no site is drilled twice.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker

from drillbook import __version__
from drillbook.campaign import attempt, place, transfer, worker
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.processes import Processes, drained
from drillbook.campaign.scheduler import SiteState
from drillbook.campaign.transfer import TransferError

LOOK_S = 0.5
"""Interval, in seconds, between two searches for workers."""
PATIENCE_S = 180.0
"""Time, in seconds, for which a place may be without a worker. After this time, the sites of the place end as unknown."""
FAILURES = 5
"""Maximum number of attempts to fetch the result of a site. After the last failed attempt, the site ends as unknown."""
LOST = (OSError, KilledWorker, CancelledError)
"""Errors that are raised when a worker or the scheduler has been lost."""
RECEIVERS = 4
"""Maximum number of runs that are received at the same time."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A Dask worker process. It carries out jobs at its place."""

    address: str
    place: str
    slots: int
    labels: frozenset[str]
    disk: str = ""

    def fits(self, job: Job) -> bool:
        """Return True when this worker reaches the targets of ``job``."""
        return set(job.labels) <= self.labels


@dataclass(slots=True)
class _Pending:
    """A job that has not ended yet."""

    job: Job
    future: Future | None = None
    address: str = ""
    lost_at: float = field(default_factory=time.monotonic)
    """Start of the time without a worker, on the monotonic clock. It is the creation of the job, or the loss of the
    job's last worker.
    """
    failures: int = 0
    """Number of attempts that failed although neither the worker nor the scheduler was lost."""
    trouble: str = ""
    """Reason why the last attempt to receive the run failed."""


class Fleet:
    """Executor that carries out jobs on the workers of a Dask scheduler. It survives the death of workers and of the
    scheduler.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        root: Path,
        name: str,
        *,
        trusted: Callable[[str], bool] = lambda _: True,
        patience_s: float = PATIENCE_S,
        release: Callable[[], None] = lambda: None,
        carry_out: Callable[[Job], dict[str, Any]] = worker.carry_out,
    ) -> None:
        """Create the executor without connecting to the scheduler.

        Parameters:
            connect: function that connects to the scheduler. It raises OSError while the scheduler does not answer.
            root: folder of the project on this machine.
            name: name of the executor for the journal.
            trusted: function that returns False for the address of a worker that must not be used.
            patience_s: time, in seconds, for which a place may be without a worker before its sites end as unknown.
            release: function that is called when the executor is closed, for example to close a cluster.
            carry_out: function that workers call with a job. It returns the JSON data of an ending.
        """
        self.name = name
        self.refused: dict[str, str] = {}
        """For each worker that is not used, by its address: the reason."""
        self.workers: dict[str, Worker] = {}
        self._connect, self._trusted, self._patience_s, self._release = connect, trusted, patience_s, release
        self._carry_out, self._own = carry_out, place.here(root).number
        self._client: Client | None = None
        self._pending: dict[str, _Pending] = {}
        self._reserved: dict[str, str] = {}
        self._told_approval: set[tuple[str, str]] = set()
        """Campaign and worker of each approval that was stored at the place of the worker."""
        self._ended: queue.SimpleQueue[Ending] = queue.SimpleQueue()
        self._here = Processes(self._ended)
        self._receivers = ThreadPoolExecutor(RECEIVERS, thread_name_prefix="receive")
        self._lock = threading.RLock()
        self._looked_at = float("-inf")

    def who(self, job: Job) -> str | None:
        """Among the places that reach the targets of ``job``, choose the place that can take the most further jobs.
        Reserve one slot there, and return the name of the place.
        """
        self._look()
        with self._lock:
            free = {one.place: self._room(one.place) for one in self.workers.values() if one.fits(job)}
            chosen = max(free, key=lambda name: free[name], default=None)
            if chosen is None or free[chosen] <= 0:
                return None
            self._reserved[job.site] = chosen
            return chosen

    def submit(self, job: Job) -> None:
        """Submit ``job`` to its place. If the job was started on this machine before, examine it here instead."""
        with self._lock:
            self._reserved.pop(job.site, None)
            if job.resumed and place.number_of(job.place) in ("", self._own):
                self._here.submit(job)
                return
            self._pending[job.site] = _Pending(job)
        self._look(now=True)

    def wait(self, timeout_s: float) -> list[Ending]:
        """Wait until a job has ended, and return the ends. After ``timeout_s`` seconds, return an empty list."""
        limit = time.monotonic() + timeout_s
        while True:
            self._look()
            left = limit - time.monotonic()
            if (found := drained(self._ended, min(max(left, 0), LOOK_S))) or left <= 0:
                return found

    def told(self) -> list[str]:
        """Describe the workers. For each worker that cannot be used, tell the reason."""
        self._look(now=True)
        with self._lock:
            good = [
                f"worker {one.address} at {one.place}: {one.slots} at once{_list(one.labels)}"
                for one in self.workers.values()
            ]
            bad = [f"not used: {address}: {why}" for address, why in self.refused.items()]
        return [*(good or ["no worker can be used yet; the sites wait until there is one"]), *bad]

    def cancel(self, job: Job) -> None:
        """Ask the place of ``job`` to stop its drill."""
        with self._lock:
            pending, client = self._pending.get(job.site), self._client
        if pending is None:
            self._here.cancel(job)
        elif client and pending.address:
            with contextlib.suppress(Exception):
                client.run(worker.cancel, pending.job, workers=[pending.address], on_error="ignore")

    def close(self) -> None:
        """Disconnect from the scheduler. Drills that are running continue."""
        self._receivers.shutdown(wait=False, cancel_futures=True)
        self._leave()
        self._release()

    def _room(self, name: str) -> int:
        """Return the number of further jobs that a place can take."""
        slots = sum(one.slots for one in self.workers.values() if one.place == name)
        used = sum(pending.job.place == name for pending in self._pending.values())
        return slots - used - sum(reserved == name for reserved in self._reserved.values())

    def _look(self, *, now: bool = False) -> None:
        """Connect to the scheduler, find the workers, and submit the jobs that no worker has. Give up jobs whose place
        has been without a worker for too long.
        """
        with self._lock:
            if not now and time.monotonic() - self._looked_at < LOOK_S:
                return
            try:
                if not now or self._client is None:
                    self._find_workers(self._connected())
                self._submit_lost()
            except Exception as error:  # noqa: BLE001  any failure of the scheduler or its client: connect again
                self._leave()
                self.refused["scheduler"] = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                self.refused.pop("scheduler", None)
            self._give_up()
            self._looked_at = time.monotonic()

    def _connected(self) -> Client:
        if self._client is not None and self._client.status != "running":
            self._leave()
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _leave(self) -> None:
        """Close the connection to the scheduler. After this, no job has a worker."""
        client, self._client = self._client, None
        self.workers.clear()
        for pending in self._pending.values():
            self._lose(pending)
        if client is not None:
            with contextlib.suppress(Exception):
                client.close(timeout=2)

    def _lose(self, pending: _Pending) -> None:
        if pending.future is not None:
            pending.future, pending.address, pending.lost_at = None, "", time.monotonic()

    def _find_workers(self, client: Client) -> None:
        """Ask new workers for their places. Mark the jobs of lost workers as having no worker."""
        there = client.scheduler_info(n_workers=-1)["workers"]
        self.workers = {address: one for address, one in self.workers.items() if address in there}
        self.refused = {address: why for address, why in self.refused.items() if address in there}
        for pending in self._pending.values():
            if pending.address and pending.address not in there:
                self._lose(pending)
        new = [address for address in there if address not in self.workers and address not in self.refused]
        for address in [address for address in new if not self._trusted(address)]:
            self.refused[address] = "the worker listens without TLS on an address that others can reach"
            new.remove(address)
        told = client.run(worker.identify, workers=new, on_error="return") if new else {}
        for address, said in told.items():
            if why := _unfit(said):
                self.refused[address] = why
                continue
            if twin := self._twin(said):
                self.refused[address] = (
                    f"its machine is a clone of that of {twin.address}, because both are the place {said['name']}; give it an "
                    "identity of its own (/etc/machine-id), or remove reports/.place in its project"
                )
                continue
            facts = there[address]
            labels = {label: int(amount) for label, amount in facts["resources"].items()}
            slots = min([facts["nthreads"], *labels.values()])
            self.workers[address] = Worker(address, said["name"], slots, frozenset(labels), said["disk"])

    def _twin(self, said: dict[str, str]) -> Worker | None:
        """Return a worker with the same place on another running system or disk. ``said``: answer to ``identify``."""
        same = (one for one in self.workers.values() if place.number_of(one.place) == place.number_of(said["name"]))
        return next((one for one in same if one.disk != said["disk"]), None)

    def _submit_lost(self) -> None:
        for pending in self._pending.values():
            if pending.future is None and self._client is not None and (chosen := self._worker_for(pending.job)):
                self._hand_over(self._client, pending, chosen)

    def _worker_for(self, job: Job) -> Worker | None:
        """Return the worker with the smallest load at the place of ``job``. Returns None when there is no worker at
        this place.
        """
        number = place.number_of(job.place)
        found = [one for one in self.workers.values() if place.number_of(one.place) == number and one.fits(job)]

        def load(one: Worker) -> float:
            return sum(other.address == one.address for other in self._pending.values()) / one.slots

        return min(found, key=load, default=None)

    def _hand_over(self, client: Client, pending: _Pending, chosen: Worker) -> None:
        """Submit a job to one worker, and mark the job as resumed. A later attempt first examines the run at the place.
        Only then may it start a drill.
        """
        if pending.job.approved and (pending.job.campaign, chosen.address) not in self._told_approval:
            client.run(worker.keep_approval, pending.job, worker.approval(pending.job), workers=[chosen.address])
            self._told_approval.add((pending.job.campaign, chosen.address))
        future = client.submit(
            self._carry_out,
            pending.job,
            key=f"drillbook-{pending.job.run}-{time.monotonic_ns()}",
            workers=[chosen.address],
            allow_other_workers=False,
            resources=dict.fromkeys(pending.job.labels, 1) or None,
            retries=0,
            pure=False,
        )
        pending.future, pending.address = future, chosen.address
        pending.job = replace(pending.job, resumed=True)
        future.add_done_callback(lambda done: self._done(pending, done))

    def _done(self, pending: _Pending, future: Future) -> None:
        """Start to receive the run of a job that has ended. A thread of the Dask client calls this method."""
        with contextlib.suppress(RuntimeError):  # the executor is being closed
            self._receivers.submit(self._receive, pending, future, self._client)

    def _receive(self, pending: _Pending, future: Future, client: Client | None) -> None:
        address, current = pending.address, future is pending.future
        try:
            if client is None or not current or future.status not in ("finished", "error"):
                raise ConnectionError(f"the worker was lost: {future.status}")
            ending = Ending.of(future.result(timeout=60))
            self._end(pending, self._brought(pending.job, ending, client, address))
        except Exception as error:  # noqa: BLE001  a site must never be forgotten: its job is submitted again
            with self._lock:
                pending.failures += not isinstance(error, LOST)
                pending.trouble = f"{type(error).__name__}: {error}"
                if future is pending.future:
                    self._lose(pending)

    def _brought(self, job: Job, ending: Ending, client: Client, address: str) -> Ending:
        """Copy the run of a job to this machine, and judge it here. The result that a worker reports is not trusted."""
        folder = Path(job.root) / "reports" / job.run
        if place.number_of(job.place) == self._own or not ending.run:
            return ending

        def asked(function: Callable[..., Any], *values: Any) -> Any:
            return client.run(function, *values, workers=[address])[address]

        if not folder.exists():
            manifest = asked(worker.manifest, job.run)
            if not manifest:
                return replace(ending, state=SiteState.UNKNOWN)
            transfer.fetch(folder, manifest, lambda wanted: asked(worker.pieces, job.run, wanted))
        own = attempt.judged(job)
        if own.head != ending.head and ending.head:
            raise TransferError("the last event of the received run differs from the last event that the worker reported")
        return replace(own, message=ending.message) if own.state is ending.state else own

    def _give_up(self) -> None:
        """End sites as unknown when their place has been without a worker for too long, or when too many attempts have
        failed. Their runs remain at the place.
        """
        now = time.monotonic()
        for pending in list(self._pending.values()):
            if pending.failures >= FAILURES or (pending.future is None and now - pending.lost_at > self._patience_s):
                job, why = pending.job, pending.trouble or self._moved(pending.job) or "no worker answers"
                text = (
                    f"it is unknown how the drill on this site ended, because {job.place} did not send the run: {why}; "
                    f"examine the run there with: drill.recover {job.run}"
                )
                self._end(pending, attempt.unknown(job, text))

    def _moved(self, job: Job) -> str:
        """Return a note about a worker whose project was moved or copied from the place of ``job``."""
        found = next((one.place for one in self.workers.values() if place.is_copy(one.place, job.place)), "")
        return f"no worker answers, but the project at {found} was moved or copied from there" if found else ""

    def _end(self, pending: _Pending, ending: Ending) -> None:
        """Report the end of a job, unless it was reported before."""
        with self._lock:
            if self._pending.get(pending.job.site) is pending:
                del self._pending[pending.job.site]
                self._ended.put(ending)


def _unfit(said: Any) -> str:
    """Return the reason why a worker cannot be used. The result is empty when it can be used. ``said``: answer of the
    worker to ``identify``.
    """
    if isinstance(said, BaseException):
        return f"Drillbook cannot be used there: {type(said).__name__}: {said}"
    if said.get("error"):
        return str(said["error"])
    return (
        ""
        if said["version"] == __version__
        else f"the worker has Drillbook {said['version']}, but the controller has {__version__}"
    )


def _list(labels: frozenset[str]) -> str:
    return f", labels: {', '.join(sorted(labels))}" if labels else ""
