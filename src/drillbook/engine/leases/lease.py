"""A lease on a target. When the controller does not renew the lease, the target itself runs the undo commands of the lease."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.engine.leases.backends import BOOT_HOOKS, WATCHERS
from drillbook.engine.leases.script import call, one_line, run_id_of, source, state_of, unreadable
from drillbook.errors import Lapsed
from drillbook.sdk.host import Deadline, Host, LeaseConfig, Output, once_more
from drillbook.sdk.target_folders import root_of


@dataclass(frozen=True, slots=True)
class LeaseState:
    """State of a lease as its target reports it."""

    run_id: str
    armed: tuple[int, ...]
    """Numbers of the changes whose undo is armed. After the target has run the undos, these are the numbers of the changes
    whose undo failed.
    """
    whats: dict[int, str]
    undone: tuple[int, ...]
    """Numbers of the changes that the target undid without the controller."""
    watcher: bool
    """True while the watcher process on the target is alive."""
    claim: str
    """State of the lease.

    ``open``: the lease is renewed, and its undos wait; ``reverting``: the target is undoing the changes by itself;
    ``reverted``: the target has undone the changes by itself; ``ended``: the controller ended the lease.
    """
    busy: bool
    """True while a process on the target is running the undo."""
    boot: str
    age_s: int | None
    """Seconds since the last renewal. It is None when the target was rebooted after that renewal."""
    lease_s: int
    log: bytes

    @property
    def reverted(self) -> bool:
        """True when the target is running its undo, or has run it."""
        return self.claim in ("reverting", "reverted")

    @property
    def failed(self) -> tuple[int, ...]:
        """Numbers of the changes whose undo failed on the target."""
        return self.armed if self.claim == "reverted" and not self.busy else ()


class Lease:
    """The lease of one run on one host. Each method is one command on the target."""

    def __init__(self, host: Host, run_id: str, lease_s: float, config: LeaseConfig | None = None) -> None:
        """Set up the lease without contacting the host.

        ``lease_s`` is rounded up to whole seconds; ``config`` defaults to the lease settings of the host in the inventory.
        """
        self.host, self.run_id = host, run_id_of(run_id)
        self._lease = max(1, -int(-lease_s // 1))
        self._config = config or host.target.lease
        manager = host.target.manager
        sudo = manager.sudo or host.target.becomes_root
        self._manager = "user" if manager.user else "sudo" if sudo else "system"
        self._root, self._state = root_of(host), state_of(host)
        self._armed_in = ""

    @property
    def folder(self) -> str:
        """Folder of the lease on the target.

        On some targets, the lease script chooses the folder. For these targets, the result is only a guess until the first
        ``arm``.
        """
        return self._armed_in or f"{self._state or self._root}/leases/{self.run_id}"

    def ready(self, *, deadline: Deadline) -> tuple[str, str]:
        """Choose the watcher and the boot hook of the lease. Return their names ("none" if there is no boot hook).

        Changes nothing on the host. Raises NotReady when the host cannot keep a lease. Raises NotReady also when the
        inventory requires a boot hook, and the host supports none. Raises HostError when the host fails.
        """
        words = (self._config.kind, self._config.boot, self._manager)
        said = once_more(lambda: self._call("ready", *words, deadline=deadline))
        kind, _, boot = said.strip().partition(" ")
        if kind not in WATCHERS or boot not in (*BOOT_HOOKS, "none"):
            raise unreadable(self.host, "lease", said)
        return kind, boot

    def arm(self, seq: int, what: str, commands: Sequence[Sequence[str]], *, deadline: Deadline) -> None:
        """Arm an undo on the target. When this method returns, the undo is on the target's disk, and the watcher of the
        lease is alive.

        ``commands`` run in order; after a failed command, no further command runs. ``seq``: number of the change. The
        undo of a change with a higher number runs first. Raises Lapsed when the target has already begun its undo,
        NotReady when the target cannot keep a lease, and HostError when the target fails.
        """
        if seq < 0 or not commands or any(not argv for argv in commands):
            raise ValueError("an undo needs a number that is 0 or larger, and at least one command")
        lines = [shlex.join(argv) for argv in commands]
        words = (
            str(self._lease),
            self._config.kind,
            self._config.boot,
            self._manager,
            source("watch.sh"),
            str(seq),
            one_line(what),
            *lines,
        )
        said, _, folder = self._call("arm", *words, deadline=deadline).partition(" ")
        if said == "lapsed":
            raise self._lapsed()
        if said != "armed" or not folder.startswith("/"):
            raise unreadable(self.host, "lease", said)
        self._armed_in = folder

    def renew(self, *, deadline: Deadline) -> None:
        """Renew the lease.

        Raises Lapsed when the target has begun its undo or the lease is gone, and HostError when the host fails.
        """
        if "lapsed" in call(self.host, "beat_all", self._root, self._state, self.run_id, deadline=deadline).text.split("\n"):
            raise self._lapsed()

    def disarm(self, *seqs: int, deadline: Deadline) -> None:
        """Disarm the undos ``seqs`` on the target. Numbers that are not armed are skipped.

        Raises HostError when the host cannot be used.
        """
        self._call("disarm", *map(str, seqs), deadline=deadline)

    def revert(self, *, deadline: Deadline) -> LeaseState | None:
        """Make the target run all armed undos at once, and wait for them. Return the state afterwards.

        Raises HostError when the host cannot be used.
        """
        self._call("revert", deadline=deadline)
        return self.state(deadline=deadline)

    def end(self, *, deadline: Deadline) -> bytes:
        """Remove the lease with all armed undos. Return the watcher's log; the log is empty when there was no lease.

        Waits while the target runs its undo. On return, the watcher, the lease's folder and the boot hook are gone.
        Raises HostError when the host cannot be used, and when the target's undo does not finish in time.
        """
        seconds = max(1, int(deadline.remaining()) - 2)
        return self._output("end", str(seconds), self._manager, deadline=deadline).stdout

    def state(self, *, deadline: Deadline) -> LeaseState | None:
        """Return the state of the lease on the target. Returns None when this run has no lease there.

        Raises HostError when the host cannot be used.
        """
        output = once_more(lambda: self._output("state", deadline=deadline))
        head, separator, log = output.stdout.partition(b"\nlog\n")
        try:
            return _state(self.run_id, head.decode("utf-8", "replace"), log) if separator else None
        except ValueError:
            raise unreadable(self.host, "lease", head.decode("utf-8", "replace")) from None

    def _call(self, function: str, *words: str, deadline: Deadline) -> str:
        return self._output(function, *words, deadline=deadline).text

    def _output(self, function: str, *words: str, deadline: Deadline) -> Output:
        return call(
            self.host, "leased", f"lease_{function}", self._root, self._state, self.run_id, *words, deadline=deadline
        )

    def _lapsed(self) -> Lapsed:
        return Lapsed(
            f"{self.host.name}: the lease of run {self.run_id} was not renewed in time, or the host was rebooted: the "
            "target undoes the changes by itself",
            hint="this run makes no more changes on this host; after its end, `invoke drill.recover` checks the undo",
        )


def _state(run_id: str, head: str, log: bytes) -> LeaseState:
    """Parse the output of the lease script. Each line holds a keyword and then its value."""
    seqs: dict[str, list[int]] = {"armed": [], "reverted": []}
    whats, values = {}, {}
    for line in head.split("\n"):
        word, _, rest = line.partition(" ")
        if word in seqs:
            number, _, what = rest.partition(" ")
            seqs[word].append(int(number))
            whats[int(number)] = what
        else:
            values[word] = rest
    age = values.get("age")
    return LeaseState(
        run_id=run_id,
        armed=tuple(sorted(seqs["armed"])),
        whats=whats,
        undone=tuple(sorted(seqs["reverted"])),
        watcher="watcher" in values,
        claim=values.get("claim", ""),
        busy="busy" in values,
        boot=values.get("boot", ""),
        age_s=None if age is None else int(age),
        lease_s=int(values.get("lease") or 0),
        log=log,
    )
