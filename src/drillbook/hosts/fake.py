"""A host that is only memory: for tests of what uses hosts, held to the same contract as the real ones."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO

from drillbook.errors import Cancelled, CommandTimedOut, HostError, HostUnreachable
from drillbook.hosts.capture import Capture
from drillbook.hosts.forward import FarSocket, forwarded
from drillbook.hosts.shell import checked, revealed
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Output, Target, shown
from drillbook.values import Secret


@dataclass(frozen=True, slots=True)
class Reply:
    """How a fake command ends and what it leaves."""

    exit: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""
    signal: str | None = None


@dataclass(slots=True)
class Call:
    """One command that a FakeHost was told to run."""

    argv: tuple[str, ...]
    stdin: bytes
    env: dict[str, str]
    cwd: str | None
    deadline: Deadline = field(repr=False)

    def sleep(self, seconds: float) -> None:
        """Pass the time as a real command would: ended by the deadline and the flag."""
        self.deadline.wait(seconds)


Handler = Callable[[Call], Reply | bytes | str]
"""What a fake command does; bytes or text are standard output with exit 0."""


class FakeHost:
    """A host with a dictionary for a disk and Python functions for commands.

    ``calls`` records what was run; ``running`` is what runs just now.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        target: Target | None = None,
        files: Mapping[str, bytes] | None = None,
        commands: Mapping[str | tuple[str, ...], Handler | Reply | bytes | str] | None = None,
        forwards: Mapping[tuple[str, int], int] | None = None,
        latency: float = 0.0,
        unreachable: bool = False,
    ) -> None:
        """``commands`` are found by the longest beginning of argv; ``forwards`` lead to ports on loopback.

        ``latency`` is added to every call; ``unreachable`` may be set and cleared at any time.
        """
        self._target = target or Target(name=name)
        self.files: dict[str, bytes] = dict(files or {})
        self.modes: dict[str, int] = dict.fromkeys(self.files, 0o644)
        self.commands: dict[tuple[str, ...], Handler | Reply | bytes | str] = dict(BUILT_IN)
        for words, handler in (commands or {}).items():
            self.on(words, handler)
        self.forwards = dict(forwards or {})
        self.latency = latency
        self.unreachable = unreachable
        self.calls: list[Call] = []
        self.running: list[Call] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def name(self) -> str:
        """Inventory name."""
        return self._target.name

    @property
    def target(self) -> Target:
        """The inventory's description."""
        return self._target

    def on(self, words: str | tuple[str, ...], handler: Handler | Reply | bytes | str) -> None:
        """From now on ``handler`` answers commands that begin with ``words``."""
        self.commands[(words,) if isinstance(words, str) else words] = handler

    def _reach(self, deadline: Deadline | None = None) -> None:
        if self._closed:
            raise HostError(f"{self.name}: was closed; it is not opened again", host=self.name)
        if self.latency:
            (deadline or Deadline.after(self.latency + 1)).wait(self.latency)
        if self.unreachable:
            raise HostUnreachable(f"{self.name}: cannot connect: told to be unreachable", host=self.name)

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        stdin: bytes = b"",
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | None = None,
        sink: BinaryIO | None = None,
    ) -> Output:
        """Have the handler for ``argv`` answer; see ``Host.run``. Without one: exit 127."""
        call = Call(checked(argv), stdin, revealed(env), cwd, deadline)
        started = time.monotonic()
        try:
            self._reach(deadline)
            reply = self._answer(call)
            self._reach()  # made unreachable in the meantime
            deadline.check()
        except TimeoutError:
            raise CommandTimedOut(
                f"{self.name}: `{shown(call.argv)}` ran into its deadline; it was ended", host=self.name
            ) from None
        except Cancelled:
            raise Cancelled(f"{self.name}: `{shown(call.argv)}` was stopped; it was ended") from None
        out, err = Capture(CAPTURE_LIMIT, sink), Capture(CAPTURE_LIMIT)
        out.feed(reply.stdout)
        err.feed(reply.stderr)
        return Output(
            host=self.name,
            argv=call.argv,
            exit=None if reply.signal else reply.exit,
            signal=reply.signal,
            stdout=out.kept,
            stderr=err.kept,
            seconds=time.monotonic() - started,
            stdout_bytes=out.total,
            stderr_bytes=err.total,
        )

    def _answer(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            self.running.append(call)
        try:
            handler = self._handler(call.argv)
            answer = handler(call) if callable(handler) else handler
        finally:
            with self._lock:
                # By identity: two calls of the same command are equal.
                self.running = [other for other in self.running if other is not call]
        if isinstance(answer, Reply):
            return answer
        return Reply(stdout=answer.encode() if isinstance(answer, str) else answer)

    def _handler(self, argv: tuple[str, ...]) -> Handler | Reply | bytes | str:
        for length in range(len(argv), 0, -1):
            if argv[:length] in self.commands:
                return self.commands[argv[:length]]
        return Reply(127, stderr=f"{argv[0]}: not found\n".encode())

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path``. Raises HostError."""
        self._reach()
        if not path or path.endswith("/") or any(known.startswith(f"{path}/") for known in self.files):
            raise HostError(f"{self.name}: {path} cannot be written: it is a folder", host=self.name)
        with self._lock:
            self.files[path], self.modes[path] = data, mode

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """The first ``limit`` bytes of a file. Raises FileNotFoundError, HostError."""
        self._reach()
        try:
            return self.files[path][:limit]
        except KeyError:
            raise FileNotFoundError(2, f"{self.name}: no such file", path) from None

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """A port on loopback that leads to the one that ``forwards`` names, or to ``port`` on loopback."""
        self._reach()
        there = self.forwards.get((address, port), port)
        return forwarded(lambda: FarSocket(socket.create_connection(("127.0.0.1", there), timeout=10)))

    def close(self) -> None:
        """Refuse from now on."""
        self._closed = True


def _cat(call: Call) -> Reply:
    return Reply(stdout=call.stdin) if len(call.argv) == 1 else Reply(1, stderr=b"cat: only standard input\n")


def _sleep(call: Call) -> Reply:
    call.sleep(sum(float(word) for word in call.argv[1:]))
    return Reply()


BUILT_IN: dict[tuple[str, ...], Handler | Reply | bytes | str] = {
    ("true",): Reply(0),
    ("false",): Reply(1),
    ("echo",): lambda call: " ".join(call.argv[1:]) + "\n",
    ("cat",): _cat,
    ("sleep",): _sleep,
}
"""The commands that every FakeHost knows."""
