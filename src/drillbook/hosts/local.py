"""Implementation of the interface `Host` for this machine itself, without SSH."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, BinaryIO

from drillbook.atomic_file import replace_file
from drillbook.errors import Cancelled, CommandTimedOut, HostError
from drillbook.hosts.atomic import unreadable
from drillbook.hosts.capture import Capture, captured
from drillbook.hosts.forward import FarSocket, forwarded, forwarded_privately
from drillbook.hosts.shell import ENDING, checked, revealed, through_sudo
from drillbook.sdk import unix_socket
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Output, Target, shown
from drillbook.values import Secret

TICK = 0.1
LINGER = 2.0
BLOCK = 256 * 1024
END_SECONDS = 4.5


class LocalHost:
    """The controller's own machine as a host."""

    def __init__(self, name: str = "controller", *, target: Target | None = None) -> None:
        """Create the host. ``target``: its entry in the inventory, if there is one."""
        self._target = target or Target(name=name, local=True)
        self._closed = False

    @property
    def name(self) -> str:
        """Name of the host in the inventory."""
        return self._target.name

    @property
    def target(self) -> Target:
        """Description of the host in the inventory."""
        return self._target

    def _check_open(self) -> None:
        if self._closed:
            raise HostError(f"{self.name}: the host is closed, and cannot be opened again", host=self.name)

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
        """Run ``argv`` and wait until it terminates; see ``Host.run``.

        The exit status is 126 when the folder ``cwd`` cannot be entered.
        """
        words, values = checked(argv), revealed(env)
        self._check_open()
        out, err = Capture(CAPTURE_LIMIT, sink), Capture(CAPTURE_LIMIT)
        started = time.monotonic()
        child = _started(words, values, cwd, err)
        status = child if isinstance(child, int) else self._finish(_Streams(child, stdin, out, err), words, deadline)
        died = signal.Signals(-status).name.removeprefix("SIG") if status < 0 else None
        return captured(self.name, words, None if died else status, died, out=out, err=err, since=started)

    def _finish(self, streams: _Streams, words: Sequence[str], deadline: Deadline) -> int:
        """Wait until a child process terminates, and return its status. Kill the child at the deadline, or when an error occurs."""
        with streams:
            child = streams.child
            try:
                while deadline.remaining() > 0 and not deadline.cancel.is_set():
                    if streams.step(deadline.remaining()):
                        return child.wait()
            except BaseException:  # the sink failed, or Ctrl-C was pressed
                _end(child, words)
                raise
            gone = _end(child, words)
        tail = "it was killed" if gone else "it could not be killed"
        if deadline.cancel.is_set():
            raise Cancelled(f"{self.name}: `{shown(words)}` was stopped; {tail}")
        raise CommandTimedOut(f"{self.name}: `{shown(words)}` exceeded its time limit; {tail}", host=self.name)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path``, either completely or not at all. Raises HostError when the file cannot be written."""
        self._check_open()
        try:
            replace_file(Path(path), data, mode=mode)
        except OSError as error:
            raise unreadable(self.name, path, error, verb="written") from None

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read the first ``limit`` bytes of a file.

        Raises FileNotFoundError when there is no such file, and HostError when it cannot be read.
        """
        self._check_open()
        try:
            with Path(path).open("rb") as file:
                return file.read(limit)
        except FileNotFoundError:
            raise FileNotFoundError(2, f"{self.name}: no such file", path) from None
        except OSError as error:
            raise unreadable(self.name, path, error, verb="read") from None

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """Open a loopback port until the `with` block ends.

        The port leads to ``address:port``. When ``address`` is a path, the port leads to this Unix socket.
        """
        self._check_open()

        def dial() -> FarSocket:
            if not address.startswith("/"):
                return FarSocket(socket.create_connection((address, port), timeout=10))
            near = socket.socket(socket.AF_UNIX)
            try:
                near.connect(address)
            except OSError:
                near.close()
                raise
            return FarSocket(near)

        return forwarded(dial)

    def forward_socket(self, path: str, name: str, user: str = "") -> AbstractContextManager[str]:
        """Open a private Unix socket that leads to the Unix socket ``path``; see ``Host.forward_socket``.

        The process that connects to ``path`` runs as ``user``.
        """
        self._check_open()

        def dial() -> FarSocket:
            near, far = socket.socketpair()
            with far:  # the relay has its own copy
                words = unix_socket.relay(path, user)
                child = subprocess.Popen(words, stdin=far.fileno(), stdout=far.fileno(), start_new_session=True)
            return _Relay(near, child)

        return forwarded_privately(dial, name)

    def close(self) -> None:
        """Close the host. Every later call raises HostError."""
        self._closed = True


class _Relay(FarSocket):
    """Child process that serves as the far end of a forwarded connection."""

    def __init__(self, sock: socket.socket, child: subprocess.Popen[bytes]) -> None:
        super().__init__(sock)
        self._child = child

    def close(self) -> None:
        """Close the connection. The child process then exits. Wait until it has exited."""
        super().close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(LINGER)


class _Streams:
    """Standard input, standard output and standard error of a child process. One thread serves all three."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes, out: Capture, err: Capture) -> None:
        self.child = child
        self._input = memoryview(stdin)
        self._selector = selectors.DefaultSelector()
        self._open: dict[IO[bytes], Capture] = {}
        self._silent = 0.0
        for stream, capture in ((child.stdout, out), (child.stderr, err)):
            if stream is not None:
                self._open[stream] = capture
                self._selector.register(stream, selectors.EVENT_READ)
        # Without a pidfd, the end of a child process is noticed only at the next tick.
        self._pidfd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else -1
        if self._pidfd >= 0:
            self._selector.register(self._pidfd, selectors.EVENT_READ)
        if child.stdin is not None and stdin:
            os.set_blocking(child.stdin.fileno(), False)
            self._selector.register(child.stdin, selectors.EVENT_WRITE)
        elif child.stdin is not None:
            child.stdin.close()

    def __enter__(self) -> _Streams:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def step(self, seconds: float) -> bool:
        """Transfer the data that arrives within one tick.

        Returns True once the child process has terminated, and its output has ended or has paused for long enough.
        """
        moved = False
        for key, _ in self._selector.select(min(TICK, seconds)):
            if key.fileobj is self.child.stdin:
                self._write(self.child.stdin)
            elif key.fd == self._pidfd:
                self._selector.unregister(self._pidfd)
            else:
                moved = self._read(key.fileobj) or moved  # type: ignore[arg-type]
        ended = self.child.poll() is not None
        if ended and not self._open:
            return True
        if moved or not ended:
            self._silent = 0.0
            return False
        if not self._silent:
            self._silent = time.monotonic()
        # A process that the child started may keep the output open for ever.
        return time.monotonic() - self._silent > LINGER

    def _read(self, stream: IO[bytes]) -> bool:
        data = os.read(stream.fileno(), BLOCK)
        if data:
            self._open[stream].feed(data)
        else:
            self._selector.unregister(stream)
            del self._open[stream]
        return True

    def _write(self, stream: IO[bytes]) -> None:
        try:
            self._input = self._input[os.write(stream.fileno(), self._input[:BLOCK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._input = self._input[:0]
        if not self._input:
            self._selector.unregister(stream)
            stream.close()


def _started(words: Sequence[str], env: Mapping[str, str], cwd: str | None, err: Capture) -> subprocess.Popen[bytes] | int:
    """Start a child process in a new session.

    If it cannot be started, return the exit status that a shell would have (126 or 127), and write the reason to ``err``.
    """
    if cwd is not None and not (os.access(cwd, os.X_OK) and Path(cwd).is_dir()):
        err.feed(f"cd: can't cd to {cwd}\n".encode())
        return 126
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
            cwd=cwd,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        err.feed(f"{words[0]}: {error.strerror}\n".encode())
        return 127 if isinstance(error, FileNotFoundError) else 126


def _end(child: subprocess.Popen[bytes], words: Sequence[str]) -> bool:
    """Kill the session that ``child`` leads, and all descendants of ``child``. Returns True when all of them are gone.

    A shell script kills the processes. When it needs too long, for example on an overloaded machine, only the process group
    of ``child`` is killed.
    """
    sudo = "sudo -n" if through_sudo(words) else ""
    try:
        ended = subprocess.run(
            ["sh", "-c", ENDING, "sh", str(child.pid), sudo],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=END_SECONDS,
            check=False,
        )
        gone = ended.returncode == 0
    except subprocess.TimeoutExpired:
        gone = False
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(1)
    return gone
