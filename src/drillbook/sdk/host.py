"""Interface to a machine. There are implementations for SSH and for the local machine."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, BinaryIO, Literal, Protocol, Self, TypeVar, runtime_checkable

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from drillbook import redact
from drillbook.errors import Cancelled, CommandFailed, CommandLost, escaped
from drillbook.events.content import Content
from drillbook.language.explaining import FROM_KEY
from drillbook.sdk.become import ROOT, Become
from drillbook.sdk.written_at import Located
from drillbook.values import Secret

CAPTURE_LIMIT = 1 << 20
"""Number of bytes that an Output stores of each output stream. Further bytes are only counted. A sink receives all bytes."""

_ODD_ADDRESS = re.compile(r"""^-|[\s\x00-\x1f\x7f'`"$\\;&<>|(){}]""")
_ODD_USER = re.compile(r"""^-|\s-|[\x00-\x1f\x7f'`";&<>|(){}]|\\$""")


class ManagerConfig(BaseModel):
    """Service manager of a host, as configured in the inventory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["systemd", "supervisor", "docker"] = Field(
        default="systemd",
        description="Kind of the service manager. For docker, the names of units are the names of containers.",
    )
    config: str = Field(default="", description="For supervisor: path of supervisord.conf on the host.")
    user: bool = Field(default=False, description="For systemd: use the user's own manager (`systemctl --user`).")
    sudo: bool = Field(default=False, description="Run the commands of the service manager through `sudo -n`.")


Watcher = Literal["systemd", "watcher"]
"""Programs that can watch a lease: a systemd unit, or a detached shell."""
BootHook = Literal["systemd", "cron"]
"""Programs that can run the undo of a lease after a reboot."""


class LeaseConfig(BaseModel):
    """Settings of the leases of a host.

    When a run stops renewing a lease, the host undoes the fault of the lease by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", Watcher] = Field(
        default="auto",
        description=("Program that watches a lease: a systemd unit, or a detached shell. auto: systemd if it can be used."),
    )
    boot: Literal["auto", BootHook, "none"] = Field(
        default="auto",
        description=(
            "Program that undoes faults after a reboot of the host: a unit of systemd, or cron. auto: the program "
            "that the host has. none: no program undoes the faults, so that an active fault stays active until "
            "`invoke drill.recover`."
        ),
    )


class Target(Located):
    """Description of a host in the inventory. Empty fields of the SSH connection are taken from ~/.ssh/config."""

    SECTION = "hosts"

    name: Annotated[str, FROM_KEY] = Field(default="", description="Name of the host, set from the key in the inventory.")
    address: str = Field(
        default="",
        description=("Name or address of the host. Empty: the host's name in the inventory, resolved as ssh resolves it."),
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="SSH port.")
    user: str = Field(default="", description="SSH user.")
    identity: str = Field(default="", description="Path of the SSH private key on the controller.")
    known_hosts: str = Field(
        default="", description=("Path of a known_hosts file on the controller. Empty: ~/.ssh/known_hosts.")
    )
    gateway: str = Field(
        default="", description="Jump host: name of the host in the inventory through which this host is reached."
    )
    local: bool = Field(
        default=False, description=("True: the host is the machine that runs Drillbook, and is used without SSH.")
    )
    scratch: str = Field(
        default="/var/tmp",
        pattern=r"^/",
        description=("Folder on the host. Its subfolder `drillbook` contains the locks, and the temporary files of runs."),
    )
    state: str = Field(
        default="",
        pattern=r"^(/|$)",
        description=(
            "Folder on the host for leases. Its files must survive a reboot. Empty: the subfolder "
            "`drillbook` of `scratch` if that is set, otherwise /var/lib/drillbook for root and "
            "~/.local/state/drillbook for other users."
        ),
    )
    manager: ManagerConfig = Field(default_factory=ManagerConfig, description="Service manager of the host.")
    lease: LeaseConfig = Field(
        default_factory=LeaseConfig, description="Settings of leases. With a lease, the host undoes a fault by itself."
    )
    become: Become | None = Field(
        default=None,
        description=(
            "Account that runs the commands of drills and accesses files, by sudo: `true` for root, or the name "
            "of an account. A service or a step may name another account."
        ),
    )
    _account: str = PrivateAttr(default="")

    @property
    def account(self) -> str:
        """Account that runs the commands of a step, according to `become`. Empty: the SSH user."""
        return self._account

    @property
    def becomes_root(self) -> bool:
        """True when the SSH user can run commands as root on the host by sudo without a password."""
        return self.become is not None and self.become.user == ROOT and self.become.password is None and not self._account

    def acting_as(self, account: str) -> Self:
        """Return the description of the host for commands that run as ``account``.

        It differs in two settings: root uses the service manager without sudo, and each account has its own lease folder.
        """
        manager = self.manager.model_copy(update={"sudo": False}) if account == ROOT else self.manager
        state = f"{self.state.rstrip('/')}-as-{account}" if self.state else ""
        copy = self.model_copy(update={"manager": manager, "state": state})
        copy._account = account
        return copy

    @model_serializer(mode="wrap")
    def _without_unused(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Serialise the host, without `become` if it is None. Older plans lack this field; their digests must not change."""
        return {key: value for key, value in written(self).items() if key != "become" or value is not None}

    @field_validator("address", "user")
    @classmethod
    def _plain(cls, value: str, info: ValidationInfo) -> str:
        """Refuse characters that a ProxyCommand, or `Match exec` in ~/.ssh/config, could take for options or commands.

        The rules are those of ssh(1).
        """
        if info.field_name == "address" and (odd := _ODD_ADDRESS.search(value)):
            raise ValueError(f"the address of a host must not contain {odd[0]!r} at this position")
        if odd := _ODD_USER.search(value):
            raise ValueError(f"the user of a host must not contain {odd[0]!r} at this position")
        return value

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.address and not self.local and (odd := _ODD_ADDRESS.search(self.name)):
            raise ValueError(
                f"the name {self.name!r} cannot be used as an address, because it contains {odd[0]!r}: set `address` "
                "of the host"
            )
        return self


@runtime_checkable
class Notes(Protocol):
    """Interface of a host that records notes for the step that uses the host. A note may be the progress of a transfer."""

    def note(self, what: Content) -> None:
        """Record ``what`` as an event of the run."""


@runtime_checkable
class Piped(Protocol):
    """Interface of a host that can connect the controller to the standard streams of a command. Hosts with SSH can do this."""

    @property
    def target(self) -> Target:
        """Description of the host in the inventory."""

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> Any:
        """Start ``argv``, and return a channel (send, sendall, recv, settimeout, close). Raises HostError or CouldNotVerify."""


def printable(data: bytes | str, *, limit: int = 4000) -> str:
    """Return text from a target in printable form. Control characters are escaped, and only the last ``limit`` characters
    are kept.

    If the cut would split a secret, the whole secret is removed.
    """
    text = _text(data)
    return escaped("..." + redact.end(text, limit) if len(text) > limit else text, keep="\n\t")


def excerpt(data: bytes | str, *, limit: int) -> str:
    """Return the beginning of text from a target, as ``redact.excerpt`` shortens it. The result is printable."""
    return escaped(redact.excerpt(_text(data[: limit + redact.FARTHEST]), limit), keep="\n\t")


def _text(data: bytes | str) -> str:
    return data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data


@dataclass(frozen=True, slots=True)
class Output:
    """Result of a command: its exit status, and the captured part of its two output streams."""

    host: str
    argv: tuple[str, ...]
    exit: int | None
    signal: str | None
    stdout: bytes
    stderr: bytes
    seconds: float
    stdout_bytes: int
    stderr_bytes: int

    @property
    def ok(self) -> bool:
        """True when the command exited with status 0."""
        return self.exit == 0

    @property
    def text(self) -> str:
        """Standard output as text, without newlines at the end. Bytes that are not valid UTF-8 are replaced."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")

    @property
    def complete(self) -> bool:
        """True when all output was captured. False when a stream was longer than the capture limit."""
        return self.stdout_bytes == len(self.stdout) and self.stderr_bytes == len(self.stderr)

    def check(self) -> Output:
        """Return this output when the command succeeded. Otherwise raise CommandFailed with the last lines of the output."""
        if self.ok:
            return self
        how = f"was ended by signal {self.signal}" if self.signal else f"ended with status {self.exit}"
        tail = "\n".join(printable(self.stderr or self.stdout).splitlines()[-10:])
        message = f"{self.host}: `{shown(self.argv)}` {how}" + (f"\n{tail}" if tail else "")
        raise CommandFailed(message, host=self.host, argv=self.argv, exit_status=self.exit, tail=tail)


ELLIPSIS = "…"
"""Text that stands for a script in messages."""


def shown(argv: Sequence[str], *, limit: int = 300) -> str:
    """Format a command as typed in a shell, and shorten it for a message. An ellipsis replaces the text of a script."""
    words = [
        ELLIPSIS if before == "-c" and "\n" in word else shlex.quote(word).replace("\n", "\\n")
        for before, word in zip(("", *argv), argv, strict=False)
    ]
    text = " ".join(words)
    return text if len(text) <= limit else redact.beginning(text, limit - 3) + "..."


@dataclass(slots=True)
class Deadline:
    """Time on the monotonic clock at which work must end. A cancel flag can end the work earlier."""

    at: float
    cancel: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, seconds: float, cancel: threading.Event | None = None) -> Deadline:
        """Return a deadline ``seconds`` from now."""
        return cls(time.monotonic() + seconds, cancel or threading.Event())

    def remaining(self) -> float:
        """Return the number of seconds until the deadline, at least 0."""
        return max(0.0, self.at - time.monotonic())

    def check(self, what: str = "") -> None:
        """Raise Cancelled when the cancel flag is set, or TimeoutError when the deadline has passed.

        ``what``: name of the work in the message.
        """
        if self.cancel.is_set():
            raise Cancelled("the run was stopped")
        if self.remaining() <= 0:
            raise TimeoutError(f"{what} did not answer before the step's timeout" if what else "the step's timeout expired")

    def wait(self, seconds: float) -> None:
        """Wait for ``seconds``.

        If the deadline passes or the cancel flag is set before that, stop waiting and raise the errors of ``check``.
        """
        self.cancel.wait(min(seconds, self.remaining()))
        self.check()


# USER PROGRAM...: the user itself needs no sudo; root without sudo uses setpriv of util-linux, which sets the groups as sudo
# does; HOME is the user's own.
_AS_USER = """
user=$1
shift
test "$(id -un)" != "$user" || exec "$@"
if test "$(id -u)" = 0 && ! command -v sudo >/dev/null; then
  group=$(id -g -- "$user") || exit 1
  HOME=$(awk -F: -v name="$user" '$1 == name {{ print $6; exit }}' /etc/passwd)
  export HOME
  exec setpriv --reuid="$user" --regid="$group" --init-groups -- "$@"
fi
exec sudo {} -u "$user" -- "$@"
"""
_NEVER_ASKS, _ASKS = _AS_USER.format("-n"), _AS_USER.format("-S -k -p ''")


def as_user(user: str, argv: Sequence[str] = (), *, asks: bool = False) -> tuple[str, ...]:
    """Return the command that runs ``argv`` as ``user``. It uses sudo, or setpriv for root on a host without sudo.

    An empty ``user`` is the SSH user. When ``asks`` is true, sudo reads a password from the first line of standard input.
    The command is a shell script, and its ``$0`` is the word `sudo`. By this word, a ``Host`` object recognises that the
    processes of the command must be killed by sudo.
    """
    return (*(("sh", "-c", _ASKS if asks else _NEVER_ASKS, "sudo", user) if user else ()), *argv)


Answer = TypeVar("Answer")


def once_more(look: Callable[[], Answer]) -> Answer:
    """Call the function ``look``, which is safe to repeat. If the connection is lost, call ``look`` a second time."""
    try:
        return look()
    except CommandLost:
        return look()


@runtime_checkable
class Host(Protocol):
    """A machine. All methods are thread-safe. Every implementation passes the contract tests in ``tests/hosts/``."""

    @property
    def name(self) -> str:
        """Name of the host in the inventory. For the controller itself: ``controller``."""

    @property
    def target(self) -> Target:
        """Description of the host in the inventory."""

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
        """Run ``argv`` without a shell, and wait until it exits.

        ``env`` is added to the environment, and never appears in a list of processes. ``stdin`` is the whole input of the
        command. When ``sink`` is given, the standard output goes to ``sink``, and not to the result. A missing program
        results in the exit status 127.

        Raises CommandTimedOut when the ``deadline`` passes, and Cancelled when the run is stopped. In both cases, it first
        kills the command's process group on the host. Raises HostUnreachable when the connection is lost.
        """

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path`` on the host, completely or not at all. Raises HostError when the file cannot be written."""

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read the first ``limit`` bytes of a file. Raises FileNotFoundError when it is missing, HostError when it is unreadable."""

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """Open a port on the controller's loopback address, and yield its number.

        The host forwards connections to this port to ``address:port``. If ``address`` begins with a slash, it is the path
        of a Unix socket, and ``port`` is ignored. The port is closed at the end of the `with` block.
        """

    def forward_socket(self, path: str, name: str, user: str = "") -> AbstractContextManager[str]:
        """Open a Unix socket on the controller that leads to the Unix socket ``path`` on the host. Yields its folder.

        The socket on the controller has the file name ``name``. It exists until the `with` block ends. No other user of the
        controller can enter its folder. On the host, a process that runs as ``user`` connects to ``path``. So a server with
        peer authentication accepts the client as ``user``. An empty ``user`` is the SSH user.
        """

    def close(self) -> None:
        """Close the connection. Calling it twice is safe."""
