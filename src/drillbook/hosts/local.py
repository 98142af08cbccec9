"""The Host port on this machine itself, without SSH."""

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

from drillbook.errors import Cancelled, CommandTimedOut, HostError
from drillbook.hosts.atomic import beside, unreadable
from drillbook.hosts.capture import Capture
from drillbook.hosts.forward import FarSocket, forwarded
from drillbook.hosts.shell import ENDING, checked, revealed, through_sudo
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Output, Target, shown
from drillbook.values import Secret

TICK = 0.1
LINGER = 2.0
BLOCK = 256 * 1024
END_SECONDS = 4.5


class LocalHost:
    """The controller as a host."""

    def __init__(self, name: str = "controller", *, target: Target | None = None) -> None:
        """``target`` is the inventory's description, where it has one."""
        self._target = target or Target(name=name, local=True)
        self._closed = False

    @property
    def name(self) -> str:
        """Inventory name."""
        return self._target.name

    @property
    def target(self) -> Target:
        """The inventory's description."""
        return self._target

    def _check_open(self) -> None:
        if self._closed:
            raise HostError(f"{self.name}: was closed; it is not opened again", host=self.name)

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
        """Run ``argv`` and wait for its end; see ``Host.run``. ``cwd`` that cannot be entered gives exit 126."""
        words, values = checked(argv), revealed(env)
        self._check_open()
        out, err = Capture(CAPTURE_LIMIT, sink), Capture(CAPTURE_LIMIT)
        started = time.monotonic()
        status = _unfit_folder(cwd, err)
        if status is None:
            try:
                child = subprocess.Popen(
                    words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **values},
                    cwd=cwd,
                    start_new_session=True,
                    bufsize=0,
                )
            except OSError as error:
                status = 127 if isinstance(error, FileNotFoundError) else 126
                err.feed(f"{words[0]}: {error.strerror}\n".encode())
            else:
                status = self._finish(_Streams(child, stdin, out, err), words, deadline)
        died = signal.Signals(-status).name.removeprefix("SIG") if status < 0 else None
        return Output(
            host=self.name,
            argv=words,
            exit=None if died else status,
            signal=died,
            stdout=out.kept,
            stderr=err.kept,
            seconds=time.monotonic() - started,
            stdout_bytes=out.total,
            stderr_bytes=err.total,
        )

    def _finish(self, streams: _Streams, words: Sequence[str], deadline: Deadline) -> int:
        """Wait for the end of a child; whatever else happens first, end it."""
        with streams:
            child = streams.child
            try:
                while deadline.remaining() > 0 and not deadline.cancel.is_set():
                    if streams.step(deadline.remaining()):
                        return child.wait()
            except BaseException:  # a sink that fails, Ctrl-C
                _end(child, words)
                raise
            gone = _end(child, words)
        tail = "it was ended" if gone else "it could not be ended"
        if deadline.cancel.is_set():
            raise Cancelled(f"{self.name}: `{shown(words)}` was stopped; {tail}")
        raise CommandTimedOut(f"{self.name}: `{shown(words)}` ran into its deadline; {tail}", host=self.name)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path``, atomically. Raises HostError."""
        self._check_open()
        temporary = Path(beside(path))
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
                os.fchmod(file.fileno(), mode)
                file.write(data)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise unreadable(self.name, path, error, verb="written") from None

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """The first ``limit`` bytes of a file. Raises FileNotFoundError, HostError."""
        self._check_open()
        try:
            with Path(path).open("rb") as file:
                return file.read(limit)
        except FileNotFoundError:
            raise FileNotFoundError(2, f"{self.name}: no such file", path) from None
        except OSError as error:
            raise unreadable(self.name, path, error, verb="read") from None

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """A port on loopback that leads to ``address:port``, while open."""
        self._check_open()
        return forwarded(lambda: FarSocket(socket.create_connection((address, port), timeout=10)))

    def close(self) -> None:
        """Refuse from now on."""
        self._closed = True


class _Streams:
    """The three streams of a child, moved by one thread."""

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
        # Without it the end of a child is seen at the next tick.
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
        """Move what can be moved, waiting a tick at most; True when the child and its output have ended."""
        moved = False
        for key, _ in self._selector.select(min(TICK, seconds)):
            if key.fileobj is self.child.stdin:
                self._write(self.child.stdin)
            elif key.fd == self._pidfd:
                self._selector.unregister(self._pidfd)
            else:
                moved = self._read(key.fileobj) or moved  # type: ignore[arg-type]
        if moved or self.child.poll() is None:
            self._silent = 0.0
            return False
        if not self._silent:
            self._silent = time.monotonic()
        # Something that the child started may hold its output open for ever.
        return not self._open or time.monotonic() - self._silent > LINGER

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


def _unfit_folder(cwd: str | None, err: Capture) -> int | None:
    """126, as a shell has it, when ``cwd`` cannot be entered."""
    if cwd is None or (os.access(cwd, os.X_OK) and Path(cwd).is_dir()):
        return None
    err.feed(f"cd: can't cd to {cwd}\n".encode())
    return 126


def _end(child: subprocess.Popen[bytes], words: Sequence[str]) -> bool:
    """End the session that ``child`` leads and all that descends from it; whether it is gone."""
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
    except subprocess.TimeoutExpired:
        return False
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(1)
    return ended.returncode == 0
