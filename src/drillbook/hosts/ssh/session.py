"""Runs a command over a connection, and kills a running command reliably."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

import paramiko

from drillbook.errors import HostError
from drillbook.hosts.capture import Capture, MarkedCapture
from drillbook.hosts.shell import ENDING, Order
from drillbook.hosts.ssh.channel import TICK, End, Exec, LinkLost
from drillbook.hosts.ssh.connection_reuse import Keeper, expired
from drillbook.hosts.ssh.login import Link
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline

PATIENCE = 30.0
"""Seconds for which a refused channel is requested again and again. The repetition is useful because sshd frees a channel
shortly after its command has terminated.
"""

END_SECONDS = 4.5
"""Maximum number of seconds to kill a command. This is enough for TERM, a wait of 2 s, KILL, and two round trips on the
network.
"""


class _Until(float):
    """Timeout for paramiko that also expires when the cancel flag is set. Paramiko checks ten times a second whether
    the timeout has expired."""

    def __new__(cls, deadline: Deadline) -> _Until:
        """Create a timeout that ends at ``deadline``."""
        until = super().__new__(cls, deadline.remaining())
        until.cancel = deadline.cancel
        return until

    cancel: threading.Event

    def __radd__(self, start: float) -> float:
        return 0.0 if self.cancel.is_set() else start + float(self)


def open_session(link: Link, deadline: Deadline, *, host: str) -> paramiko.Channel:
    """Open a channel.

    Raises LinkLost when the connection is lost, TimeoutError when the deadline passed or its cancel flag was set, and
    HostError when the server refuses the channel.
    """
    begun, pause = time.monotonic(), 0.02
    while True:
        try:
            return link.transport.open_session(timeout=_Until(deadline))
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not link.alive:
                raise LinkLost(str(error) or "the connection was lost") from None
            if expired(deadline):
                raise TimeoutError from None
            if time.monotonic() - begun > PATIENCE:
                raise HostError(
                    f"{host}: the SSH server refuses another channel: {error}",
                    host=host,
                    hint="increase MaxSessions in its sshd_config",
                ) from None
            link.spare()
            deadline.cancel.wait(min(pause, deadline.remaining()))
            pause = min(2 * pause, 0.5)


class Process(Protocol):
    """Running command that a caller can wait for and kill. It runs on a channel of its own, or in a shell that stays
    open.
    """

    @property
    def pid(self) -> int | None:
        """Process id of the process that leads the command's session. It is None until the id has arrived."""

    def step(self, seconds: float) -> End | None:
        """Wait at most ``seconds`` for output. Return the end of the command, or None while the command runs."""

    def mute(self) -> None:
        """Discard further standard output."""


class Ending:
    """Kills one command and its descendants on a host within END_SECONDS. If that fails, it tells the reason."""

    def __init__(self, keeper: Keeper, process: Process, *, host: str, sudo: bool) -> None:
        """Prepare to kill ``process``. ``sudo``: True when only sudo can send signals to its processes."""
        self._keeper, self._process, self._host, self._sudo = keeper, process, host, sudo
        self._at = time.monotonic() + END_SECONDS
        self._trouble = "the host did not answer"

    def run(self) -> str:
        """Kill the command with all its processes. Return an empty text when all processes are gone.

        Otherwise, return the reason why processes may still be running.
        """
        if self._over():
            return ""
        if self._process.pid is None:
            return "the process id of the command did not arrive"
        # Sending on a hung connection can block for ever, so another thread sends.
        killer = threading.Thread(target=self._kill, args=(self._process.pid,), name="drillbook-end", daemon=True)
        killer.start()
        killer.join(max(0.1, self._at - time.monotonic()))
        return self._trouble

    def _over(self) -> bool:
        """Wait at most 1 s until the process id of the command has arrived.

        Returns True if the command ends by itself in this time.
        """
        self._process.mute()
        until, pause = time.monotonic() + 1.0, 0.0  # little output, such as the process id, is not read before a tick
        while self._process.pid is None and time.monotonic() < until:
            try:
                if self._process.step(pause) is not None:
                    return True
            except Exception:  # noqa: BLE001  (the connection has failed: the wait is over)
                break
            pause = TICK
        return False

    def _kill(self, pid: int) -> None:
        deadline = Deadline(self._at)
        try:
            link = self._keeper.get(deadline)
            argv = ["sh", "-c", ENDING, "sh", str(pid), "sudo -n" if self._sudo else ""]
            end = execute(link, argv, deadline, host=self._host)
        except (HostError, LinkLost, TimeoutError) as error:
            self._trouble = str(error) or self._trouble
            return
        if end is not None:
            self._trouble = "" if end.exit == 0 else f"process {pid} or a child of it still runs"


def execute(link: Link, argv: Sequence[str], deadline: Deadline, *, host: str) -> End | None:
    """Run a short internal command.

    Returns its exit status or signal, or None when it did not terminate before the deadline.
    """
    order = Order(host, tuple(argv))
    channel = open_session(link, deadline, host=host)
    process = Exec(channel, order.line(), b"", Capture(CAPTURE_LIMIT), MarkedCapture(CAPTURE_LIMIT, order.token))
    try:
        end = None
        while end is None and not expired(deadline):
            end = process.step(deadline.remaining())
        return end
    finally:
        process.close()
