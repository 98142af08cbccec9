"""The port to a machine: what actions see of a host, whoever carries it (SSH, this machine, a fake)."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from drillbook import redact
from drillbook.errors import Cancelled, CommandFailed, CommandLost
from drillbook.events.content import Content
from drillbook.values import Secret

CAPTURE_LIMIT = 1 << 20
"""Bytes of each stream that an Output keeps; more is counted and dropped, or goes to a sink."""


_ODD_ADDRESS = re.compile(r"""^-|[\s\x00-\x1f\x7f'`"$\\;&<>|(){}]""")
_ODD_USER = re.compile(r"""^-|\s-|[\x00-\x1f\x7f'`";&<>|(){}]|\\$""")


class ManagerConfig(BaseModel):
    """The service manager of a host."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["systemd", "supervisor", "docker"] = Field(
        default="systemd", description=("Which service manager; docker: the units are containers, by their names.")
    )
    config: str = Field(default="", description="supervisor: path of supervisord.conf on the host.")
    user: bool = Field(default=False, description="systemd: the user's own manager (`systemctl --user`).")
    sudo: bool = Field(default=False, description="Call it through `sudo -n`.")


class LeaseConfig(BaseModel):
    """How a host keeps a lease: the undo of a fault, which it carries out by itself when nobody renews it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", "systemd", "watcher"] = Field(
        default="auto",
        description=("Who watches: a unit of systemd, or a detached shell; auto: systemd where it can be used."),
    )
    boot: Literal["auto", "systemd", "cron", "none"] = Field(
        default="auto",
        description=(
            "What reverts after a reboot: a unit of systemd, or cron; auto: whichever is there. none: accept that a reboot of "
            "the host leaves a fault there until `invoke drill.recover`."
        ),
    )


class Target(BaseModel):
    """A host as the inventory describes it; empty fields come from ~/.ssh/config."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="Set from the key in the inventory.")
    address: str = Field(default="", description="Name or address; empty: the inventory name, as ssh would resolve it.")
    port: int | None = Field(default=None, ge=1, le=65535, description="SSH port.")
    user: str = Field(default="", description="SSH user.")
    identity: str = Field(default="", description="Path of the private key on the controller.")
    known_hosts: str = Field(default="", description="Path of a known_hosts file; empty: ~/.ssh/known_hosts.")
    gateway: str = Field(default="", description="Inventory name of the host to jump through.")
    local: bool = Field(default=False, description="This machine itself, without SSH.")
    scratch: str = Field(
        default="/var/tmp",
        pattern=r"^/",
        description=("Folder on the host for a run's temporary files and for locks, below `drillbook` in it."),
    )
    state: str = Field(
        default="",
        pattern=r"^(/|$)",
        description=(
            "Folder on the host for leases, which outlive a reboot. Empty: `drillbook` in `scratch` where that is named, "
            "otherwise /var/lib/drillbook of root and ~/.local/state/drillbook of others."
        ),
    )
    manager: ManagerConfig = Field(default_factory=ManagerConfig, description="The service manager.")
    lease: LeaseConfig = Field(default_factory=LeaseConfig, description="How it puts back a fault by itself.")

    @field_validator("address", "user")
    @classmethod
    def _plain(cls, value: str, info: ValidationInfo) -> str:
        """Refuse what a ProxyCommand or `Match exec` of ~/.ssh/config could take for options or commands, as ssh(1) does."""
        if info.field_name == "address" and (odd := _ODD_ADDRESS.search(value)):
            raise ValueError(f"no address of a host has {odd[0]!r} there")
        if odd := _ODD_USER.search(value):
            raise ValueError(f"no user of a host has {odd[0]!r} there")
        return value

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.address and not self.local and (odd := _ODD_ADDRESS.search(self.name)):
            raise ValueError(f"the name {self.name!r} can be no address, because of {odd[0]!r}: give the host an `address`")
        return self


@runtime_checkable
class Notes(Protocol):
    """A host that keeps notes for its step, such as how far a transfer is."""

    def note(self, what: Content) -> None:
        """Keep one note."""


@runtime_checkable
class Piped(Protocol):
    """A host that can carry a protocol over the standard streams of a command, as SSH does."""

    @property
    def target(self) -> Target:
        """The inventory's description."""

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> Any:
        """A channel to the command ``argv``: send, recv, settimeout, close. Raises HostError."""


def printable(data: bytes | str, *, limit: int = 4000) -> str:
    """Text of a target as it can be shown: control characters escaped, the last ``limit`` characters.

    What is cut holds no secret any more, nor the half of one.
    """
    text = _text(data)
    return _escaped("..." + redact.end(text, limit) if len(text) > limit else text)


def excerpt(data: bytes | str, *, limit: int) -> str:
    """The first ``limit`` characters of a text of a target, as it can be shown, without secrets."""
    return _escaped(redact.beginning(_text(data[: limit + redact.FARTHEST]), limit))


def _text(data: bytes | str) -> str:
    return data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data


def _escaped(text: str) -> str:
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Output:
    """What a command left: its status and the captured part of its streams."""

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
        """True when the command ended with status 0."""
        return self.exit == 0

    @property
    def text(self) -> str:
        """Standard output as text without the last line end; invalid UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")

    @property
    def complete(self) -> bool:
        """False when a stream was longer than the capture limit."""
        return self.stdout_bytes == len(self.stdout) and self.stderr_bytes == len(self.stderr)

    def check(self) -> Output:
        """This output when the command succeeded; raises CommandFailed with the last lines otherwise."""
        if self.ok:
            return self
        how = f"was ended by signal {self.signal}" if self.signal else f"ended with status {self.exit}"
        tail = "\n".join(printable(self.stderr or self.stdout).splitlines()[-10:])
        message = f"{self.host}: `{shown(self.argv)}` {how}" + (f"\n{tail}" if tail else "")
        raise CommandFailed(message, host=self.host, argv=self.argv, exit_status=self.exit, tail=tail)


ELLIPSIS = "…"
"""What stands for a script in a message."""


def shown(argv: Sequence[str], *, limit: int = 300) -> str:
    """A command as a person would type it, shortened for a message; of a script only its arguments are shown."""
    words = [
        ELLIPSIS if before == "-c" and "\n" in word else shlex.quote(word).replace("\n", "\\n")
        for before, word in zip(("", *argv), argv, strict=False)
    ]
    text = " ".join(words)
    return text if len(text) <= limit else redact.beginning(text, limit - 3) + "..."


@dataclass(slots=True)
class Deadline:
    """A point on the monotonic clock until which work may go on, and a flag that ends it earlier."""

    at: float
    cancel: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, seconds: float, cancel: threading.Event | None = None) -> Deadline:
        """The point ``seconds`` from now."""
        return cls(time.monotonic() + seconds, cancel or threading.Event())

    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - time.monotonic())

    def check(self, what: str = "") -> None:
        """Raise Cancelled when the flag is set, TimeoutError when the time is over; ``what`` was waited for."""
        if self.cancel.is_set():
            raise Cancelled("the run was stopped")
        if self.remaining() <= 0:
            raise TimeoutError(
                f"{what} gave no answer before the step's timeout was over" if what else "the step's timeout is over"
            )

    def wait(self, seconds: float) -> None:
        """Wait ``seconds``, or less when the deadline or the flag comes first; then check both."""
        self.cancel.wait(min(seconds, self.remaining()))
        self.check()


Answer = TypeVar("Answer")


def once_more(look: Callable[[], Answer]) -> Answer:
    """The answer of ``look``, which only reads; it is asked once more when it was lost on the way."""
    try:
        return look()
    except CommandLost:
        return look()


@runtime_checkable
class Host(Protocol):
    """A machine. Every method may be called from several threads at once.

    Implementations pass the contract suite in ``tests/hosts/``.
    """

    @property
    def name(self) -> str:
        """Inventory name; the controller itself is ``controller``."""

    @property
    def target(self) -> Target:
        """The inventory's description."""

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
        """Run ``argv`` without a shell and wait for its end.

        ``env`` is added to the environment and never shows in a process list; ``stdin`` is all that the command
        reads; with ``sink`` standard output is streamed there and not captured. A command that cannot be found
        gives exit 127. Raises CommandTimedOut after ``deadline`` and Cancelled when its flag is set, both after
        ending the remote process group; HostUnreachable when the connection is lost.
        """

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path`` on the host, atomically. Raises HostError."""

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """The first ``limit`` bytes of a file. Raises FileNotFoundError, HostError."""

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """A port on the controller's loopback that leads to ``address:port`` as the host sees it, while open."""

    def close(self) -> None:
        """End the connection; safe to call twice."""
