"""Every error that Drillbook raises on purpose, each with a stable code and an exit status.

    DrillbookError                    exit 3
    ├── UsageError                    exit 2   nothing was touched
    │   ├── SourceError                        a file is wrong; names file, line and column
    │   │   ├── SpecError                      a drill or a suite
    │   │   └── InventoryError                 an inventory
    │   ├── PlanError                          drill and inventory do not fit together
    │   ├── UnknownName                        a drill, run, action that is not there
    │   ├── PluginError                        a plugin cannot be used
    │   └── SecretError                        a secret's source cannot be read
    ├── HostError                              something between here and a host
    │   ├── HostUnreachable
    │   │   └── CommandLost                    it went away while a command ran: nobody knows how that ended
    │   ├── HostKeyUnknown
    │   ├── HostKeyChanged
    │   ├── AuthenticationFailed
    │   ├── CommandFailed                      exit status or signal was not the wanted one
    │   └── CommandTimedOut                    the deadline passed; the remote process was ended
    ├── Cancelled                     exit 4   an operator or a guard stopped the run
    ├── NotReady                      exit 4   a precondition does not hold; nothing was touched
    │   └── Locked                             another run holds the lock of a service
    ├── Fenced                        exit 4   the lock was taken over by somebody newer
    ├── Lapsed                        exit 4   a target reverted by itself: its lease was not renewed
    ├── StepFailed                    exit 1   a step found that something is wrong
    ├── CouldNotVerify                exit 3   a check could not be carried out
    ├── JournalError                  exit 3   the journal is damaged
    ├── Unreported                    exit 5   a run has ended, and its report could not be written
    └── LabError                      exit 3   the embedded lab

A message says what happened; ``hint`` says what to do next. Exit statuses are those of the verdicts in the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from drillbook.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drillbook.findings import Finding


class DrillbookError(Exception):
    """Root of the tree; ``str()`` gives the message and the hint as people read them."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = Exit.UNVERIFIED

    def __init__(self, message: str, *, hint: str = "") -> None:
        """``message`` is what happened, ``hint`` what to do next."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(DrillbookError):
    """The person's input is wrong; nothing was touched."""

    code = "usage"
    exit_status = Exit.USAGE


class PluginError(UsageError):
    """A plugin cannot be used; nothing of it was carried out."""

    code = "plugin"


def visible(text: str, limit: int = 2000) -> str:
    """``text`` for a message: what does not print is escaped, what is too long is cut."""
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class SourceError(UsageError):
    """A file is wrong at a place that can be named."""

    code = "source"

    def __init__(self, message: str, *, where: Where | None = None, excerpt: str = "", hint: str = "") -> None:
        """``excerpt`` is the line at ``where``, shown with a caret below the column."""
        super().__init__(visible(message), hint=visible(hint))
        self.where = where
        self.excerpt = excerpt

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        if self.where and self.excerpt.strip():
            text += f"\n  | {self.excerpt}\n  | {' ' * (self.where.column - 1)}^"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class SpecError(SourceError):
    """A drill or a suite is wrong."""

    code = "spec"


class InventoryError(SourceError):
    """An inventory is wrong."""

    code = "inventory"


class PlanError(SourceError):
    """Drill and inventory do not fit together."""

    code = "plan"


class UnknownName(UsageError):
    """A drill, suite, run or action that does not exist."""

    code = "unknown-name"


class SecretError(UsageError):
    """The source of a secret cannot be read."""

    code = "secret"


class HostError(DrillbookError):
    """Something between the controller and a host; ``host`` is its inventory name."""

    code = "host"

    def __init__(self, message: str, *, host: str, hint: str = "") -> None:
        """``host`` is the inventory name of the host."""
        super().__init__(message, hint=hint)
        self.host = host


class HostUnreachable(HostError):
    """No connection could be made, or it broke."""

    code = "host-unreachable"


class CommandLost(HostUnreachable):
    """The connection, or the channel of a command, ended before the command's status came."""


class HostKeyUnknown(HostError):
    """The host's key is in no known_hosts file."""

    code = "host-key-unknown"


class HostKeyChanged(HostError):
    """The host shows another key than the recorded one."""

    code = "host-key-changed"


class AuthenticationFailed(HostError):
    """The host refused every key that was offered."""

    code = "authentication-failed"


class CommandFailed(HostError):
    """A command ended with a status that was not the wanted one."""

    code = "command-failed"

    def __init__(self, message: str, *, host: str, argv: Sequence[str], exit_status: int | None, tail: str = "") -> None:
        """``tail`` is the last lines of the command's output, already made printable."""
        super().__init__(message, host=host)
        self.argv = tuple(argv)
        self.exit = exit_status
        self.tail = tail


class CommandTimedOut(HostError):
    """The deadline passed; the remote process was ended, or the message says that it could not be."""

    code = "command-timed-out"


class Cancelled(DrillbookError):
    """An operator or a guard stopped the run."""

    code = "cancelled"
    exit_status = Exit.REFUSED


class NotReady(DrillbookError):
    """A precondition does not hold; nothing was touched."""

    code = "not-ready"
    exit_status = Exit.REFUSED


class Locked(NotReady):
    """Another run holds the lock of a service."""

    code = "locked"


class Fenced(DrillbookError):
    """The lock of a service was taken over by somebody newer: this run may change nothing more there."""

    code = "fenced"
    exit_status = Exit.REFUSED


class Lapsed(DrillbookError):
    """A target reverted by itself, because its lease was not renewed in time or it was started again."""

    code = "lapsed"
    exit_status = Exit.REFUSED


class StepFailed(DrillbookError):
    """A step carried out its work and found that something is wrong.

    ``findings`` say what, one by one; the message is their summary.
    """

    code = "step-failed"
    exit_status = Exit.FAILED

    def __init__(self, message: str, *, findings: Sequence[Finding] = (), facts: dict[str, object] | None = None) -> None:
        """``facts`` are what was measured all the same; they enter the journal beside the findings."""
        super().__init__(message)
        self.findings = tuple(findings)
        self.facts = facts or {}


class CouldNotVerify(DrillbookError):
    """A check could not be carried out, so nothing is known: never a pass."""

    code = "could-not-verify"


class JournalError(DrillbookError):
    """The journal is damaged; the message names the line."""

    code = "journal"


class Unreported(DrillbookError):
    """A run has ended, and its report could not be written; until it is recovered nobody can see what it left."""

    code = "unreported"
    exit_status = Exit.RESIDUE


class LabError(DrillbookError):
    """The embedded lab could not do what was asked."""

    code = "lab"
