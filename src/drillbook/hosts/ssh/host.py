"""Implementation of the interface `Host` over SSH. Many threads share one Fabric connection to each host."""

from __future__ import annotations

import posixpath
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import BinaryIO

import paramiko

from drillbook.errors import Cancelled, CommandLost, CommandTimedOut, HostError
from drillbook.hosts.atomic import for_bytes, get_by_command, of_step, put_by_command, unreadable
from drillbook.hosts.capture import Capture, MarkedCapture, captured
from drillbook.hosts.forward import forwarded, forwarded_privately
from drillbook.hosts.shell import Order, checked, exports, revealed, through_sudo
from drillbook.hosts.ssh import files
from drillbook.hosts.ssh.channel import TICK, End, Exec, ExecRefused, LinkLost, NotSent
from drillbook.hosts.ssh.connection_reuse import Keeper, expired
from drillbook.hosts.ssh.gateway import Gateway
from drillbook.hosts.ssh.login import CONNECT_SECONDS, Link, open_link
from drillbook.hosts.ssh.reading_shell import InShell, ReadingShell, ShellEnded, calls_function, only_reads, reads_by_script
from drillbook.hosts.ssh.session import Ending, Process, open_session
from drillbook.hosts.ssh.transport import close_channel
from drillbook.hosts.ssh.tunnel import FarChannel
from drillbook.sdk import unix_socket
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Output, Target, once_more, printable, shown
from drillbook.values import Secret

CHANNELS = 8
"""Maximum number of concurrent commands on one connection.

sshd allows 10 channels. One channel is needed for SFTP, and another channel for a script that kills a command. A third
channel is used by the shell that stays open for short commands. When the server refuses a channel, this shell is closed.
"""


class SshHost:
    """A host reached over SSH."""

    def __init__(self, target: Target, *, gateway: Gateway[SshHost] | None = None, ssh_config: str = "") -> None:
        """Prepare the host without connecting.

        The host must already be registered with ``gateway``. ``ssh_config``: file to read instead of ~/.ssh/config.
        """
        self._target = target
        self._gateway = gateway
        self._ssh_config = ssh_config
        self._keeper = Keeper(target.name, self._connect)
        self._shell = ReadingShell()
        self._slots = threading.BoundedSemaphore(CHANNELS)
        self._lock = threading.Lock()
        self._running = 0
        self._closed = False

    @property
    def name(self) -> str:
        """Name of the host in the inventory."""
        return self._target.name

    @property
    def target(self) -> Target:
        """Description of the host in the inventory."""
        return self._target

    def _connect(self) -> Link:
        behind = None
        if self._gateway is not None:
            behind = self._gateway.host.link(Deadline.after(3 * CONNECT_SECONDS))
        return open_link(self._target, ssh_config=self._ssh_config, gateway=behind)

    def link(self, deadline: Deadline) -> Link:
        """Return the open connection, or open one. Raises the errors of ``open``, CommandTimedOut at the deadline, and
        Cancelled when the run is stopped.
        """
        return self._keeper.get(deadline)

    def open(self) -> None:
        """Connect now, instead of at the first use of the host.

        Raises HostUnreachable when the host does not answer. Raises HostKeyUnknown or HostKeyChanged when its key is not the
        known key. Raises AuthenticationFailed when the host refuses every key, and HostError when the settings of the
        connection are unusable.
        """
        link = self.link(Deadline.after(6 * CONNECT_SECONDS))
        with suppress(paramiko.SSHException, EOFError, OSError):  # the first command then opens a channel itself
            link.transport.send_and_open_ahead([])

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

        If a background process keeps the output open, the command counts as finished when no output has come for 2 s. If
        the folder ``cwd`` cannot be entered, the exit status is 126.
        """
        order = Order(self.name, checked(argv), exports(revealed(env)), stdin, cwd)
        order.check()
        started = time.monotonic()
        with self._slot(order.words, deadline):
            try:
                end, out, err = self._carry_out(order, sink, deadline)
            except (LinkLost, paramiko.SSHException, EOFError) as error:
                raise self._lost(order.words, error) from None
            except ExecRefused:
                raise HostError(f"{self.name}: the SSH server refuses to run commands", host=self.name) from None
        return captured(self.name, order.words, end.exit, end.signal, out=out, err=err, since=started)

    def _carry_out(self, order: Order, sink: BinaryIO | None, deadline: Deadline) -> tuple[End, Capture, Capture]:
        if sink is None and (only_reads(order) or calls_function(order) or reads_by_script(order)):
            with suppress(ShellEnded):  # then the command gets a channel of its own
                return self._within_shell(order, deadline)
        out, err = Capture(CAPTURE_LIMIT, sink), MarkedCapture(CAPTURE_LIMIT, order.token)
        link, process = self._started(order, out, err, deadline)
        try:
            end = self._finish(process, link, order.words, deadline)
        finally:
            process.close()
        link.shell = link.shell or posixpath.basename(err.shell)
        return end, out, err

    def _within_shell(self, order: Order, deadline: Deadline) -> tuple[End, Capture, Capture]:
        """Run a command in the shell that stays open. Raises ShellEnded when that is not possible."""
        if expired(deadline):
            raise ShellEnded
        out, err = Capture(CAPTURE_LIMIT), Capture(CAPTURE_LIMIT)
        link = self._keeper.get(deadline)
        opener = partial(self._session, order.words, deadline)
        try:
            with self._shell.running(order, (out, err), link, opener, deadline) as process:
                return self._within(process, order.words, deadline), out, err
        except TimeoutError:
            self._suspect(link, deadline)
            raise self._stopped(order.words, deadline, "the command had not started") from None

    def _within(self, process: InShell, words: Sequence[str], deadline: Deadline) -> End:
        """Wait for a command in the shell that stays open, and return its exit status or signal. If the shell ends before
        the command, kill the command and raise an error.

        Normally the error is ShellEnded, and the caller runs the command again. If the command may run only once, the error
        is LinkLost.
        """
        try:
            return self._finish(process, process.link, words, deadline)
        except ShellEnded:
            if process.pid is not None:
                self._end(process, process.link, words)
            if process.once:
                raise LinkLost("the shell on the host ended") from None
            raise

    def _started(self, order: Order, out: Capture, err: MarkedCapture, deadline: Deadline) -> tuple[Link, Exec]:
        """Start a command on a new channel. If this channel closes before the command was sent, try once more on another
        channel.
        """
        for again in (True, False):
            link, channel = self._session(order.words, deadline)
            try:
                return link, Exec(channel, order.line(link.shell), order.input, out, err)
            except BaseException as error:
                close_channel(channel)
                if not (again and isinstance(error, NotSent)):
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def _slot(self, words: Sequence[str], deadline: Deadline) -> Iterator[None]:
        """Occupy, during the ``with`` block, one of the ``CHANNELS`` places for commands on the connection."""
        while not self._slots.acquire(timeout=max(0.001, min(TICK, deadline.remaining()))):
            if expired(deadline):
                raise self._stopped(words, deadline, "the command had not started")
        try:
            with self._lock:
                self._running += 1
            yield
        finally:
            with self._lock:
                self._running -= 1
            self._slots.release()

    def _session(self, words: Sequence[str], deadline: Deadline) -> tuple[Link, paramiko.Channel]:
        """Open a new channel.

        If the connection is broken, open another connection once. This is safe, because the command has not started yet.
        """
        for again in (True, False):
            if expired(deadline):
                raise self._stopped(words, deadline, "the command had not started")
            link = self._keeper.get(deadline)
            try:
                return link, open_session(link, deadline, host=self.name)
            except LinkLost as error:
                self._keeper.drop(link)
                if not again:
                    raise self._lost(words, error) from None
            except TimeoutError:
                self._suspect(link, deadline)
                raise self._stopped(words, deadline, "the command had not started") from None
        raise AssertionError("unreachable")

    def _finish(self, process: Process, link: Link, words: Sequence[str], deadline: Deadline) -> End:
        """Wait until ``process`` terminates. Kill it at the deadline, or when an error occurs."""
        try:
            while not expired(deadline):
                end = process.step(deadline.remaining())
                if end is not None:
                    return end
        except (LinkLost, ExecRefused, ShellEnded):
            raise
        except BaseException:  # the sink failed, or Ctrl-C was pressed
            self._end(process, link, words)
            raise
        raise self._stopped(words, deadline, self._end(process, link, words))

    def _end(self, process: Process, link: Link, words: Sequence[str]) -> str:
        """Kill ``process``. Returns the reason why it could not be killed, or an empty text when it is gone."""
        sudo = through_sudo(words)
        trouble = Ending(self._keeper, process, host=self.name, sudo=sudo).run()
        if trouble:
            self._suspect(link)
            return f"it could not be killed: {trouble}"
        return ""

    def _suspect(self, link: Link, deadline: Deadline | None = None) -> None:
        """Close the connection ``link``, because it does not answer.

        The connection stays open in two cases. First, the run was stopped before the ``deadline``, so the answer was not
        awaited. Second, other commands are running on the connection, and sending is not blocked.
        """
        if deadline is not None and deadline.cancel.is_set():
            return
        if self._running <= 1 or link.transport.gate.locked():
            self._keeper.drop(link)

    def _stopped(self, words: Sequence[str], deadline: Deadline, remark: str) -> CommandTimedOut | Cancelled:
        tail = f"; {remark}" if remark else "; it was killed"
        if deadline.cancel.is_set():
            return Cancelled(f"{self.name}: `{shown(words)}` was stopped{tail}")
        return CommandTimedOut(f"{self.name}: `{shown(words)}` exceeded its time limit{tail}", host=self.name)

    def _lost(self, words: Sequence[str], error: Exception) -> CommandLost:
        reason = printable(str(error) or "the connection was lost", limit=300)
        return CommandLost(
            f"{self.name}: the connection was lost while `{shown(words)}` ran: {reason}",
            host=self.name,
            hint="it is unknown whether the command still runs on the host",
        )

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path`` on the host, either completely or not at all.

        Raises HostError when the file cannot be written.
        """
        deadline = for_bytes(len(data))
        link = self._keeper.get(deadline)

        def work() -> None:
            with link.lock:
                files.put_file(files.sftp_of(link, host=self.name), data, path, mode)

        try:
            files.bounded(work, link, host=self.name, seconds=deadline.remaining())
        except files.NoSftp:
            put_by_command(self, data, path, mode, deadline)
        except (OSError, EOFError, paramiko.SSHException, LinkLost) as error:
            raise self._file_error(link, path, error, verb="written") from None

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read the first ``limit`` bytes of a file.

        Raises FileNotFoundError when there is no such file, and HostError when it cannot be read.
        """
        deadline = for_bytes(limit)
        return once_more(lambda: self._get(path, limit, deadline))

    def _get(self, path: str, limit: int, deadline: Deadline) -> bytes:
        link = self._keeper.get(deadline)

        def work() -> bytes:
            with link.lock:
                return files.get_file(files.sftp_of(link, host=self.name), path, limit)

        try:
            return files.bounded(work, link, host=self.name, seconds=deadline.remaining())
        except files.NoSftp:
            return get_by_command(self, path, limit, deadline)
        except FileNotFoundError:
            raise FileNotFoundError(2, f"{self.name}: no such file", path) from None
        except (OSError, EOFError, paramiko.SSHException, LinkLost) as error:
            raise self._file_error(link, path, error, verb="read") from None

    def _file_error(self, link: Link, path: str, error: Exception, *, verb: str) -> HostError:
        if link.alive:
            return unreadable(self.name, path, error, verb=verb)
        return CommandLost(f"{self.name}: the connection was lost before {path} could be {verb}", host=self.name)

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """Open a port on the controller's loopback address until the `with` block ends. For each connection to this port,
        the host connects to ``address:port``.

        An address that begins with a slash is the path of a Unix socket on the host. In this case ``port`` is ignored.
        """

        def dial() -> FarChannel:
            if address.startswith("/"):
                return FarChannel(self.pipe(unix_socket.relay(address), deadline=Deadline.after(CONNECT_SECONDS)))
            link = self._keeper.get(Deadline.after(CONNECT_SECONDS))
            return FarChannel(
                link.transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=CONNECT_SECONDS)
            )

        self.link(of_step(6 * CONNECT_SECONDS))
        return forwarded(dial)

    def forward_socket(self, path: str, name: str, user: str = "") -> AbstractContextManager[str]:
        """Open a private Unix socket on the controller that leads to the Unix socket ``path``; see ``Host.forward_socket``."""
        words = unix_socket.relay(path, user)
        self.link(of_step(6 * CONNECT_SECONDS))
        return forwarded_privately(lambda: FarChannel(self.pipe(words, deadline=Deadline.after(CONNECT_SECONDS))), name)

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> paramiko.Channel:
        """Start ``argv``, and return a channel to its standard streams. Raises HostError when the channel cannot be opened.

        The command runs until the channel is closed.
        """
        words = checked(argv)
        _, channel = self._session(words, deadline)
        try:
            channel.exec_command(shlex.join(words))
        except (LinkLost, paramiko.SSHException, EOFError) as error:
            close_channel(channel)
            raise self._lost(words, error) from None
        return channel

    def close(self) -> None:
        """Close the connection.

        Behind a gateway, the connection stays open until all hosts behind that gateway are closed.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._keeper.close()
        if self._gateway is not None:
            self._gateway.leave(self._keeper.hang_up)
        else:
            self._keeper.hang_up()
