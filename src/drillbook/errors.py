"""Errors that Drillbook raises on purpose, each with a stable code and an exit status.

    DrillbookError                    exit 3
    ├── UsageError                    exit 2   nothing was touched
    │   ├── SourceError                        a file is wrong; names file, line and column
    │   │   ├── SpecError                      a drill or a suite
    │   │   ├── InventoryError                 an inventory
    │   │   └── PlanError                      drill and inventory do not fit together
    │   ├── UnknownName                        a drill, run or action that does not exist
    │   ├── MissingExtra                       an optional part of the program is not installed
    │   ├── PluginError                        a plugin cannot be used
    │   └── SecretError                        a secret's source cannot be read
    ├── HostError                              a failure between the controller and a host
    │   ├── HostUnreachable
    │   │   └── CommandLost                    the connection broke during a command; its outcome is unknown
    │   ├── HostKeyUnknown
    │   ├── HostKeyChanged
    │   ├── AuthenticationFailed
    │   ├── CommandFailed                      unexpected exit status or signal
    │   ├── PrivilegeRefused                   sudo refused a command, which was not started
    │   │   └── WrongPassword                  sudo refused the password
    │   └── CommandTimedOut                    the deadline passed; the remote process was killed
    ├── Cancelled                     exit 4   an operator or a guard stopped the run
    ├── NotReady                      exit 4   a precondition does not hold; nothing was touched
    │   └── Locked                             another run holds the lock of a service
    ├── Fenced                        exit 4   a newer run took over the lock
    ├── Lapsed                        exit 4   a lease expired and the target ran the undo
    ├── StepFailed                    exit 1   a step found something wrong
    ├── CouldNotVerify                exit 3   a check could not be carried out
    ├── JournalError                  exit 3   the journal is damaged
    ├── Unreported                    exit 5   a run has ended, and its report could not be written
    └── LabError                      exit 3   the embedded lab

A message says what happened; ``hint`` says what to do next. Exit statuses are those of the verdicts in the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from drillbook.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drillbook.findings import Finding


NOTHING_RUN = "No drill was run."
"""Last line of the output when the program found a mistake of the user before it began a drill."""


class DrillbookError(Exception):
    """Root of all errors that Drillbook raises. Its text is the message and the hint."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = Exit.UNVERIFIED

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Store ``message``, a description of the problem, and ``hint``, a suggested next action."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.closing = ""
        """Last line of the output, below the message and the hint. If it is certain that no drill was run, this line says so;
        otherwise it is empty.
        """
        self.outcomes: tuple[dict[str, Any], ...] = ()
        """Number of attempts with each outcome, if the action itself repeated a query; see ``sdk.outcomes``. Otherwise
        empty."""

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


def message_of(error: BaseException) -> str:
    """Return the message of any error. The hint of an error of Drillbook is left out."""
    return str(getattr(error, "message", str(error)))


class UsageError(DrillbookError):
    """The user's input is wrong. Nothing was touched."""

    code = "usage"
    exit_status = Exit.USAGE


class MissingExtra(UsageError):
    """An optional part of the program is not installed. The hint contains the command that installs it."""

    code = "missing-extra"


class PluginError(UsageError):
    """A plugin cannot be used. None of its code was executed."""

    code = "plugin"


def visible(text: str, limit: int = 2000) -> str:
    """Return at most the first ``limit`` characters of ``text`` for a message. Unprintable characters are escaped, and
    "..." stands for the rest of a longer text.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    return escaped(cut)


def escaped(text: str, keep: str = "\n") -> str:
    """Escape unprintable characters in ``text``, since they could control a terminal.

    The characters in ``keep`` are not escaped.
    """
    return "".join(c if c in keep or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Where:
    """A position in a file; line and column are counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class SourceError(UsageError):
    """A file has a mistake at a known position."""

    code = "source"
    CHECKS_FOLLOW: ClassVar[bool] = True
    """True when other checks of the file cannot be made before the mistake is corrected."""

    def __init__(self, message: str, *, where: Where | None = None, excerpt: str = "", hint: str = "") -> None:
        """Make the error. ``where``: position of the mistake. ``excerpt``: the line with the
        mistake. It is printed with a caret below the column of the mistake."""
        super().__init__(visible(message), hint=visible(hint))
        self.where = where
        self.excerpt = excerpt
        self.others: tuple[SourceError, ...] = ()
        self.absent = ""
        """Name of a service that a drill needs and the inventory does not have. Of several errors with the same name, only
        the first is reported.
        """

    @property
    def later(self) -> str:
        """Sentence which says that the file will be checked further after the correction. It is empty if no check remains."""
        if self.where is None or not self.CHECKS_FOLLOW:
            return ""
        return f"Further checks follow when {'these mistakes are' if self.others else 'this mistake is'} corrected."

    def __str__(self) -> str:
        told: set[str] = set()
        texts = []
        for error in (self, *self.others):
            texts.append(error.alone(hinted=error.hint not in told))
            told.add(error.hint)
        return "\n".join(texts)

    def alone(self, *, hinted: bool = True) -> str:
        """Text of this mistake, without the other mistakes in the same file. ``hinted``: False to omit the hint."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        if self.where and self.excerpt.strip():
            text += f"\n  | {self.excerpt}\n  | {' ' * (self.where.column - 1)}^"
        return f"{text}\n  hint: {self.hint}" if self.hint and hinted else text


class SpecError(SourceError):
    """A drill or a suite has a mistake."""

    code = "spec"
    read: object = None
    """The readable parts of the drill (`plan.spec.Partial`), if there are any."""


class InventoryError(SourceError):
    """An inventory has a mistake."""

    code = "inventory"


class PlanError(SourceError):
    """A plan is not valid: the drill breaks a rule of plans, or does not fit the inventory."""

    code = "plan"
    CHECKS_FOLLOW = False


class UnknownName(UsageError):
    """The user named a drill, suite, run or action that does not exist."""

    code = "unknown-name"


class SecretError(UsageError):
    """The source of a secret cannot be read."""

    code = "secret"


class HostError(DrillbookError):
    """A failure between the controller and a host. ``host`` is the host's name in the inventory."""

    code = "host"

    def __init__(self, message: str, *, host: str, hint: str = "") -> None:
        """Make the error. ``host`` is the host's name in the inventory."""
        super().__init__(message, hint=hint)
        self.host = host


class HostUnreachable(HostError):
    """No connection could be made, or the connection broke."""

    code = "host-unreachable"


class CommandLost(HostUnreachable):
    """The connection or the channel of a command broke before the command's exit status arrived."""


class HostKeyUnknown(HostError):
    """The host's key is in none of the known_hosts files."""

    code = "host-key-unknown"


class HostKeyChanged(HostError):
    """The host presents another key than the recorded one, or a revoked key."""

    code = "host-key-changed"


class AuthenticationFailed(HostError):
    """The host refused every key that was offered."""

    code = "authentication-failed"


class CommandFailed(HostError):
    """A command terminated with an unexpected exit status or signal."""

    code = "command-failed"

    def __init__(self, message: str, *, host: str, argv: Sequence[str], exit_status: int | None, tail: str = "") -> None:
        """Make the error. ``tail`` is the last lines of the command's output, already in printable form."""
        super().__init__(message, host=host)
        self.argv = tuple(argv)
        self.exit = exit_status
        self.tail = tail


class PrivilegeRefused(HostError):
    """The host's sudo refused to run a command as the account in `become`. The command was not started."""

    code = "privilege-refused"


class WrongPassword(PrivilegeRefused):
    """The host's sudo refused the password in `become`."""


class CommandTimedOut(HostError):
    """The command exceeded its deadline. Its process was killed. If the process could not be killed, the message says so."""

    code = "command-timed-out"


class Cancelled(DrillbookError):
    """An operator or a guard stopped the run."""

    code = "cancelled"
    exit_status = Exit.REFUSED


class NotReady(DrillbookError):
    """A precondition does not hold. Nothing was touched."""

    code = "not-ready"
    exit_status = Exit.REFUSED


class Locked(NotReady):
    """Another run holds the lock of a service. ``run``: id of this run. ``controller``: identity of its controller process."""

    code = "locked"

    def __init__(self, message: str, *, hint: str = "", run: str = "", controller: str = "") -> None:
        """Store the message, the hint, and the holder of the lock."""
        super().__init__(message, hint=hint)
        self.run, self.controller = run, controller


class Fenced(DrillbookError):
    """A newer run took over the lock of a service. This run must not change anything more on that service."""

    code = "fenced"
    exit_status = Exit.REFUSED


class Lapsed(DrillbookError):
    """A target ran the undo by itself, because its lease was not renewed in time or the target was rebooted."""

    code = "lapsed"
    exit_status = Exit.REFUSED


class StepFailed(DrillbookError):
    """A step ran to its end and found something wrong.

    ``findings`` hold the details. The message is a summary.
    """

    code = "step-failed"
    exit_status = Exit.FAILED

    def __init__(self, message: str, *, findings: Sequence[Finding] = (), facts: dict[str, object] | None = None) -> None:
        """Make the error. ``facts``: values that the step measured before it failed. They are recorded with the findings."""
        super().__init__(message)
        self.findings = tuple(findings)
        self.facts = facts or {}


class CouldNotVerify(DrillbookError):
    """A check could not be executed, so the checked state is unknown. An unknown state never counts as passed."""

    code = "could-not-verify"


class JournalError(DrillbookError):
    """The journal is damaged. The message names the damaged line."""

    code = "journal"


class Unreported(DrillbookError):
    """A run ended, but its report could not be written, or its journal is lost. The run may have left unknown changes."""

    code = "unreported"
    exit_status = Exit.RESIDUE


class LabError(DrillbookError):
    """A lab could not be started, stopped or read."""

    code = "lab"
