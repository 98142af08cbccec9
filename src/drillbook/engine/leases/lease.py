"""A lease on a target: undo commands that the target carries out by itself when nobody renews them any more."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.engine.leases.script import call, one_line, run_id_of, source, state_of, unreadable
from drillbook.errors import Lapsed
from drillbook.sdk.host import Deadline, Host, LeaseConfig, Output, once_more
from drillbook.sdk.target_folders import root_of


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as the target sees it."""

    run_id: str
    armed: tuple[int, ...]
    """Undos that are not done; in a lease that the target reverted, those that failed."""
    whats: dict[int, str]
    undone: tuple[int, ...]
    """What the target reverted by itself."""
    watcher: bool
    """The watcher lives."""
    claim: str
    """open; reverting or reverted: by the target itself; ended: by the controller."""
    busy: bool
    """A process on the target reverts right now."""
    boot: str
    age_s: int | None
    """Seconds since the last renewal; None when the target was started again since."""
    lease_s: int
    log: bytes

    @property
    def reverted(self) -> bool:
        """The target reverts or has reverted by itself."""
        return self.claim in ("reverting", "reverted")

    @property
    def failed(self) -> tuple[int, ...]:
        """Undos that the target tried and could not do."""
        return self.armed if self.claim == "reverted" and not self.busy else ()


class Lease:
    """The lease of one run on one host. Each call is one command on the target."""

    def __init__(self, host: Host, run_id: str, lease_s: float, config: LeaseConfig | None = None) -> None:
        """Nothing is contacted yet. ``lease_s`` in whole seconds, rounded up; ``config`` defaults to the host's own."""
        self.host, self.run_id = host, run_id_of(run_id)
        self._lease = max(1, -int(-lease_s // 1))
        self._config = config or host.target.lease
        manager = host.target.manager
        self._manager = "user" if manager.user else "sudo" if manager.sudo else "system"
        self._root, self._state = root_of(host), state_of(host)
        self._armed_in = ""

    @property
    def folder(self) -> str:
        """The lease's folder on the target; where the target chose it, known once something is armed."""
        return self._armed_in or f"{self._state or self._root}/leases/{self.run_id}"

    def ready(self, *, deadline: Deadline) -> tuple[str, str]:
        """How the lease would be kept: ("systemd" or "watcher", "systemd", "cron" or "none" for a reboot).

        Changes nothing. Raises NotReady when the host cannot keep a lease, or cannot revert at boot and the inventory does
        not accept that; HostError.
        """
        words = (self._config.kind, self._config.boot, self._manager)
        said = once_more(lambda: self._call("ready", *words, deadline=deadline))
        kind, _, boot = said.strip().partition(" ")
        if kind not in ("systemd", "watcher") or boot not in ("systemd", "cron", "none"):
            raise unreadable(self.host, "lease", said)
        return kind, boot

    def arm(self, seq: int, what: str, commands: Sequence[Sequence[str]], *, deadline: Deadline) -> None:
        """Leave an undo with the target: on its disk, and its watcher alive, before this returns.

        ``commands`` are carried out in order, each only when the one before succeeded; an undo of a higher ``seq`` comes
        first. Raises Lapsed when the target has already begun to revert; NotReady, HostError.
        """
        if seq < 0 or not commands or any(not argv for argv in commands):
            raise ValueError("an undo has a number from 0 on and at least one command")
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
        """Keep the target from reverting for another lease. Raises Lapsed when it has begun to; HostError."""
        if "lapsed" in call(self.host, "beat_all", self._root, self._state, self.run_id, deadline=deadline).text.split("\n"):
            raise self._lapsed()

    def disarm(self, seq: int, *, deadline: Deadline) -> None:
        """Take an undo back from the target; nothing happens when it is not there. Raises HostError."""
        self._call("disarm", str(seq), deadline=deadline)

    def revert(self, *, deadline: Deadline) -> LeaseState | None:
        """Let the target carry out now all that is armed, and wait for it; its state afterwards. Raises HostError."""
        self._call("revert", deadline=deadline)
        return self.state(deadline=deadline)

    def end(self, *, deadline: Deadline) -> bytes:
        """Remove the lease with all that is still armed; returns the watcher's log, empty when there was no lease.

        Waits while the target reverts. The watcher, the folder and the hook for a reboot are gone when it returns.
        Raises HostError, also when the target does not come to an end with reverting.
        """
        seconds = max(1, int(deadline.remaining()) - 2)
        return self._output("end", str(seconds), self._manager, deadline=deadline).stdout

    def state(self, *, deadline: Deadline) -> LeaseState | None:
        """What the target holds; None when there is no lease of this run. Raises HostError."""
        output = once_more(lambda: self._output("state", deadline=deadline))
        head, found, log = output.stdout.partition(b"\nlog\n")
        try:
            return _state(self.run_id, head.decode("utf-8", "replace"), log) if found else None
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
            f"{self.host.name}: the lease of run {self.run_id} was not renewed in time, or the host was started "
            "again: the target reverts by itself",
            hint="nothing more may be changed there by this run",
        )


def _state(run_id: str, head: str, log: bytes) -> LeaseState:
    """A state from the lines of the script: a word, then its value."""
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
