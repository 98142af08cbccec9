"""Executor that uses workers of Dask. Each job is bound to one place, which is a project folder on a machine. Dask only
sends the jobs to the places, and the results back.

The disk of each place holds a lock and a run folder for a job. The lock and the folder show whether the job was started, so
a job may be submitted any number of times. When a worker or the scheduler dies, the job is submitted again to the same
place. Therefore no site is drilled twice.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker

from drillbook.campaign import attempt, place, transfer, worker
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.job import Pending
from drillbook.campaign.processes import Processes, drained
from drillbook.campaign.roster import Roster, Worker
from drillbook.campaign.scheduler import SiteState
from drillbook.campaign.transfer import TransferError
from drillbook.campaign.worker_requests import ASK_S, READ_S, JobFailed, Lanes, Lost, ask, workers_of

LOOK_S = 0.5
"""Interval, in seconds, between two searches for workers."""
PATIENCE_S = 180.0
"""Time, in seconds, for which a place may be without a worker. After this time, the result of each site whose job is assigned
to the place is ``unknown``.
"""
FAILURES = 5
"""Maximum number of failed attempts to run the job of a site. After the last one, the result of the site is ``unknown``."""
LOSSES = 20
"""Maximum number of workers that may be lost while they run the job of a site. After the last loss, the result of the site is
``unknown``. Therefore a job that kills its worker each time is not repeated forever.
"""
PAUSE_S = 0.5
"""Time, in seconds, between the first failed attempt and the second attempt. The time doubles with each further attempt."""


class Fleet:
    """Executor that carries out jobs on the workers of a Dask scheduler. It survives the death of workers and of the
    scheduler.

    One thread looks for workers. The requests to each worker are sent by separate threads of this process. So a worker or a
    scheduler that hangs never blocks the campaign or the other workers.
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
        """Start to look for workers.

        Parameters:
            connect: function that connects to the scheduler. It raises OSError while the scheduler does not answer.
            root: folder of the project on this machine.
            name: name of the executor for the journal.
            trusted: function that returns False for an address on which a worker must not listen.
            patience_s: seconds without a worker at a place, after which the sites started there end as `unknown`.
            release: function that is called when the executor is closed, for example to close a cluster.
            carry_out: function that workers call with a job. It returns the result of the job as JSON data.
        """
        self.name = name
        self._connect, self._patience_s, self._release, self._carry_out = connect, patience_s, release, carry_out
        self._own = place.here(root).name
        self._client: Client | None = None
        self._trouble = ""  # the reason why the scheduler cannot be used now
        self._pending: dict[str, Pending] = {}
        self._reserved: dict[str, str] = {}
        self._told_approval: set[tuple[str, str]] = set()
        """Pairs of a campaign and the address of a worker that has stored the approval of this campaign."""
        self._ended: queue.SimpleQueue[Ending] = queue.SimpleQueue()
        self._here = Processes(self._ended)
        self._lanes = Lanes()
        self._changed = threading.Condition()  # with a reentrant lock; it is never held while a worker is asked
        self._roster = Roster(trusted, self._lanes, self._changed)
        self._looked = False
        self._closed = threading.Event()
        self._looker = threading.Thread(target=self._look_again, name="fleet", daemon=True)
        self._looker.start()

    def who(self, job: Job) -> str | None:
        """Choose a place for ``job``, reserve one slot there, and return the name of the place. Of the places that reach the
        targets of the job, the place that can take the most further jobs is chosen. Return None when no place can take a
        job.
        """
        with self._changed:
            free = self._roster.free(job, self._used)
            chosen = max(free, key=lambda name: free[name], default=None)
            if chosen is None or free[chosen] <= 0:
                return None
            self._reserved[job.site] = chosen
            return chosen

    def submit(self, job: Job) -> None:
        """Submit ``job`` to a worker at the place of the job. A place is a project folder on a machine. A job that was started
        before at this place needs no worker: this process itself finds out how the job ended.
        """
        with self._changed:
            self._reserved.pop(job.site, None)
            if job.resumed and place.is_here(job.place, self._own):
                self._here.submit(job)
                return
            self._pending[job.site] = Pending(job)
            self._submit_waiting()

    def wait(self, timeout_s: float) -> list[Ending]:
        """Wait until a job has ended. Return the results of the jobs that have ended, or an empty list after ``timeout_s``
        seconds.
        """
        limit = time.monotonic() + timeout_s
        while True:
            self._give_up()
            left = limit - time.monotonic()
            if (endings := drained(self._ended, min(max(left, 0), LOOK_S))) or left <= 0:
                return endings

    def told(self) -> list[str]:
        """Describe the workers. For each worker that cannot be used, tell the reason."""
        with self._changed:
            self._changed.wait_for(lambda: self._looked and not self._roster.asking, 2 * ASK_S)
            good = [
                f"worker {usable.address} at {usable.place}: {usable.slots} at once{_list(usable.labels)}"
                for usable in self._roster.workers.values()
            ]
            bad = [f"not used: {address}: {why}" for address, why in self._roster.refused.items()]
            bad += [f"not used: {address}: the worker does not answer" for address in self._roster.asking]
            bad += [f"not used: scheduler: {self._trouble}"] if self._trouble else []
        return [*(good or ["no worker can be used yet; the sites wait until there is one"]), *bad]

    def cancel(self, job: Job) -> bool:
        """Ask the worker of ``job`` to stop the drill. Return True when the worker has been asked.

        Another thread sends the request. The first call therefore returns False, and the caller calls again until the
        result is True. In two cases, the first call returns True: a job that was not submitted yet ends at once, without a
        request; and a drill that runs on this machine is asked during the call.
        """
        with self._changed:
            pending, client = self._pending.get(job.site), self._client
            if pending is None:
                return self._here.cancel(job)
            if not pending.job.resumed:  # it was never submitted
                self._end(pending, attempt.stopped(job))
                return True
            if client and pending.address and not (pending.stopping or pending.stopped):
                pending.stopping = True
                self._lanes.ask(pending.address, self._stop, client, pending, pending.address)
            return pending.stopped

    def close(self) -> None:
        """Disconnect from the scheduler. Drills that are running continue."""
        self._closed.set()
        self._lanes.close()
        self._leave()
        self._looker.join(ASK_S)
        self._release()

    def _used(self, name: str) -> int:
        """Return the number of jobs that the place ``name`` has, and of those for which it is reserved. A place is a project
        folder on a machine.
        """
        used = sum(pending.job.place == name for pending in self._pending.values())
        return used + sum(reserved == name for reserved in self._reserved.values())

    def _look_again(self) -> None:
        while not self._closed.is_set():
            self._look()
            self._closed.wait(LOOK_S)
        self._leave()

    def _look(self) -> None:
        """Connect to the scheduler, find the workers, and submit the jobs that no worker has."""
        try:
            client = self._connected()
            there = workers_of(client)
        except Exception as error:  # noqa: BLE001  any failure of the scheduler or its client: connect again
            self._leave()
            trouble = f"{type(error).__name__}: {error}".rstrip(": ")
        else:
            trouble = ""
        with self._changed:
            self._trouble, self._looked = trouble, True
            if not trouble and not self._closed.is_set():
                self._roster.update(client, there)
                for pending in self._pending.values():
                    if pending.address and pending.address not in there:
                        self._lose(pending)
                self._submit_waiting()
            self._changed.notify_all()
        self._give_up()

    def _connected(self) -> Client:
        """Return the client of the Dask scheduler. If there is no connection, connect first. Only the thread that looks for
        workers calls this method.
        """
        if self._client is not None and self._client.status != "running":
            self._leave()
        if self._client is None:
            made = self._connect()
            with self._changed:
                self._client = made
        return self._client

    def _leave(self) -> None:
        """Close the connection to the scheduler, and note that all jobs have lost their workers.

        After a new connection, the jobs are submitted again, unless this object was closed.
        """
        with self._changed:
            client, self._client = self._client, None
            self._roster.clear()
            for pending in self._pending.values():
                self._lose(pending, losses=0)
        if client is not None:
            with contextlib.suppress(Exception):
                client.close(timeout=2)

    def _lose(self, pending: Pending, losses: int = 1) -> None:
        """Note that a job has no worker any more. ``losses`` is added to the number of workers that this job has lost: 1
        when its worker was lost, 0 when only the connection to the scheduler was lost.
        """
        if pending.future is not None:
            pending.future, pending.address, pending.lost_at = None, "", time.monotonic()
            pending.losses += losses

    def _fail(self, pending: Pending, error: Exception) -> None:
        """Count a failure of a job, and let it be submitted again after a pause."""
        with self._changed:
            pending.future, pending.address, pending.lost_at = None, "", time.monotonic()
            pending.not_before = pending.lost_at + PAUSE_S * 2**pending.failures
            pending.failures += 1
            pending.trouble = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"

    def _submit_waiting(self) -> None:
        """Submit the jobs that no worker has. If one of them cannot be submitted, the others are still submitted."""
        now, client = time.monotonic(), self._client
        for pending in self._pending.values() if client else ():
            if pending.future is not None or pending.preparing or pending.not_before > now:
                continue
            if chosen := self._worker_for(pending.job):
                try:
                    self._hand_over(client, pending, chosen.address)
                except Exception as error:  # noqa: BLE001  it is the failure of this job alone
                    self._fail(pending, error)

    def _worker_for(self, job: Job) -> Worker | None:
        """Return the worker with the smallest load at the place of ``job``. Returns None when there is no worker at
        this place.
        """

        def load(candidate: Worker) -> float:
            return sum(other.address == candidate.address for other in self._pending.values()) / candidate.slots

        return min(self._roster.at(job), key=load, default=None)

    def _hand_over(self, client: Client, pending: Pending, address: str) -> None:
        """Submit a job to one worker, and mark the job as resumed. A later attempt of a resumed job first looks for a run of
        this job in the worker's project folder, and starts a drill only if there is none.
        """
        if pending.job.approved and (pending.job.campaign, address) not in self._told_approval:
            pending.preparing = True
            self._lanes.ask(address, self._send_approval, client, pending, address)
            return
        future = client.submit(
            self._carry_out,
            pending.job,
            key=f"drillbook-{pending.job.run}-{time.monotonic_ns()}",
            workers=[address],
            allow_other_workers=False,
            resources=dict.fromkeys(pending.job.labels, 1) or None,
            retries=0,
            pure=False,
        )
        pending.future, pending.address = future, address
        pending.job = replace(pending.job, resumed=True)
        future.add_done_callback(lambda done: self._done(pending, done))

    def _send_approval(self, client: Client, pending: Pending, address: str) -> None:
        """Store the approval of the campaign at the place of a worker."""
        stored = False
        try:
            ask(client, address, worker.keep_approval, pending.job, worker.approval(pending.job), within_s=ASK_S)
            stored = True
        except Lost as error:
            pending.trouble = str(error)
        except Exception as error:  # noqa: BLE001  it is the failure of this job alone
            self._fail(pending, error)
        with self._changed:
            pending.preparing = False
            if stored:
                self._told_approval.add((pending.job.campaign, address))
                self._submit_waiting()

    def _stop(self, client: Client, pending: Pending, address: str) -> None:
        """Ask a worker to stop the drill of a job."""
        stopped = False
        with contextlib.suppress(Lost, JobFailed):
            stopped = bool(ask(client, address, worker.cancel, pending.job, within_s=ASK_S))
        with self._changed:
            pending.stopping, pending.stopped = False, stopped

    def _done(self, pending: Pending, future: Future) -> None:
        """Start to copy the run of an ended job from the worker. A thread of the Dask client calls this method."""
        self._lanes.receive(pending.address, self._receive, pending, future, self._client, pending.address)

    def _receive(self, pending: Pending, future: Future, client: Client | None, address: str) -> None:
        if client is None or future is not pending.future:
            return
        try:
            ending = Ending.of(_result(future))
            self._end(pending, self._brought(pending.job, ending, client, address))
        except Lost as error:
            with self._changed:
                pending.trouble = str(error)
                if future is pending.future:
                    self._lose(pending, losses=0 if future.cancelled() else 1)  # Dask cancels it when the connection is lost
        except Exception as error:  # noqa: BLE001  a site must never be forgotten: its job is submitted again
            if future is pending.future:
                self._fail(pending, error)

    def _brought(self, job: Job, ending: Ending, client: Client, address: str) -> Ending:
        """Copy the run of a job to this machine, and judge it here. The result that a worker reports is not trusted."""
        folder = Path(job.root) / "reports" / job.run
        if place.number_of(job.place) == place.number_of(self._own) or not ending.run:
            return ending

        def asked(function: Callable[..., Any], *values: Any) -> Any:
            return ask(client, address, function, *values, within_s=READ_S)

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
        """End the jobs of sites whose place has been without a worker for too long, or whose attempts have failed too
        often. The result of each of these sites is unknown. The files of its run remain at the place.
        """
        now = time.monotonic()
        with self._changed:
            for pending in list(self._pending.values()):
                lost = pending.future is None and now - pending.lost_at > self._patience_s
                if lost or pending.failures >= FAILURES or pending.losses >= LOSSES:
                    self._end(pending, attempt.unknown(pending.job, self._why_lost(pending)))

    def _why_lost(self, pending: Pending) -> str:
        job = pending.job
        why = self._roster.moved(job) or pending.trouble or self._trouble or "no worker answers"
        if pending.losses >= LOSSES:
            why = f"{pending.losses} workers of the place were lost while this site was assigned to them; {why}"
        return (
            f"it is unknown how the drill on this site ended, because {job.place} did not send the run: {why}; "
            f"examine the run there with: drillbook drill.recover {job.run}"
        )

    def _end(self, pending: Pending, ending: Ending) -> None:
        """Report the end of a job, unless it was reported before."""
        with self._changed:
            if self._pending.get(pending.job.site) is pending:
                del self._pending[pending.job.site]
                self._ended.put(ending)


def _result(future: Future) -> dict[str, Any]:
    """Return the result of a job. Raises Lost when its worker or the scheduler was lost, and JobFailed when the job itself
    raised an exception.
    """
    if future.status not in ("finished", "error"):
        raise Lost(f"the worker was lost: {future.status}")
    try:
        if future.status == "finished":
            return dict(future.result(timeout=ASK_S))
        error = future.exception(timeout=ASK_S)
    except Exception as lost:
        raise Lost(f"{type(lost).__name__}: {lost}") from lost
    text = f"{type(error).__name__}: {error}"
    raise (Lost if isinstance(error, (KilledWorker, CancelledError)) else JobFailed)(text)


def _list(labels: frozenset[str]) -> str:
    return f", labels: {', '.join(sorted(labels))}" if labels else ""
