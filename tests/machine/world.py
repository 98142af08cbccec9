"""Two in-memory hosts, a drill on them, and a controller that can die after any event of its journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drillbook.engine.leases.lock import FENCE
from drillbook.engine.recovery import Recovery
from drillbook.engine.runner import Runner
from drillbook.engine.step_context import Stage
from drillbook.hosts.fake import Call, FakeHost, Reply
from drillbook.journal.journal import FILE, Event, Journal, read
from drillbook.judge.result import Residue
from drillbook.plan.planner import Plan
from drillbook.redact import Redactor
from drillbook.sdk.host import Host

HOSTS = ("a", "b")
LOST = "lost-"
"""Prefix of names of things that only a restore brings back."""
HALF, STOPPED = b"half", b"stopped"
"""Content of a thing that is only partly broken or stopped, and can be started again."""
HEADER = {"tool": "test", "operator": "nobody", "controller": "here"}
RUN = {"id": "run", "started": "2026-01-01T00:00:00+00:00", "operator": "nobody"}


class World:
    """Changes on each host, and those that currently cannot be undone. Every change must have been announced."""

    def __init__(self) -> None:
        self.hosts = {name: self._host(name) for name in HOSTS}
        self.stuck: set[tuple[str, str]] = set()
        self.announced: set[tuple[str, str]] = set()
        """Host and thing of every intent in the journal so far."""
        self.unannounced: list[str] = []
        self.hosts["a"].files["somebody else's"] = b""

    def _host(self, name: str) -> FakeHost:
        host = FakeHost(name)
        for word in ("make", "half", "mend"):
            host.on(word, lambda call, word=word: self._act(host, word, call))
        host.on("is", lambda call: Reply({None: 1, HALF: 2, STOPPED: 2}.get(host.files.get(call.argv[1]), 0)))
        host.on("start", lambda call: self._start(host, call))
        host.on("restore", lambda call: self._restore(host))
        host.on("whole", lambda call: Reply(1 if any(thing.startswith(LOST) for thing in host.files) else 0))
        host.on("rm", Reply(0))
        host.on("sh", lambda call: self._shell(host, call))
        return host

    def _shell(self, host: FakeHost, call: Call) -> Reply:
        """Run a fenced command; locks are always free, and leases are never armed here."""
        if call.argv[2] == FENCE:
            return host._answer(replace(call, argv=call.argv[7:]))
        return Reply(stdout=b"taken 1" if call.argv[4] == "lock_take" else b"")

    def _act(self, host: FakeHost, word: str, call: Call) -> Reply:
        thing = call.argv[1]
        if (host.name, thing) not in self.announced:
            self.unannounced.append(f"{word} {thing} on {host.name}")
        if word in ("make", "half"):
            host.files[thing] = HALF if word == "half" else b""
            return Reply(0)
        if (host.name, thing) in self.stuck:
            return Reply(1, stderr=b"stuck")
        host.files.pop(thing, None)
        return Reply(0)

    def _start(self, host: FakeHost, call: Call) -> Reply:
        if (host.name, call.argv[1]) in self.stuck:
            return Reply(1, stderr=b"stuck")
        if host.files.get(call.argv[1]) == STOPPED:
            del host.files[call.argv[1]]
        return Reply(0)

    def _restore(self, host: FakeHost) -> Reply:
        if (host.name, LOST) in self.stuck:
            return Reply(1, stderr=b"stuck")
        for thing in [thing for thing in host.files if thing.startswith(LOST)]:
            del host.files[thing]
        return Reply(0)

    def saw(self, event: Event) -> None:
        """Record the announcement of an event."""
        if event.kind == "intent":
            self.announced.add((str(event.host), str(event.data["params"].get("thing", "door"))))

    def things(self) -> set[tuple[str, str]]:
        """Host and name of everything that is currently changed."""
        return {(name, thing) for name, host in self.hosts.items() for thing in host.files if thing != "somebody else's"}

    def memory(self) -> dict[str, dict[str, bytes]]:
        """Copy of the state of all hosts."""
        return {name: dict(host.files) for name, host in self.hosts.items()}


@dataclass(slots=True)
class Ran:
    """Events of a run or a recovery, and the state of the hosts after each of them: the moments at which it can die."""

    journal: bytes = b""
    moments: list[tuple[int, dict[str, dict[str, bytes]]]] = field(default_factory=list)


class Controller:
    """Runs and recovers one drill; a test can then make either one have died earlier."""

    def __init__(self, plan: Plan, world: World, folder: Path, *, origin: float = 0.0) -> None:
        self.plan, self.world, self.folder, self.origin = plan, world, folder, origin
        self.journal = folder / FILE
        self.ran = Ran()
        self.header = HEADER
        self.saw: Callable[[Event], None] = lambda event: None
        self._lock = threading.Lock()

    def _observe(self, event: Event) -> None:
        self.saw(event)
        self.world.saw(event)
        with self._lock:
            if not self._unacted(event):
                return
            # Read both at one moment: a line written in between by another thread may report the removal of a thing in the copy.
            for _ in range(100):
                size, memory = self.journal.stat().st_size, self.world.memory()
                if self.journal.stat().st_size == size:
                    self.ran.moments.append((size, memory))
                    return

    def _unacted(self, event: Event) -> bool:
        """Return False when the journal ends with an intent of another thread, which may have acted on it already.

        The other thread reported its line before it acted, so that the moment is recorded without this thread.
        """
        last = self.journal.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
        return b'"kind":"intent"' not in last or f'"hash":"{event.hash}"'.encode() in last

    def run(self) -> Ran:
        """Run the drill to its end."""
        journal = Journal(self.folder, Redactor(()), origin=self.origin, observer=self._observe)
        try:
            stage = Stage(self.plan, journal, self._host, self.folder, dict(RUN), journal.redactor)
            Runner(stage, lambda names: {}, header=self.header).run()
        finally:
            journal.close()
        self.ran.journal = self.journal.read_bytes()
        return self.ran

    def recover(self, *, from_backup: bool = False) -> list[Residue]:
        """Recover the run to the end."""
        self.ran = Ran()
        residue = self.recovery(from_backup=from_backup).run({"tool": "test", "operator": "nobody"})
        self.ran.journal = self.journal.read_bytes()
        return residue

    def recovery(self, *, from_backup: bool = False) -> Recovery:
        """The recovery of the run."""
        return Recovery(
            self.folder,
            lambda plan, name: self._open(name),
            lambda plan: Redactor(()),
            self._observe,
            from_backup=from_backup,
        )

    def died(self, moment: int, ran: Ran) -> None:
        """Let a run or recovery have died after one of its events."""
        if not ran.moments:
            return
        size, memory = ran.moments[moment % len(ran.moments)]
        self.journal.write_bytes(ran.journal[:size])
        for name, host in self.world.hosts.items():
            host.files = dict(memory[name])
        self.world.announced.clear()
        for event in read(self.journal).events:
            self.world.saw(event)

    def _host(self, name: str) -> Host:
        return self.world.hosts[name]

    def _open(self, name: str) -> Host:
        return _Borrowed(self.world.hosts[name])  # type: ignore[return-value]


class _Borrowed:
    """Host that stays open when a recovery closes its connection."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def close(self) -> None:
        """Keep the simulated hosts as they are."""
