"""State of a run's locks and lease on one host. This module also finds the hosts of a plan that need a lease."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from drillbook.engine.leases import Lease, Lock, fence
from drillbook.engine.parallel import on_each
from drillbook.engine.unreachable import patiently
from drillbook.errors import DrillbookError, NotReady
from drillbook.events.holds import LockLost
from drillbook.hosts.privileged import privileged
from drillbook.plan import privilege
from drillbook.plan.plan import Plan
from drillbook.sdk.action import find
from drillbook.sdk.become import Become
from drillbook.sdk.host import Deadline, Host, as_user

RENEWALS_PER_S = 50
"""Largest number of renewals per second on all hosts together. With more renewals, the controller has too little time for
the drill.
"""


@dataclass(slots=True)
class Grip:
    """Locks and the lease of the run on one host.

    Normally one object holds the locks and the lease of a host. If sudo asks for a password, the lease belongs to the
    account that the step uses. A separate object of this class then holds only the lease.
    """

    host: str
    become: Become | None = None
    """Account to which the lease belongs, if sudo asks for a password to change to this account. Without such an account, the
    lease belongs to the SSH user, and the value is None.
    """
    tokens: dict[str, int] = field(default_factory=dict)
    lease: Lease | None = None
    armed: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    """Changes that the controller has undone. Their undos are still stored on the target, until ``disarm`` removes
    them.
    """
    asked: bool = False
    """True once an undo may have reached the host. Before that, the run has no lease on the host."""
    leased: bool = False
    """True while an armed lease exists on the host."""
    renewed: float = 0.0
    """Monotonic time at which the last successful renewal was sent."""
    missed: set[str] = field(default_factory=set)
    """Locks that could not be taken because the host did not answer. At the end, each of these locks is released if it
    belongs to this run.
    """
    taken_over: set[str] = field(default_factory=set)
    """Names of the locks that other runs took over, and that the journal records as lost. ``tokens`` still contains these
    locks.
    """
    lost: str = ""
    """Reason why the locks or the lease were lost. It is empty while they are held."""
    log: bytes | None = None
    """The target's log of the lease, fetched when the controller ended the lease. It is None before that."""

    @property
    def key(self) -> str:
        """Key of this object among those of the run: the name of the host and, with `become`, the account to which the lease
        belongs. A lease is a list of undos on the host. Without an account, the lease belongs to the SSH user.
        """
        return f"{self.host}\0{self.become.user}" if self.become else self.host

    @property
    def renewable(self) -> bool:
        """True when there is something to renew: locks, or a separate lease. A separate lease is one that contains undos and
        belongs to another account than the SSH user.
        """
        return bool(self.tokens) or (self.become is not None and bool(self.armed))

    def taken_over_now(self, fenced: Collection[str], titles: Mapping[str, str]) -> LockLost | None:
        """Note the locks of this run that other runs took over. Return an event with the names of these locks, or None
        if there are none. A lock that an earlier call has noted is not named again.

        ``fenced``: names of the locks that the host refused to renew. A lock that this run has released in the meantime does
        not count. ``titles``: name of each lock for messages, with the name of the lock as the key.
        """
        names = tuple(name for name in fenced if name in self.tokens and name not in self.taken_over)
        if not names:
            return None
        self.taken_over |= {*names}
        message = (
            f"the lock of {', '.join(titles.get(name, name) for name in names)} on {self.host} now belongs to another run"
        )
        self.lost = self.lost or message
        return LockLost(message=message, names=names)

    def fenced_by_lease(self, argv: Sequence[str]) -> Sequence[str]:
        """Wrap ``argv``. If the lease contains an undo, the wrapped command starts only while the lease is open: the lease
        has not ended, and the target has not begun the undo.
        """
        return fence(argv, self.lease.folder, "claim.open") if self.armed and self.lease else argv

    def arm(self, lease: Lease, intent: int, what: str, commands: Sequence[Sequence[str]], seconds: float) -> None:
        """Arm an undo in ``lease``. ``intent``: number of the change. ``commands``: commands that undo this change. Raises
        the errors of ``Lease.arm``."""
        before, self.asked = self.asked, True
        try:
            lease.arm(intent, what, commands, deadline=Deadline.after(seconds))
        except NotReady:  # the host refused, so it stores nothing
            self.asked = before
            raise
        self.armed.add(intent)

    def end(self, lease: Lease, seconds: float) -> None:
        """End ``lease``, and keep its log. Raises HostError when the host fails. Raises NotReady when the host no longer
        supports leases and an undo may be armed there. If the host supports no leases and no undo can be armed there, nothing
        is done.
        """
        try:
            self.log = lease.end(deadline=Deadline.after(seconds))
        except NotReady:
            if self.asked:
                raise
        self.leased = False

    def disarm(self, seconds: float, also: Collection[int] = ()) -> None:
        """Remove undos from the lease, because their changes are already undone. One command on the host removes all of them.

        ``also``: further changes whose undos are removed. Raises HostError when the command fails.
        """
        gone = sorted({*self.undone, *also})
        if gone and self.lease is not None:
            self.lease.disarm(*gone, deadline=Deadline.after(seconds))
        self.undone -= {*gone}
        self.armed -= {*gone}

    def fenced_by_locks(self, argv: Sequence[str], host: Host, lease: str) -> Sequence[str]:
        """Wrap ``argv``.

        The wrapped command starts only while the run holds all its locks on ``host`` and its lease is open. ``lease``:
        folder of that lease.
        """
        for name, token in self.tokens.items():
            argv = fence(argv, Lock(host, name, 1.0).folder, token, lease)
        return argv

    def reached(self, open_host: Callable[[str], Host]) -> Host:
        """Return the host of the lease. Its commands run as the account to which the lease belongs."""
        return privileged(open_host(self.host), self.become)


def disarm(grips: Sequence[Grip], seconds: float, reach: Deadline | None) -> None:
    """Remove undos from the leases. An undo is removed only if the controller has already undone its change.

    For each lease, one command is run on its host, and may take at most ``seconds``. An unreachable host is retried until
    the deadline ``reach``. An undo that cannot be removed stays armed until the lease ends. The target may then undo the
    change a second time, which does no harm. Failures are not reported here, because a failure to end the lease is reported
    later.
    """

    def remove(grip: Grip) -> None:
        with suppress(DrillbookError, TimeoutError):
            patiently(partial(grip.disarm, seconds), reach)

    on_each(remove, [grip for grip in grips if grip.undone], name="disarm")


def renewal_pause(lease_s: float, times: int, hosts: int) -> float:
    """Return the seconds between two renewals on one host. On few hosts, the pause is ``lease_s`` divided by ``times``,
    but at most 5 seconds. ``hosts``: number of hosts.

    On several hundred hosts, the pause may be longer than 5 seconds, so that all hosts together have at most RENEWALS_PER_S
    renewals in a second. But it is then at most a quarter of the lease, so that the lease does not expire when a renewal
    fails.
    """
    return max(0.3, min(5.0, lease_s / times), min(lease_s / 4, hosts / RENEWALS_PER_S))


def of_lease(become: Become | None) -> Become | None:
    """Return the account to which the lease of a step belongs; None means the SSH user. ``become``: privilege of the step.

    When sudo needs no password, the lease belongs to the SSH user, and the undo commands contain `sudo -n`. When sudo needs
    a password, the lease belongs to the account of the step. Its watcher then runs as this account, because no password is
    stored on a target.
    """
    return become if become and become.password else None


def armed_commands(become: Become | None, commands: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the undo ``commands`` of a step, changed so that the watcher of the lease can run them."""
    account = "" if become is None or of_lease(become) else become.user
    return [as_user(account, tuple(argv)) for argv in commands]


def leases(plan: Plan) -> list[tuple[str, Become | None]]:
    """Return the hosts that may need a lease, each with the account of the lease. These are the hosts on which a step
    of ``plan`` may make a change.
    """
    accounts: dict[tuple[str, str], Become | None] = {}
    for step in plan.steps:
        if step.restore_only or not find(step.action).may_lease(step.effect):
            continue
        for host in step.hosts:
            account = of_lease(privilege.of_step(plan.inventory, step, host))
            accounts[host, account.user if account else ""] = account
    return [(host, accounts[host, user]) for host, user in sorted(accounts)]
