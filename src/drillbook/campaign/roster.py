"""Workers of a campaign. This module keeps a list of the workers that can be used, and the reason why each other worker cannot
be used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Any

from distributed import Client

from drillbook import __version__
from drillbook.campaign import place, worker
from drillbook.campaign.attempt import Job
from drillbook.campaign.worker_requests import ASK_S, JobFailed, Lanes, Lost, ask

RETRY_S = 20.0
"""Time, in seconds, after which a worker that could not be used is asked again."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A Dask worker process. It carries out jobs at its place: the project folder in which it runs."""

    address: str
    place: str
    slots: int
    labels: frozenset[str]
    disk: str = ""

    def fits(self, job: Job) -> bool:
        """Return True when this worker reaches the targets of ``job``."""
        return set(job.labels) <= self.labels


class Roster:
    """Finds workers, and asks each of them for its place. Every method must be called while the lock of the condition
    ``changed`` is held.
    """

    def __init__(self, trusted: Callable[[str], bool], lanes: Lanes, changed: Condition) -> None:
        """Start without workers.

        Parameters:
            trusted: function that returns False for an address on which a worker must not listen.
            lanes: threads that ask the workers.
            changed: condition that is notified when a worker was found or refused.
        """
        self.workers: dict[str, Worker] = {}
        self.refused: dict[str, str] = {}
        """Reasons why workers are not used. The key of each reason is the address of the worker."""
        self.asking: dict[str, dict[str, Any]] = {}
        """Facts about workers that were asked and have not answered yet. The key of each entry is the address of the worker.
        """
        self._trusted, self._lanes, self._changed = trusted, lanes, changed
        self._retry_at: dict[str, float] = {}

    def update(self, client: Client, there: dict[str, dict[str, Any]]) -> None:
        """Forget the workers that are gone. Ask each new worker for its machine and its project.

        ``there``: facts about the workers that exist now, by the address of the worker.
        """
        for known in (self.workers, self.refused, self.asking, self._retry_at):
            for address in [address for address in known if address not in there]:
                del known[address]
                self._lanes.forget(address)
        now = time.monotonic()
        for address, facts in there.items():
            if address in self.workers or address in self.asking or self._retry_at.get(address, now) > now:
                continue
            if why := self._exposed([address, facts.get("nanny") or address]):
                self._refuse(address, why)
                continue
            self.asking[address] = facts
            self._lanes.ask(address, self._ask, client, address, facts)

    def clear(self) -> None:
        """Forget all workers."""
        for address in {*self.workers, *self.refused, *self.asking}:
            self._lanes.forget(address)
        for known in (self.workers, self.refused, self.asking, self._retry_at):
            known.clear()

    def free(self, job: Job, used: Callable[[str], int]) -> dict[str, int]:
        """Return the places that reach the targets of ``job``. The key of each entry is the name of the place, and the value is
        the number of further jobs that the place can take. ``used``: function that returns the number of jobs at a place.
        """
        names = {candidate.place for candidate in self.workers.values() if candidate.fits(job)}
        return {
            name: sum(candidate.slots for candidate in self.workers.values() if candidate.place == name) - used(name)
            for name in names
        }

    def at(self, job: Job) -> list[Worker]:
        """Return the workers at the place of ``job`` that reach the targets of the job."""
        number = place.number_of(job.place)
        return [
            candidate
            for candidate in self.workers.values()
            if place.number_of(candidate.place) == number and candidate.fits(job)
        ]

    def moved(self, job: Job) -> str:
        """Return a note if the project folder of ``job`` was moved or copied to another place, and a worker runs there. The
        result is empty when there is no such worker.
        """
        moved_to = next(
            (candidate.place for candidate in self.workers.values() if place.is_copy(candidate.place, job.place)), ""
        )
        note = f"no worker answers for this place; its project was moved or copied to {moved_to}, where a worker answers"
        return note if moved_to else ""

    def _ask(self, client: Client, address: str, facts: dict[str, Any]) -> None:
        """Ask a worker for its place and its addresses. Each worker has its own threads for this, so that a slow worker
        does not delay the others; see ``Lanes``.
        """
        listens: list[str] = []
        try:
            said = ask(client, address, worker.identify, within_s=ASK_S)
            for nanny in (False, True) if facts.get("nanny") else (False,):
                listens += ask(client, address, worker.listens, within_s=ASK_S, nanny=nanny)
            why = _unfit(said) or self._exposed(listens)
        except (Lost, JobFailed) as error:
            said, why = {}, f"Drillbook cannot be used on this worker: {error}"
        with self._changed:
            if self.asking.get(address) is facts:
                del self.asking[address]
                if why := why or self._twin_of(said):
                    self._refuse(address, why)
                else:
                    self._accept(address, facts, said)
                self._changed.notify_all()

    def _refuse(self, address: str, why: str) -> None:
        self.refused[address] = why
        self._retry_at[address] = time.monotonic() + RETRY_S

    def _accept(self, address: str, facts: dict[str, Any], said: dict[str, str]) -> None:
        labels = {label: int(amount) for label, amount in facts["resources"].items()}
        slots = min([facts["nthreads"], *labels.values()])
        self.refused.pop(address, None)
        self.workers[address] = Worker(address, said["name"], slots, frozenset(labels), said["disk"])

    def _exposed(self, addresses: list[str]) -> str:
        """Return the reason to refuse a worker that listens on ``addresses``, or an empty text."""
        exposed = next((address for address in addresses if not self._trusted(address)), "")
        return f"the worker listens without TLS on an address that others can reach: {exposed}" if exposed else ""

    def _twin_of(self, said: dict[str, str]) -> str:
        """Return the reason to refuse a worker on a cloned machine, or an empty text. ``said``: answer of the worker to
        ``identify``.

        The machine is a clone when the place of another known worker has the same number, but is on another running system or
        disk.
        """
        number = place.number_of(said["name"])
        same = (candidate for candidate in self.workers.values() if place.number_of(candidate.place) == number)
        twin = next((candidate for candidate in same if candidate.disk != said["disk"]), None)
        if twin is None:
            return ""
        return (
            f"its machine is a clone of the machine of the worker {twin.address}, because both have the place {said['name']}; "
            "give it an identity of its own (/etc/machine-id), or remove reports/.place in its project"
        )


def _unfit(said: dict[str, str]) -> str:
    """Return the reason why a worker cannot be used. The result is empty when it can be used. ``said``: answer of the
    worker to ``identify``.
    """
    if said.get("error"):
        return str(said["error"])
    return (
        ""
        if said["version"] == __version__
        else f"the worker has Drillbook {said['version']}, but the controller has {__version__}"
    )
