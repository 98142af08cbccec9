"""A host in memory, for tests of code that uses hosts. It passes the same contract tests as the real hosts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO

from drillbook.errors import Cancelled, CommandTimedOut, HostError, HostUnreachable
from drillbook.hosts.capture import Capture, captured
from drillbook.hosts.forward import FarSocket, forwarded, forwarded_privately
from drillbook.hosts.shell import checked, revealed
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Output, Target, shown
from drillbook.values import Secret


@dataclass(frozen=True, slots=True)
class Reply:
    """Result of a fake command."""

    exit: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""
    signal: str | None = None


@dataclass(slots=True)
class Call:
    """One command that a FakeHost was asked to run."""

    argv: tuple[str, ...]
    stdin: bytes
    env: dict[str, str]
    cwd: str | None
    deadline: Deadline = field(repr=False)

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``, as a real command would.

        Raises an error when the command's deadline passes, or when the command is cancelled.
        """
        self.deadline.wait(seconds)


Handler = Callable[[Call], Reply | bytes | str]
"""Function that acts as a command. If it returns bytes or a text, the command prints them as its standard output and exits
with status 0.
"""


class FakeHost:
    """A simulated host. Its disk is a dictionary, and its commands are Python functions.

    ``calls`` lists all commands so far, and ``running`` the commands in progress.
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
        """Create the host. When several of the fake ``commands`` match an argument list, the command with the most matching
        words is used.

        ``forwards``: loopback ports that are used instead of remote addresses. The key of each entry is a remote address and
        a port. ``latency``: seconds by which every call is delayed. ``unreachable``: while it is true, no connection is
        possible. It may be changed at any time.
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
        """Name of the host in the inventory."""
        return self._target.name

    @property
    def target(self) -> Target:
        """Description of the host in the inventory."""
        return self._target

    def on(self, words: str | tuple[str, ...], handler: Handler | Reply | bytes | str) -> None:
        """Use ``handler`` for every command whose first arguments are ``words``."""
        self.commands[(words,) if isinstance(words, str) else words] = handler

    def _reach(self, deadline: Deadline | None = None) -> None:
        if self._closed:
            raise HostError(f"{self.name}: the host is closed, and cannot be opened again", host=self.name)
        if self.latency:
            (deadline or Deadline.after(self.latency + 1)).wait(self.latency)
        if self.unreachable:
            raise HostUnreachable(f"{self.name}: cannot connect: this fake host is set to unreachable", host=self.name)

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
        """Run the handler for ``argv``; see ``Host.run``. When no handler matches, the exit status is 127."""
        call = Call(checked(argv), stdin, revealed(env), cwd, deadline)
        started = time.monotonic()
        try:
            self._reach(deadline)
            reply = self._answer(call)
            self._reach()  # the test may have made the host unreachable in the meantime
            deadline.check()
        except TimeoutError:
            raise CommandTimedOut(
                f"{self.name}: `{shown(call.argv)}` exceeded its time limit; it was killed", host=self.name
            ) from None
        except Cancelled:
            raise Cancelled(f"{self.name}: the run was stopped during `{shown(call.argv)}`; it was killed") from None
        out, err = Capture(CAPTURE_LIMIT, sink), Capture(CAPTURE_LIMIT)
        out.feed(reply.stdout)
        err.feed(reply.stderr)
        status = None if reply.signal else reply.exit
        return captured(self.name, call.argv, status, reply.signal, out=out, err=err, since=started)

    def _answer(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            self.running.append(call)
        try:
            handler = self._handler(call.argv)
            answer = handler(call) if callable(handler) else handler
        finally:
            with self._lock:
                # Compare by identity: two calls of the same command are equal.
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
        """Write ``data`` to ``path``. Raises HostError when the file cannot be written."""
        self._reach()
        if not path or path.endswith("/") or any(known.startswith(f"{path}/") for known in self.files):
            raise HostError(f"{self.name}: {path} cannot be written: it is a folder", host=self.name)
        with self._lock:
            self.files[path], self.modes[path] = data, mode

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read the first ``limit`` bytes of a file.

        Raises FileNotFoundError when there is no such file, and HostError when it cannot be read.
        """
        self._reach()
        try:
            return self.files[path][:limit]
        except KeyError:
            raise FileNotFoundError(2, f"{self.name}: no such file", path) from None

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """Open a loopback port that stands for ``port`` of ``address``. Connections to it are relayed to a second loopback
        port. The number of the second port is the value of ``(address, port)`` in ``forwards``, or ``port`` if ``forwards``
        has no such key.
        """
        self._reach()
        there = self.forwards.get((address, port), port)
        return forwarded(lambda: FarSocket(socket.create_connection(("127.0.0.1", there), timeout=10)))

    def forward_socket(self, path: str, name: str, user: str = "") -> AbstractContextManager[str]:
        """Open a private Unix socket that stands for the socket ``path`` of the host. A connection to the private socket is
        relayed to the loopback port ``forwards[path, 0]``, where the test's server listens.
        """
        self._reach()
        there = self.forwards[path, 0]
        return forwarded_privately(lambda: FarSocket(socket.create_connection(("127.0.0.1", there), timeout=10)), name)

    def close(self) -> None:
        """Close the host. Every later call raises HostError."""
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
"""Commands that every FakeHost has."""
