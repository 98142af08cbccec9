"""Shell that stays open on a connection. It runs two sorts of commands, one after another: commands that only read, and shell
functions of Drillbook.

Without this shell, each command needs a channel of its own. This costs the host several times as much CPU time, because sshd
starts a process and a login shell for each channel.
"""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paramiko

from drillbook.hosts.capture import Capture
from drillbook.hosts.shell import FENCE_WORDS, Order, fence_inline, is_fenced, new_token
from drillbook.hosts.ssh.channel import TICK, End, LinkLost, NotSent, Wake, drain, request_command
from drillbook.hosts.ssh.connection_reuse import expired
from drillbook.hosts.ssh.login import Link
from drillbook.hosts.ssh.reading_commands import command_reads, script_reads
from drillbook.hosts.ssh.transport import close_channel, send_all, steady
from drillbook.sdk.host import Deadline
from drillbook.sdk.shell_functions import Functions

MOST_WORDS = 8 << 10
"""Maximum length in characters of a command for the shell."""

START_S = 3.0
"""Seconds within which a shell must start. Some servers run another program instead of a shell, and this program may
wait for input for ever.
"""


_STREAMS = "<&4 2>&3 3>&- 4<&-"
"""Redirections of a command: its input is empty, and its output goes to the output of the shell."""


class ShellEnded(Exception):
    """Raised when a command failed in the shell and can be repeated safely. Either the command did not run at all, or it
    only reads. The caller can then run the command on a channel of its own.
    """


def only_reads(order: Order) -> bool:
    """Return True when the command certainly changes nothing, and the shell can run it as it is. Such a command is short. It
    needs no input and no environment variables, and it can run in any working directory.
    """
    return command_reads(order.words) and _fits(order, order.words)


def reads_by_script(order: Order) -> bool:
    """Return True when the command is `sh -c TEXT`, and each command in the text is known to only read.

    Fences may stand in front of `sh`. A fence checks a lock before the command. It only reads, too.
    """
    words = order.words
    while is_fenced(words):
        words = words[FENCE_WORDS:]
    return words[:2] == ("sh", "-c") and len(words) > 2 and _fits(order, words) and script_reads(words[2])


def calls_function(order: Order) -> bool:
    """Return True when the command calls one of Drillbook's own functions. Such a command may run only once."""
    return _functions(order.words) is not None and _fits(order, order.words[3:])


def _fits(order: Order, words: tuple[str, ...]) -> bool:
    return not order.input and order.cwd is None and len(shlex.join(words)) < MOST_WORDS


def _functions(words: tuple[str, ...]) -> Functions | None:
    return words[2] if words[:2] == ("sh", "-c") and len(words) > 4 and isinstance(words[2], Functions) else None


def command_text(words: tuple[str, ...], names: dict[Functions, str]) -> str:
    """Return the shell text of a command. If the command calls functions that are not yet defined in the shell, the text also
    defines these functions.

    ``names``: functions that are already defined in the shell. The key of each entry is the text of the functions, and the
    value is the name by which the shell calls them. The returned text is enclosed in braces. So the shell runs no part of the
    text if the connection breaks while the text is sent.
    """
    functions = _functions(words)
    if functions is None:
        text = fence_inline(words) if is_fenced(words) else f"exec {shlex.join(words)}"
        return f'CDPATH= cd -- "$_folder" >/dev/null || exit\n({text}) {_STREAMS}'
    defined = ""
    if functions not in names:
        names[functions] = f"_drillbook_{len(names)}"
        # A server that cannot enter the home folder starts a command in another one, too.
        enter = 'CDPATH= cd -- "$_folder" >/dev/null 2>&1'
        defined = f"{names[functions]}() {{\n{enter}\n{functions}\n}}\n"
    return f"{defined}{{\n({names[functions]} {shlex.join(words[4:])}) {_STREAMS}\n}}"


class _Stream:
    """One output stream of the shell: the output of a command, and then a line with the token of the command."""

    def __init__(self) -> None:
        """Keep all bytes until ``expect`` is called."""
        self._capture, self._token, self._held = Capture(0), b"", b""
        self.last: str | None = ""
        """Text after the token in the line that ends the command's output. None until this line has arrived."""

    def expect(self, capture: Capture, token: str) -> None:
        """Pass the output of the next command to ``capture``. The command ends with a line that begins with ``token``."""
        self._capture, self._token, self.last = capture, token.encode(), None
        self.feed(b"")  # it may have arrived together with the line before

    def mute(self) -> None:
        """Discard the rest of the output."""
        self._capture = Capture(0)

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream. Bytes after the line with the token are kept for the next command."""
        self._held += data
        if self.last is not None:
            return
        before, token, after = self._held.partition(self._token)
        line, ended, rest = after.partition(b"\n")
        if token and ended:
            self._capture.feed(before)
            self.last, self._held = line.decode("ascii", "replace"), rest
        elif not token and len(self._held) > len(self._token):
            keep = len(self._held) - len(self._token)  # the rest may be the beginning of the token
            self._capture.feed(self._held[:keep])
            self._held = self._held[keep:]


class _Shell:
    """A running shell with its channel and its two output streams.

    Between two commands, the shell changes to the root folder, so that it keeps no other folder in use. The next command
    then enters the home folder anew, because the home folder may have been replaced. Messages of the shell itself, such as
    a message about a killed command, are discarded.
    """

    def __init__(self, link: Link, channel: paramiko.Channel, deadline: Deadline) -> None:
        """Start ``sh`` on ``channel``. Do not wait until it has started."""
        self.link, self._channel = link, channel
        self.out, self.err = _Stream(), _Stream()
        self.wake, self._late = Wake(), False
        self.pid: int | None = None
        self.must_start = time.monotonic() + min(START_S, deadline.remaining() / 2)
        self._noise, token = Capture(0), new_token()
        self._names: dict[Functions, str] = {}
        self.out.expect(self._noise, token)
        self.err.expect(Capture(0), token)
        channel.in_buffer.set_event(self.wake)
        request_command(channel, b"exec sh", last=False)
        # Without setsid, the watcher of a lease would be in the session of the shell, and would be killed with a command.
        needs = "command -v setsid >/dev/null || exit; "
        self.send(
            f"{needs}exec 3>&2 2>/dev/null 4</dev/null; _folder=$PWD; cd /; echo {token}; echo {token}$$ >&3\n", deadline
        )

    @property
    def ended(self) -> bool:
        """True when the shell has ended or the connection is broken. A command that the shell started may still run."""
        channel = self._channel
        known = channel.exit_status >= 0 or channel.get_id() in steady(channel).signals
        return bool(known or channel.closed or channel.eof_received or not self.link.alive)

    def run(self, words: tuple[str, ...], token: str, deadline: Deadline) -> None:
        """Send a command to the shell, and commands that then write ``token`` to the end of both output streams.

        The command runs in a subshell with `exec`, so that the shell starts the program and not a builtin command of the
        same name. The commands that write ``token`` stand on a line of their own, because a shell that cannot start a
        process skips the rest of the line.
        """
        self.wake.reset()
        self.send(
            f"{command_text(words, self._names)}\n_status=$?; cd /; echo {token} >&3; echo {token}$_status\n", deadline
        )

    def start(self, deadline: Deadline) -> None:
        """Wait until the shell has started. Raises ShellEnded when it does not start, and TimeoutError after the deadline."""
        while not self.read():
            if self.ended:
                raise ShellEnded
            if expired(deadline):
                raise TimeoutError
            self.wait(min(TICK, deadline.remaining()))

    def send(self, text: str, deadline: Deadline) -> None:
        """Send shell text. Raises ShellEnded when the channel is closed, and TimeoutError after the deadline."""
        if not send_all(self._channel, text.encode("utf-8", "surrogateescape"), wanted=lambda: not expired(deadline)):
            raise TimeoutError if expired(deadline) else ShellEnded

    def read(self) -> bool:
        """Read the output that has arrived. Returns True when the shell has started and reads commands.

        Raises ShellEnded when the shell did not start in time. Also raises ShellEnded when other text arrived before the
        start: such text could not be distinguished from the output of a command.
        """
        drain(self._channel, self.out, self.err)
        if self.pid is None:
            self._start()
        return self.pid is not None

    def _start(self) -> None:
        if self._noise.total or time.monotonic() > self.must_start:
            raise ShellEnded
        if self.out.last is not None and self.err.last is not None:
            if not self.err.last.isdigit():
                raise ShellEnded
            self.pid = int(self.err.last)

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for standard output. Once standard output is complete, wait for standard error instead.

        Usually both streams end at the same time. If both streams could set the event for which this method waits, the
        thread would be woken twice for each command.
        """
        if (late := self.out.last is not None) is not self._late:
            self._late = late
            self._channel.in_stderr_buffer.set_event(self.wake if late else Wake())
        self.wake.wait(seconds)
        self.wake.reset()

    def close(self) -> None:
        """Close the channel. The shell then ends."""
        close_channel(self._channel)
        steady(self._channel).signals.pop(self._channel.get_id(), None)


class InShell:
    """A command that runs in the shell that stays open on the host. It has the methods of ``Exec``."""

    def __init__(self, shell: _Shell, order: Order, captures: tuple[Capture, Capture], deadline: Deadline) -> None:
        """Send the command to ``shell``. A command that may run only once is sent only after the shell has started.

        Raises ShellEnded when the shell has ended, and TimeoutError after the deadline. If this happens to a command that may
        run only once, and a part of the command was already sent, LinkLost is raised instead.
        """
        self._shell, self._token, self._captures = shell, order.token, captures
        self.link, self.ended, self._expected = shell.link, False, False
        self.once, self._alone = _functions(order.words) is not None, command_reads(order.words)
        if self.once:
            shell.start(deadline)
        if shell.pid is not None:
            self._expect()
        try:
            shell.run(order.words, order.token, deadline)
        except (ShellEnded, TimeoutError):
            if self.once:
                raise LinkLost("the command was not sent completely to the shell on the host") from None
            raise

    def _expect(self) -> None:
        for stream, capture in zip((self._shell.out, self._shell.err), self._captures, strict=True):
            stream.expect(capture, self._token)
        self._expected = True

    @property
    def pid(self) -> int | None:
        """Process id of the shell, which leads its session. None until the shell has started."""
        return self._shell.pid

    def step(self, seconds: float) -> End | None:
        """Wait for output, at most ``seconds`` and at most ``TICK``. When all output is read, return the exit status or the
        signal.

        Returns None while the command runs. Raises LinkLost when the connection broke, and ShellEnded when the shell
        ended. ShellEnded is also raised when a script may have been killed: the shell is then of no use, because a
        process of the script may still write output into it.
        """
        shell = self._shell
        shell.wait(min(TICK, seconds))
        over = shell.ended  # read before the data: what arrived before is then already in the buffers
        if shell.read() and not self._expected:
            self._expect()
        if self._expected and shell.out.last is not None and shell.err.last is not None:
            end = _end(shell.out.last)
            self.ended = self._alone or end.signal is None
            if not (self.ended or self.once):
                raise ShellEnded
            return end
        if over and not (shell.link.alive and shell.link.transport.saved_exception is None):
            raise LinkLost("the connection was lost")
        if over:
            raise ShellEnded
        return None

    def mute(self) -> None:
        """Discard further standard output."""
        self._captures = (Capture(0), self._captures[1])
        self._shell.out.mute()


def _end(status: str) -> End:
    """Return the end of a command: the signal that ended the command, or the exit status of the command. The shell reports a
    signal as its number plus 128 or 256. This shell runs only commands that read. Their own exit statuses are smaller than
    such a number, so the two cases can be told apart.

    Raises ShellEnded when ``status`` is no number.
    """
    if not status.isdigit():
        raise ShellEnded
    number = int(status)
    try:
        return End(None, signal.Signals(number - (256 if number > 256 else 128)).name.removeprefix("SIG"))
    except ValueError:
        return End(number, None)


class ReadingShell:
    """The shell of one host. It is started when it is first needed, and started again when it has ended."""

    def __init__(self) -> None:
        """Create the object. The shell of the host is not started yet."""
        self._lock = threading.Lock()
        self._shell: _Shell | None = None
        self._avoided = False
        """True after the shell could not be started, or after the server allowed too few channels. Then no shell is started
        any more."""

    @contextmanager
    def running(
        self,
        order: Order,
        captures: tuple[Capture, Capture],
        link: Link,
        opener: Callable[[], tuple[Link, paramiko.Channel]],
        deadline: Deadline,
    ) -> Iterator[InShell]:
        """Run the command of ``order`` during the ``with`` block, and pass its output to ``captures``.

        ``link``: the present connection. ``opener`` opens a channel for the shell. Raises ShellEnded in three cases: the
        shell is busy with another command, this host does not support the shell, or the server was silent and may hang.
        Raises TimeoutError when the command could not be sent before the deadline.
        """
        if self._avoided or not link.transport.heard_lately or not self._lock.acquire(blocking=False):
            raise ShellEnded
        done = False
        try:
            process = InShell(self._started(link, opener, deadline), order, captures, deadline)
            yield process
            done = process.ended
        finally:
            shell = self._shell
            if shell and not done:
                self._avoided = self._avoided or shell.pid is None  # it never started
            if shell and (self._avoided or not done):
                self._shell = None
                shell.close()
            self._lock.release()

    def _started(self, link: Link, opener: Callable[[], tuple[Link, paramiko.Channel]], deadline: Deadline) -> _Shell:
        shell, self._shell = self._shell, None
        if shell is None or shell.ended or shell.link is not link:
            if shell:
                shell.close()
            link, channel = opener()
            try:
                shell = _Shell(link, channel, deadline)
            except BaseException as error:
                close_channel(channel)
                self._avoided = True
                if isinstance(error, NotSent):
                    raise ShellEnded from None
                raise
            link.spare = self.give_up
        self._shell = shell
        return shell

    def give_up(self) -> None:
        """Close the shell, and start no shell on this host again. Called when the server allows too few channels."""
        self._avoided = True
        if self._lock.acquire(blocking=False):  # otherwise it is closed at the end of the command that runs in it
            shell, self._shell = self._shell, None
            self._lock.release()
            if shell:
                shell.close()
