"""A run's hold on its targets: locks against other runs, leases that revert by themselves, both renewed while we live.

One thread per host renews, so that a hung host cannot keep the others from being renewed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from drillbook.engine.leases import Held, Lease, LeaseState, Lock, Owner, beat, fence
from drillbook.engine.liveness import ended
from drillbook.engine.recorded_host import Fence
from drillbook.engine.stop_requests import Stop
from drillbook.engine.unreachable import patiently
from drillbook.errors import DrillbookError, Fenced, HostError, Locked
from drillbook.events.holds import (
    LeaseAdopted,
    LeaseArmed,
    LeaseFailed,
    LeaseLapsed,
    LeaseReady,
    LeaseUnrenewed,
    LockFailed,
    LockLost,
    LockReleased,
    LockTaken,
)
from drillbook.events.runs import StopRequested
from drillbook.findings import Finding, finding
from drillbook.journal.journal import Journal
from drillbook.plan.plan import Plan
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.identity import LockName

ANSWER_S = 10.0
"""Seconds in which a target must answer a lock or a lease command."""
RENEWALS = 6
"""Renewals within one lease: several may be lost before it ends."""
REVERT_S = 120.0
"""Seconds that a recovery waits at most while a target still reverts by itself."""
POLL_S = 0.25


@dataclass(slots=True)
class _Grip:
    """What the run holds on one host."""

    host: str
    tokens: dict[str, int] = field(default_factory=dict)
    lease: Lease | None = None
    armed: set[int] = field(default_factory=set)
    leased: bool = False
    """A lease was armed there, and has not ended."""
    renewed: float = 0.0
    """Monotonic time at which the last renewal that was answered had been sent."""
    missed: set[str] = field(default_factory=set)
    """Locks that could not be taken over; what a dead controller of this run left of them is removed at the end."""
    lost: str = ""
    """Why it is not held any more."""
    log: bytes | None = None
    """What the lease left, once it has ended."""


@dataclass(slots=True)
class Hold:
    """The locks and leases of one run.

    ``over`` names a run whose locks may be taken before their lease ends, because its controller is known to be dead.
    """

    plan: Plan
    journal: Journal
    open_host: Callable[[str], Host]
    owner: Owner
    stop: Stop
    over: str = ""
    also: tuple[LockName, ...] = ()
    """Locks besides those of the plan, as a run of an earlier version of Drillbook named them."""
    _grips: dict[str, _Grip] = field(default_factory=dict)
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _halt: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lease_s(self) -> float:
        """Seconds after which what is not renewed ends."""
        return self.plan.guard.lease_s

    @property
    def _locks(self) -> tuple[LockName, ...]:
        return tuple(dict.fromkeys((*self.plan.locks(), *self.also)))

    def _named(self, lock: LockName) -> Lock:
        return Lock(self.open_host(lock.host), lock.name, self.lease_s, lock.title)

    def take(self, patience: float = 0.0, *, lenient: bool = False) -> None:
        """Take every lock of the plan, for at most ``patience`` seconds; those taken are kept until ``end``.

        With ``lenient`` a host that cannot be reached is left out. Raises Locked, HostError.
        """
        until = time.monotonic() + patience
        for named in self._locks:
            try:
                self._take(named, until)
            except (HostError, TimeoutError) as error:
                if not lenient or isinstance(error, Locked):
                    raise
                self._grip(named.host).missed.add(named.name)
                self.journal.append(LockFailed(name=named.name, message=str(error)), host=named.host)

    def _take(self, named: LockName, until: float) -> None:
        lock, grip = self._named(named), self._grip(named.host)
        while True:
            sent = time.monotonic()
            try:
                over = self.over if self.over and self._dead(lock) else ""
                held = lock.take(self.owner, deadline=Deadline.after(ANSWER_S), over=over)
                break
            except Locked:
                if (token := self._shared(lock)) is not None:
                    held = Held(named.name, token)
                    break
                if sent >= until:
                    raise
                self._halt.wait(POLL_S)
        grip.tokens[named.name], grip.renewed = held.token, sent
        before = held.taken_from.model_dump(mode="json") if held.taken_from else None
        self.journal.append(
            LockTaken(name=named.name, token=held.token, taken_from=before, services=tuple(named.services)), host=named.host
        )
        self._renew_from_now_on(named.host)

    def _shared(self, lock: Lock) -> int | None:
        """The token of ``lock`` when this very run took it already, by another name of the same host."""
        state = lock.state(deadline=Deadline.after(ANSWER_S))
        mine = {grip.tokens.get(lock.name) for grip in list(self._grips.values())} - {None}
        return state.token if state and state.owner.run == self.owner.run and state.token in mine else None

    def _dead(self, lock: Lock) -> bool:
        """Is the holder a controller of this machine whose process has ended?"""
        state = lock.state(deadline=Deadline.after(ANSWER_S))
        return state is not None and state.owner.run == self.over and ended(state.owner.controller)

    def adopt(self, host: str, armed: Sequence[int]) -> None:
        """Take on what a dead controller of this run armed on ``host``: it stays armed while it is put back from here.

        A host that does not answer is taken to hold what the journal says: ``armed``.
        """
        grip = self._grip(host)
        grip.armed = set(armed)
        try:
            state = self._quiet(host)
        except (DrillbookError, TimeoutError) as error:
            self.journal.append(LeaseFailed(message=getattr(error, "message", str(error))), host=host)
            return
        if state is None:
            grip.armed = set()
            return
        grip.armed = set() if state.reverted else set(state.armed)
        self.journal.append(LeaseAdopted(armed=tuple(sorted(state.armed)), reverted=state.reverted), host=host)
        grip.leased = bool(grip.armed)
        if grip.armed:
            with suppress(DrillbookError, TimeoutError):
                self._beat(grip)
                self._quiet(host)  # it may have begun just before that
            self._renew_from_now_on(host)

    def _quiet(self, host: str) -> LeaseState | None:
        """The run's lease on ``host`` once the target reverts nothing there, or has done so for too long.

        Two that put back the same thing at once could undo each other's work: one stops a unit that the other has started.
        Raises HostError, TimeoutError.
        """
        patience = Deadline.after(REVERT_S)
        while True:
            state = self.lease_on(host).state(deadline=Deadline.after(ANSWER_S))
            if state is None or not state.busy or not patience.remaining():
                return state
            patience.wait(POLL_S)

    def _grip(self, host: str) -> _Grip:
        with self._lock:
            return self._grips.setdefault(host, _Grip(host, renewed=time.monotonic()))

    def lease_on(self, host: str) -> Lease:
        """The run's lease on ``host``, armed or not."""
        grip = self._grip(host)
        if grip.lease is None:
            grip.lease = Lease(self.open_host(host), self.owner.run, self.lease_s)
        return grip.lease

    def others(self) -> list[str]:
        """Who holds a lock that the run would take; only looks. Raises HostError, NotReady."""
        found = []
        for named in self._locks:
            state = self._named(named).state(deadline=Deadline.after(ANSWER_S))
            if state is not None and state.held:
                found.append(f"{named.host}: {named.title} is locked by {state.owner}")
        return found

    def ready(self) -> None:
        """Make sure that every host whose faults would be armed can keep a lease. Raises NotReady, HostError."""
        for host in leased(self.plan):
            kind, boot = self.lease_on(host).ready(deadline=Deadline.after(ANSWER_S))
            self.journal.append(LeaseReady(kind=kind, boot=boot), host=host)

    def arm(self, intent: int, what: str, host: str, commands: Sequence[Sequence[str]]) -> None:
        """Let ``host`` carry out ``commands`` by itself when renewal stops. Raises HostError, Lapsed, StepFailed."""
        lease = self.lease_on(host)
        grip = self._grip(host)
        sent = time.monotonic()
        lease.arm(intent, what, commands, deadline=Deadline.after(ANSWER_S))
        grip.armed.add(intent)
        grip.leased = True
        grip.renewed = max(grip.renewed, sent)
        self.journal.append(LeaseArmed(intent=intent, what=what, lease_s=self.lease_s), host=host, sync=True)
        self._renew_from_now_on(host)

    def disarm(self, intent: int, host: str) -> None:
        """The change ``intent`` is put back: its lease has nothing to do any more. Raises HostError."""
        grip = self._grip(host)
        if intent in grip.armed and grip.lease is not None:
            grip.lease.disarm(intent, deadline=Deadline.after(ANSWER_S))
            grip.armed.discard(intent)

    def fence(self, host: str, *, fault: bool = False) -> Fence | None:
        """What keeps a command from starting on ``host`` once one of its locks belongs to somebody else.

        A ``fault`` does not start either once the target has begun to revert: nobody there would put it back.
        """
        grip = self._grips.get(host)
        if grip is None or not grip.tokens:
            return None

        def fenced(argv: Sequence[str]) -> Sequence[str]:
            lease = self.lease_on(host).folder if fault and grip.armed else ""
            for name, token in grip.tokens.items():
                argv = fence(argv, Lock(self.open_host(host), name, self.lease_s).folder, token, lease)
            return argv

        return fenced

    def promise(self, intent: int, host: str) -> str:
        """What the target does by itself about the change ``intent`` that is still armed there; '' when it is not."""
        grip = self._grips.get(host)
        if grip is None or intent not in grip.armed:
            return ""
        return (
            f"{host} was told before the change to put it back by itself once it has heard nothing for "
            f"{self.lease_s:.0f} s; `invoke drill.recover` looks whether it did"
        )

    def check(self, host: str = "") -> None:
        """Make sure that everything is still held; asks the targets when the last answer is old.

        For a change on ``host`` only that host is asked when it has a lock of its own, so that one which hangs does not
        keep the others waiting. Raises Fenced, HostError.
        """
        for grip in list(self._grips.values()):
            if grip.lost:
                raise Fenced(grip.lost)
        own = self._grips.get(host)
        for grip in [own] if own and own.tokens else list(self._grips.values()):
            if grip.tokens and time.monotonic() - grip.renewed > self.lease_s / 2:
                self._beat(grip)
            if grip.lost:
                raise Fenced(grip.lost)

    def affirm(self) -> None:
        """Ask every target now: what is not held any more, or was reverted there, ends the run. Raises HostError."""
        for grip in list(self._grips.values()):
            if grip.tokens or grip.armed:
                self._beat(grip)

    def _renew_from_now_on(self, host: str) -> None:
        with self._lock:
            if host in self._threads or self._halt.is_set():
                return
            thread = threading.Thread(target=self._renew, args=(self._grips[host],), name=f"hold-{host}", daemon=True)
            self._threads[host] = thread
        thread.start()

    def _renew(self, grip: _Grip) -> None:
        every = max(0.3, min(5.0, self.lease_s / RENEWALS))
        while not self._halt.wait(every) and not grip.lost:
            try:
                self._beat(grip)
            except Exception as error:  # noqa: BLE001  a thread that dies would let the lease end unseen
                self._silent(grip, error)

    def _beat(self, grip: _Grip) -> None:
        """Renew everything on one host, and hear what it has to say. Raises HostError."""
        sent = time.monotonic()
        # Also when nothing is armed any more: else its log would tell of a revert that had nothing to do.
        lease = self.owner.run if grip.leased else None
        patience = max(1.0, min(ANSWER_S, self.lease_s / 3))
        heard = beat(self.open_host(grip.host), dict(grip.tokens), lease, deadline=Deadline.after(patience))
        grip.renewed = max(grip.renewed, sent)
        if heard.fenced and not self._halt.is_set():
            titles = {one.name: one.title for one in self._locks if one.host == grip.host}
            lost = ", ".join(titles.get(name, name) for name in heard.fenced)
            grip.lost = f"the lock of {lost} on {grip.host} belongs to another run now"
            self._ended("lock-lost", LockLost(message=grip.lost, names=tuple(heard.fenced)), grip.host)
        if heard.lapsed and grip.armed and not self._halt.is_set():
            message = f"the lease on {grip.host} ended, and the target put back by itself what was armed there"
            self._ended("lease-lapsed", LeaseLapsed(message=message), grip.host)
        if heard.stop and self.stop.ask(f"the run was stopped from elsewhere: {heard.stop}"):
            self.journal.append(StopRequested(by=heard.stop, from_="lock"), host=grip.host)

    def _silent(self, grip: _Grip, error: Exception) -> None:
        """A renewal got no answer: when that lasts, the target is about to revert by itself, so the run ends."""
        age = time.monotonic() - grip.renewed
        if age > self.lease_s * 2 / 3:
            why = error.message if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
            self._ended(
                "lease-unrenewed",
                LeaseUnrenewed(
                    message=f"nothing could be renewed on {grip.host} for {age:.0f} s: {why}", age_s=round(age, 3)
                ),
                grip.host,
            )

    def _ended(self, code: str, what: LockLost | LeaseLapsed | LeaseUnrenewed, host: str) -> None:
        if self.stop.ask(what.message, [_lost(code, what.message, host)]):
            self.journal.append(what, host=host)

    def end(
        self, *, keep: Sequence[int] | None = None, reach: Deadline | None = None
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """Give everything back: the log of each lease by host, and what could not be given back by host.

        Leases with an intent in ``keep`` stay armed, without it all of them: the target goes on trying what could not be
        undone from here. A host that does not answer is tried again while ``reach`` lasts. Does nothing a second time.
        """
        if self._halt.is_set():
            return {}, {}
        self._halt.set()
        logs: dict[str, bytes] = {}
        failed: dict[str, str] = {}

        def give_back(grip: _Grip) -> None:
            if thread := self._threads.get(grip.host):
                thread.join(timeout=ANSWER_S)
            try:
                log = patiently(partial(self._give_back, grip, grip.armed if keep is None else set(keep)), reach)
                if log is not None:
                    logs[grip.host] = log
            except (DrillbookError, TimeoutError) as error:
                failed[grip.host] = getattr(error, "message", str(error))

        with ThreadPoolExecutor(max(1, min(64, len(self._grips))), thread_name_prefix="hold-end") as pool:
            list(pool.map(give_back, list(self._grips.values())))
        return logs, failed

    def _give_back(self, grip: _Grip, keep: set[int]) -> bytes | None:
        """Give back what is held on one host; the log of its lease, if it had one. Safe to do twice. Raises HostError."""
        host = self.open_host(grip.host)
        if grip.log is None and (grip.lease or grip.armed) and not grip.armed & keep:
            grip.log = Lease(host, self.owner.run, self.lease_s).end(deadline=Deadline.after(ANSWER_S))
            grip.leased = False
        for name, token in list(grip.tokens.items()):
            Lock(host, name, self.lease_s).release(token, deadline=Deadline.after(ANSWER_S))
            del grip.tokens[name]
            self.journal.append(LockReleased(name=name, token=token), host=grip.host)
        for name in sorted(grip.missed):
            lock = Lock(host, name, self.lease_s)
            state = lock.state(deadline=Deadline.after(ANSWER_S))
            if state and state.owner.run == self.owner.run and (not state.held or ended(state.owner.controller)):
                lock.release(state.token, deadline=Deadline.after(ANSWER_S))
        return grip.log


def _lost(code: str, message: str, host: str) -> Finding:
    return finding(code, title=host, measured=message, host=host)


def leased(plan: Plan) -> list[str]:
    """Hosts on which a change of ``plan`` may be armed."""
    return sorted(
        {
            host
            for step in plan.steps
            if not step.restore_only and find(step.action).may_lease(step.effect)
            for host in step.hosts
        }
    )
