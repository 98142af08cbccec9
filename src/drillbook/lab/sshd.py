"""An SSH server for one host of the lab. It behaves like OpenSSH for commands, terminals, SFTP, and forwarding to loopback."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import fnmatch
import os
import pty
import pwd
import shutil
import signal
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from drillbook.lab.layout import ADDRESS, USER

ACCEPTED_VARIABLES = ("LANG", "LC_*", "DRILLBOOK_*")
"""Environment variables that a client may set, as with AcceptEnv in sshd_config. Other variables are ignored."""

_CHUNK = 256 * 1024
Process = asyncssh.SSHServerProcess[bytes]


@dataclass(frozen=True, slots=True)
class Account:
    """User account of a host in the lab. A host has no other account."""

    home: Path
    environment: Mapping[str, str]
    key: asyncssh.SSHKey


class Gate(asyncssh.SSHServer):
    """Access rules of the SSH server: the logins that it accepts, and the addresses to which it forwards connections."""

    def __init__(self, account: Account) -> None:
        """Accept only logins with the key of ``account``."""
        self._key = account.key.public_data

    def begin_auth(self, username: str) -> bool:
        """Require authentication for every user name."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Allow authentication by key only."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Accept only the lab's user with the lab's key."""
        return username == USER and key.public_data == self._key

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Allow forwarding to loopback only."""
        return dest_host in (ADDRESS, "localhost", "::1")


class Files(asyncssh.SFTPServer):
    """SFTP access to the whole file system. Relative paths start at the home folder."""

    home = b"/"

    def map_path(self, path: bytes) -> bytes:
        """Convert a path that a client requested to a local path."""
        return os.path.join(self.home, path)  # noqa: PTH118  paths are bytes here


async def listen(port: int, host_key: asyncssh.SSHKey, account: Account) -> asyncssh.SSHAcceptor:
    """Start the SSH server of one lab host on ``port``, and return it."""

    async def session(process: Process) -> None:
        await Session(process, account).run()

    files = type("Files", (Files,), {"home": os.fsencode(account.home)})
    return await asyncssh.listen(
        ADDRESS,
        port,
        server_factory=lambda: Gate(account),
        server_host_keys=[host_key],
        process_factory=session,
        sftp_factory=files,
        allow_scp=True,
        encoding=None,
        line_editor=False,
        compression_algs=None,
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
        keepalive_interval=0,
        login_timeout=30,
    )


class Session:
    """One command or shell. It has a process session of its own, so that all its processes can be signalled together."""

    def __init__(self, process: Process, account: Account) -> None:
        """Store the client's process and the account. No command is started yet."""
        self._client = process
        self._account = account
        self._child: asyncio.subprocess.Process | None = None
        self._input = -1
        self._outputs: dict[int, asyncssh.SSHWriter[bytes]] = {}

    async def run(self) -> None:
        """Start the command, relay its streams, and report its exit status to the client."""
        try:
            child = await self._start()
        except OSError as error:
            self._client.stderr.write(f"{error}\n".encode())
            self._client.exit(127)
            return
        gone = asyncio.create_task(self._client.channel.wait_closed())
        feed = asyncio.create_task(self._feed())
        pumps = [asyncio.create_task(_pump(source, sink)) for source, sink in self._outputs.items()]
        ended = asyncio.create_task(self._ended(child, pumps))
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        done = ended.done()
        await self._close([gone, feed, *pumps])
        if done:
            self._report(ended.result())
        elif self._client.term_type:
            self._signal("HUP")
        await ended  # after a disconnect the command continues, as with any sshd; its process is still awaited, to reap it

    async def _start(self) -> asyncio.subprocess.Process:
        term = self._client.term_type
        if term:
            self._input, theirs = pty.openpty()
            _resize(self._input, *self._client.term_size)
            outputs: dict[int, asyncssh.SSHWriter[bytes]] = {self._input: self._client.stdout}
            stdio = (theirs, theirs, theirs)
        else:
            read, self._input = os.pipe()
            out, err = os.pipe(), os.pipe()
            outputs = {out[0]: self._client.stdout, err[0]: self._client.stderr}
            stdio = (read, out[1], err[1])
        for mine in {self._input, *outputs}:
            os.set_blocking(mine, False)
        self._outputs = outputs
        shell = shutil.which("bash") or "/bin/sh"
        argv = (shell, "-c", self._client.command) if self._client.command is not None else (shell,)
        how: dict[str, Any] = {"preexec_fn": _take_terminal} if term else {"start_new_session": True}
        try:
            self._child = child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdio[0],
                stdout=stdio[1],
                stderr=stdio[2],
                cwd=self._account.home,
                env=self._environment(shell),
                **how,
            )
        finally:
            for theirs in set(stdio):
                os.close(theirs)
        return child

    def _environment(self, shell: str) -> dict[str, str]:
        env = dict(self._account.environment) | {"HOME": str(self._account.home), "SHELL": shell}
        env["USER"] = env["LOGNAME"] = _login_name()
        sent = {_text(name): _text(value) for name, value in self._client.env.items()}
        env |= {
            name: value
            for name, value in sent.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in ACCEPTED_VARIABLES)
        }
        peer = self._client.get_extra_info("peername")
        here = self._client.get_extra_info("sockname")
        env["SSH_CONNECTION"] = f"{peer[0]} {peer[1]} {here[0]} {here[1]}"
        if self._client.term_type:
            env["TERM"] = self._client.term_type
        return env

    async def _feed(self) -> None:
        """Relay standard input. Also handle the signals and the window sizes that arrive in the same stream."""
        stdin = self._client.stdin
        while True:
            try:
                data = await stdin.read(_CHUNK)
            except asyncssh.SignalReceived as received:
                self._signal(received.signal)
            except asyncssh.TerminalSizeChanged as size:
                if self._client.term_type:
                    _resize(self._input, size.width, size.height, size.pixwidth, size.pixheight)
            except asyncssh.BreakReceived:
                self._signal("INT")
            except (asyncssh.Error, OSError):
                return
            else:
                if not data:
                    self._end_input()
                    return
                if not await _write(self._input, data):
                    self._end_input()  # keep reading; otherwise the client's SSH window fills

    def _end_input(self) -> None:
        if self._client.term_type:
            with contextlib.suppress(OSError):
                os.write(self._input, b"\x04")
        elif self._input >= 0:
            os.close(self._input)
            self._input = -1

    async def _ended(self, child: asyncio.subprocess.Process, pumps: list[asyncio.Task[None]]) -> int:
        status = await child.wait()
        await asyncio.wait(pumps)
        return status

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # the tasks use the descriptors until they end
        for descriptor in {self._input, *self._outputs} - {-1}:
            os.close(descriptor)
        self._input, self._outputs = -1, {}

    def _report(self, status: int) -> None:
        if status < 0:
            self._client.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            self._client.exit(status)

    def _signal(self, name: str) -> None:
        number = getattr(signal, f"SIG{name}", None)
        if number is not None and self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


async def _pump(source: int, sink: asyncssh.SSHWriter[bytes]) -> None:
    """Relay output from ``source`` until its end. The relay is never faster than the client that reads the output.

    asyncssh's own redirection is not used, because it loses the exit status when the process ends while data is in transit.
    """
    while True:
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            await _until(source, write=False)
            continue
        except OSError:  # the last process has closed the terminal
            return
        if not data:
            return
        sink.write(data)
        try:
            await sink.drain()
        except (OSError, asyncssh.Error):
            return


async def _write(descriptor: int, data: bytes) -> bool:
    """Write all of ``data``. Return False when the reader has closed the descriptor."""
    view = memoryview(data)
    while view and descriptor >= 0:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await _until(descriptor, write=True)
        except OSError:
            return False
    return descriptor >= 0


async def _until(descriptor: int, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)


def _login_name() -> str:
    """Return the name of the account under which the server runs. The client's login name is not used, because it can be
    any name.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return USER


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _resize(terminal: int, width: int, height: int, pixwidth: int, pixheight: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixwidth, pixheight))


def _text(value: str | bytes) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else value
