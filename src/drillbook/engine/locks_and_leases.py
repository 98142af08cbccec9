"""Locks and leases of a run on its targets. Both are renewed while the controller lives.

A lock keeps other runs from using a service. When the renewals of a lease stop, its target undoes the faults without the
controller. Each host has its own thread for renewals, so that a host that hangs does not block the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from drillbook.engine.fenced_host import Fence
from drillbook.engine.host_locks import Grip, armed_commands, disarm, leases, of_lease, renewal_pause
from drillbook.engine.leases import Held, Lease, LeaseState, Lock, Owner, beat
from drillbook.engine.liveness import ended
from drillbook.engine.lock_order import take_all, take_over
from drillbook.engine.parallel import on_each
from drillbook.engine.stop_requests import Stop
from drillbook.engine.unreachable import patiently
from drillbook.errors import DrillbookError, Fenced, HostError, Locked, message_of
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
from drillbook.findings import finding
from drillbook.journal.journal import Journal
from drillbook.plan.plan import Plan
from drillbook.sdk.become import Become
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.identity import LockName

ANSWER_S = 10.0
"""Seconds within which a target must answer a command of a lock or a lease."""
RENEWALS = 6
"""Number of renewals during one lease. Several renewals may fail before the lease expires."""
REVERT_S = 120.0
"""Longest time, in seconds, for which a recovery waits while a target runs its undo."""
POLL_S = 0.25
NEW_S = 10
"""Seconds for which a lock counts as new. The holder of a new lock may still be taking more locks."""


@dataclass(slots=True)
class Hold:
    """The locks and leases of one run.

    ``over``: id of a run whose controller is certainly dead. Locks of that run may be taken before they expire.
    """

    plan: Plan
    journal: Journal
    open_host: Callable[[str], Host]
    owner: Owner
    stop: Stop
    over: str = ""
    also: tuple[LockName, ...] = ()
    """Locks to take besides the plan's locks. Older versions of Drillbook locked the same services under these names."""
    _grips: dict[str, Grip] = field(default_factory=dict)
    _threads: dict[int, threading.Thread] = field(default_factory=dict)
    _halt: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lease_s(self) -> float:
        """Duration of leases in seconds."""
        return self.plan.guard.lease_s

    @property
    def _locks(self) -> tuple[LockName, ...]:
        return tuple(dict.fromkeys((*self.plan.locks(), *self.also)))

    def _named(self, lock: LockName) -> Lock:
        return Lock(self.open_host(lock.host), lock.name, self.lease_s, lock.title)

    def take(self, patience: float = 0.0, *, lenient: bool = False) -> None:
        """Take the locks of the plan and of ``also`` within ``patience`` seconds, and hold them until ``end``. When ``lenient``
        is true, unreachable hosts are skipped. Raises Locked when another run holds a lock, and HostError when a host fails.
        """
        if patience or lenient or self.over:
            take_over(self._locks, self._take_or_miss if lenient else self.take_one, patience)
        else:
            take_all(self._locks, self)

    def _take_or_miss(self, named: LockName, patience: float) -> None:
        try:
            self.take_one(named, patience)
        except Locked:
            raise
        except (HostError, TimeoutError) as error:
            self._grip(named.host).missed.add(named.name)
            self.journal.append(LockFailed(name=named.name, message=str(error)), host=named.host)

    def take_one(self, named: LockName, patience: float) -> None:
        """Take one lock within ``patience`` seconds. Raises Locked when another run holds it, HostError when the host fails."""
        self._take(named, time.monotonic() + patience)

    def give_back(self, named: LockName) -> None:
        """Release a lock, so that a run that waits for the lock can take it. Raises HostError when the host fails."""
        grip = self._grip(named.host)
        token = grip.tokens.pop(named.name, None)
        shared = any(other.tokens.get(named.name) == token for other in list(self._grips.values()))
        if token is not None and not shared:
            self._named(named).release(token, deadline=Deadline.after(ANSWER_S))
            self.journal.append(LockReleased(name=named.name, token=token), host=named.host)

    def is_new(self, named: LockName) -> bool:
        """Return True when the holder of the lock took it only a few seconds ago. Raises HostError when the host fails."""
        state = self._named(named).state(deadline=Deadline.after(ANSWER_S))
        return state is not None and state.since_s <= NEW_S

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
        self._renew_from_now_on(grip)

    def _shared(self, lock: Lock) -> int | None:
        """Return the token of ``lock`` if this run took it under another host name of the same machine; otherwise None."""
        state = lock.state(deadline=Deadline.after(ANSWER_S))
        mine = {grip.tokens.get(lock.name) for grip in list(self._grips.values())} - {None}
        return state.token if state and state.owner.run == self.owner.run and state.token in mine else None

    def _dead(self, lock: Lock) -> bool:
        """Return True when the run ``self.over`` holds ``lock``, and that run's controller has ended; see ``liveness.ended``."""
        state = lock.state(deadline=Deadline.after(ANSWER_S))
        return state is not None and state.owner.run == self.over and ended(state.owner.controller)

    def adopt(self, host: str, armed: Sequence[int], become: Become | None = None) -> None:
        """Take over the lease that a dead controller of this run left on ``host``. Renew it while this process undoes the
        changes.

        ``armed``: numbers of the changes whose undos are in the lease, according to the journal. If the host answers, the
        numbers in the lease itself are used instead. ``become``: account that made the changes.
        """
        grip = self._grip(host, become)
        grip.armed, grip.asked = set(armed), True
        try:
            state = self._quiet(grip)
        except (DrillbookError, TimeoutError) as error:
            self.journal.append(LeaseFailed(message=message_of(error)), host=host)
            return
        grip.armed = set() if state is None or state.reverted else set(state.armed)
        if state is None:
            return
        self.journal.append(LeaseAdopted(armed=tuple(sorted(state.armed)), reverted=state.reverted), host=host)
        grip.leased = bool(grip.armed)
        if grip.armed:
            with suppress(DrillbookError, TimeoutError):
                self._beat(grip)
                self._quiet(grip)  # just before the renewal, the target may have begun its undo
            self._renew_from_now_on(grip)

    def _quiet(self, grip: Grip) -> LeaseState | None:
        """Wait until the undo that the target runs by itself has ended, but at most REVERT_S seconds. Return the state of the
        lease of ``grip``. The controller must not start its own undo earlier. Otherwise the two undos could interfere: one may
        stop a unit that the other started. Raises HostError when the host fails, and TimeoutError when the undo takes longer.
        """
        patience = Deadline.after(REVERT_S)
        while True:
            state = self._lease(grip).state(deadline=Deadline.after(ANSWER_S))
            if state is None or not state.busy or not patience.remaining():
                return state
            patience.wait(POLL_S)

    def _grip(self, host: str, become: Become | None = None) -> Grip:
        """Return the locks and the lease on ``host``. If ``become`` has a sudo password, return only the lease of its account."""
        account = of_lease(become)
        with self._lock:
            made = Grip(host, account, renewed=time.monotonic())
            return self._grips.setdefault(made.key, made)

    def _armed(self, intent: int, host: str) -> Grip | None:
        """Return the ``Grip`` whose lease on ``host`` contains the undo of ``intent``, or None if no lease contains it."""
        return next((grip for grip in list(self._grips.values()) if grip.host == host and intent in grip.armed), None)

    def lease_on(self, host: str, become: Become | None = None) -> Lease:
        """Return the run's lease on ``host`` for changes with the privilege ``become``. It contains no undo until ``arm`` adds one."""
        return self._lease(self._grip(host, become))

    def _lease(self, grip: Grip) -> Lease:
        if grip.lease is None:
            grip.lease = Lease(grip.reached(self.open_host), self.owner.run, self.lease_s)
        return grip.lease

    def others(self) -> dict[str, Owner]:
        """Return descriptions of the locks that other runs hold. Takes no lock. Raises HostError when a host cannot be used."""
        held = {}
        for named in self._locks:
            state = self._named(named).state(deadline=Deadline.after(ANSWER_S))
            if state is not None and state.held:
                held[f"{named.host}: {named.title} is locked by {state.owner}"] = state.owner
        return held

    def ready(self) -> None:
        """Check that hosts that need a lease have the tools for it. Raises NotReady if not, HostError when a host fails."""
        places = leases(self.plan)
        made = [self.lease_on(host, become) for host, become in places]
        answers = on_each(lambda lease: lease.ready(deadline=Deadline.after(ANSWER_S)), made, name="lease")
        for (host, _), (kind, boot) in zip(places, answers, strict=True):
            self.journal.append(LeaseReady(kind=kind, boot=boot), host=host)

    def arm(
        self, intent: int, what: str, host: str, commands: Sequence[Sequence[str]], become: Become | None = None
    ) -> None:
        """Store the undo ``commands`` of the change number ``intent`` in the lease. When renewals stop, ``host`` runs these
        commands with the privilege ``become``. Raises Lapsed when the host has already begun its undo, NotReady when the host
        cannot keep a lease, CouldNotVerify when its answer cannot be parsed, and HostError when the host fails.
        """
        grip = self._grip(host, become)
        sent = time.monotonic()
        grip.arm(self._lease(grip), intent, what, armed_commands(become, commands), ANSWER_S)
        grip.leased, grip.renewed = True, max(grip.renewed, sent)
        self.journal.append(LeaseArmed(intent=intent, what=what, lease_s=self.lease_s), host=host, sync=True)
        self._renew_from_now_on(grip)

    def undone(self, intent: int, host: str) -> None:
        """Note that the controller undid change number ``intent``. ``disarm`` later removes this undo from the lease."""
        if (grip := self._armed(intent, host)) and grip.lease:
            grip.armed.discard(intent)
            grip.undone.add(intent)

    def disarm(self, reach: Deadline | None = None) -> None:
        """Remove from all leases the undos of changes that the controller has already undone; see ``host_locks.disarm``."""
        disarm(list(self._grips.values()), ANSWER_S, reach)

    def fence(self, host: str, *, fault: bool = False) -> Fence | None:
        """Return a function that wraps a command, so that ``host`` starts the command only while this run holds the locks of
        the host. Return None if this run holds no lock there. ``fault``: true for a command that injects a fault. After the
        target has begun its undo, such a command is not started either, because nothing would undo this fault.
        """
        if not ((grip := self._grips.get(host)) and grip.tokens):
            return None

        def fenced(argv: Sequence[str]) -> Sequence[str]:
            place = self.lease_on(host).folder if fault and grip.armed else ""
            return grip.fenced_by_locks(argv, self.open_host(host), place)

        return fenced

    def fence_of_lease(self, host: str, become: Become | None) -> Fence | None:
        """Return a wrapper for commands; see ``Grip.fenced_by_lease``. Return None if ``become`` has no sudo password."""
        return self._grip(host, become).fenced_by_lease if of_lease(become) else None

    def promise(self, intent: int, host: str) -> str:
        """Return a sentence about the lease by which ``host`` undoes ``intent``, or an empty text if no undo is armed."""
        if self._armed(intent, host) is None:
            return ""
        return (
            f"{host} has a lease that undoes the change by itself {self.lease_s:.0f} s after its last renewal; "
            "`invoke drill.recover` checks that the change was undone"
        )

    def check(self, host: str = "") -> None:
        """Check that this run still holds all locks and leases. Each lock or lease is renewed if its last renewal is older
        than half of the lease's duration. If ``host`` has a lock of its own, only that host is asked, so that another host
        that hangs causes no delay. Raises Fenced when a lock or a lease is lost, and HostError when a host fails.
        """
        for grip in list(self._grips.values()):
            if grip.lost:
                raise Fenced(grip.lost)
        own = [grip for grip in list(self._grips.values()) if grip.host == host]
        for grip in own if any(grip.tokens for grip in own) else list(self._grips.values()):
            if grip.renewable and time.monotonic() - grip.renewed > self.lease_s / 2:
                self._beat(grip)
            if grip.lost:
                raise Fenced(grip.lost)

    def affirm(self) -> None:
        """Renew all locks and leases. A lost lock, or an undo by a target, ends the run. Raises HostError when a host fails."""
        on_each(self._beat, [grip for grip in list(self._grips.values()) if grip.tokens or grip.armed], name="beat")

    def _renew_from_now_on(self, grip: Grip) -> None:
        with self._lock:
            if id(grip) in self._threads or self._halt.is_set():
                return
            thread = threading.Thread(target=self._renew, args=(grip,), name=f"hold-{grip.host}", daemon=True)
            self._threads[id(grip)] = thread
        thread.start()

    def _renew(self, grip: Grip) -> None:
        hosts = len(self._threads)
        while not self._halt.wait(renewal_pause(self.lease_s, RENEWALS, hosts)) and not grip.lost:
            try:
                self._beat(grip)
                hosts = len(self._threads)
            except Exception as error:  # noqa: BLE001  a thread that dies would let the lease expire unnoticed
                hosts = 1  # try again soon
                self._silent(grip, error)

    def _beat(self, grip: Grip) -> None:
        """Renew the locks and the lease of one host, and react to the answer. Raises HostError when the host fails."""
        sent = time.monotonic()
        # Renew the lease even if no undo is armed: an expired lease would log a revert, although nothing was undone.
        lease = self.owner.run if grip.leased else None
        patience = max(1.0, min(ANSWER_S, self.lease_s / 3))
        heard = beat(grip.reached(self.open_host), dict(grip.tokens), lease, deadline=Deadline.after(patience))
        grip.renewed = max(grip.renewed, sent)
        titles = {lock.name: lock.title for lock in self._locks if lock.host == grip.host}
        if not self._halt.is_set() and (lost := grip.taken_over_now(heard.fenced, titles)):
            self._ended("lock-lost", lost, grip.host)
        if heard.lapsed and grip.armed and not self._halt.is_set():
            message = f"the lease on {grip.host} expired, so the target undid the changes by itself"
            self._ended("lease-lapsed", LeaseLapsed(message=message), grip.host)
        if heard.stop and self.stop.ask(f"the run was stopped by a request on the target: {heard.stop}"):
            self.journal.append(StopRequested(by=heard.stop, from_="lock"), host=grip.host)

    def _silent(self, grip: Grip, error: Exception) -> None:
        """Handle a renewal without an answer. End the run if two thirds of the lease have passed since the last answer."""
        age = time.monotonic() - grip.renewed
        if age > self.lease_s * 2 / 3:
            why = error.message if isinstance(error, DrillbookError) else f"{type(error).__name__}: {error}"
            self._ended(
                "lease-unrenewed",
                LeaseUnrenewed(
                    message=f"the locks and the lease on {grip.host} could not be renewed for {age:.0f} s: {why}",
                    age_s=round(age, 3),
                ),
                grip.host,
            )

    def _ended(self, code: str, what: LockLost | LeaseLapsed | LeaseUnrenewed, host: str) -> None:
        asked = self.stop.ask(what.message, [finding(code, title=host, measured=what.message, host=host)])
        if asked or isinstance(what, LockLost):  # a lost lock is not released at the end of a run that stops already
            self.journal.append(what, host=host)

    def end(
        self, *, keep: Sequence[int] | None = None, reach: Deadline | None = None
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """Release all locks and leases. Return the logs of the leases, and the failures, both by host.

        ``keep`` holds the numbers of the changes that the controller could not undo. Their leases stay armed, so that the
        target itself tries the undo again. When ``keep`` is None, every lease with an armed undo stays armed. An unreachable
        host is retried until the deadline ``reach``. A second call does nothing.
        """
        if self._halt.is_set():
            return {}, {}
        self._halt.set()
        logs: dict[str, bytes] = {}
        failed: dict[str, str] = {}

        def give_back(grip: Grip) -> None:
            if thread := self._threads.get(id(grip)):
                thread.join(timeout=ANSWER_S)
            try:
                log = patiently(partial(self._give_back, grip, grip.armed if keep is None else set(keep)), reach)
                if log is not None:
                    logs[grip.host] = logs.get(grip.host, b"") + log
            except (DrillbookError, TimeoutError) as error:
                failed[grip.host] = message_of(error)

        on_each(give_back, list(self._grips.values()), name="hold-end")
        return logs, failed

    def _give_back(self, grip: Grip, keep: set[int]) -> bytes | None:
        """Release a host's locks and its lease; return the lease's log. Safe to repeat. Raises HostError when the host fails."""
        host = grip.reached(self.open_host)
        if grip.armed & keep:
            grip.disarm(ANSWER_S, grip.armed - keep)
        elif grip.log is None and (grip.lease or grip.armed):
            grip.end(Lease(host, self.owner.run, self.lease_s), ANSWER_S)
        for name, token in list(grip.tokens.items()):
            Lock(host, name, self.lease_s).release(token, deadline=Deadline.after(ANSWER_S))
            del grip.tokens[name]
            if name not in grip.taken_over:
                self.journal.append(LockReleased(name=name, token=token), host=grip.host)
        for name in sorted(grip.missed):
            lock = Lock(host, name, self.lease_s)
            state = lock.state(deadline=Deadline.after(ANSWER_S))
            if state and state.owner.run == self.owner.run and (not state.held or ended(state.owner.controller)):
                lock.release(state.token, deadline=Deadline.after(ANSWER_S))
        return grip.log
