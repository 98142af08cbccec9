"""A lock on a target. It makes sure that only one run at a time uses a service.

Another run may take a lock that has expired. Each holder has its own token, so the holders can be told apart.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.engine.leases.script import call, folder_name, one_line, run_id_of, state_of, unreadable
from drillbook.errors import Fenced, Locked
from drillbook.hosts.shell import FENCE_MARK
from drillbook.sdk.host import Deadline, Host, Output, once_more
from drillbook.sdk.target_folders import root_of

FENCED = 97
"""Exit status of a command that was not started because the run had lost its lock; see ``fence``."""

# FOLDER NUMBER LEASE COMMAND...: run COMMAND, but only while the lock in FOLDER has the token NUMBER and no newer token exists.
# If LEASE is not empty, the lease in this folder must be open, too. Otherwise exit with the status FENCED.
FENCE = (
    f"""
off() {{ echo "{FENCE_MARK}" >&2; exit {FENCED}; }}
"""
    r"""[ -e "$1/$2" ] || off
for entry in "$1"/[0-9]*; do
  number=${entry##*/}
  case $number in *[!0-9]*) continue ;; esac
  [ "$number" -le "$2" ] || off
done
[ -z "$3" ] || [ -e "$3/claim.open" ] || off
shift 3
exec "$@"
"""
)


class Owner(BaseModel):
    """Holder of a lock: the run, the person who started it, its controlling machine and its drill."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str = Field(description="Id of the run.")
    operator: str = Field(default="", description="Person who started the run.")
    controller: str = Field(default="", description="Machine from which the run is controlled.")
    drill: str = Field(default="", description="Name of the drill.")

    def __str__(self) -> str:
        return one_line(f"run {self.run} of {self.drill or 'a drill'} by {self.operator or '?'} on {self.controller or '?'}")


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that this run took.

    ``taken_from``: the previous holder, if that run had not released the lock.
    """

    name: str
    token: int
    taken_from: Owner | None = None


@dataclass(frozen=True, slots=True)
class LockState:
    """State of a lock on the target. Ages are in seconds, and are measured with the target's time since boot."""

    owner: Owner
    token: int
    age_s: int
    since_s: int
    lease_s: int
    left_s: int
    stop: str = ""

    @property
    def held(self) -> bool:
        """True while the lock has not expired."""
        return self.left_s > 0


def fence(argv: Sequence[str], folder: str, token: int | str, lease: str = "") -> tuple[str, ...]:
    """Return a command that starts ``argv`` only while the lock in ``folder`` has the token ``token``. Otherwise the
    command exits with the status 97; see ``was_fenced``.

    ``lease``: folder of a lease. If it is given, ``argv`` is started only while this lease is open: it has not ended, and the
    target has not begun its undo. To check a lease and no lock, pass the lease's folder as ``folder``, and the text
    ``claim.open`` as ``token``.
    """
    return ("sh", "-c", FENCE, "sh", folder, str(token), lease, *argv)


def was_fenced(output: Output) -> bool:
    """Return True when ``output`` shows that a command was not started because the run had lost the lock; see ``fence``."""
    return output.exit == FENCED and FENCE_MARK.encode() in output.stderr


class Lock:
    """The lock of one service on its host. Each method is one command on the target."""

    def __init__(self, host: Host, name: str, lease_s: float, title: str = "") -> None:
        """Set up the lock without contacting the host.

        ``lease_s``: time in seconds after which the lock expires when it is not renewed. It is rounded up to whole seconds.
        ``name``: name of the lock on the target. ``title``: name of the lock in messages, by default ``name``.
        """
        self.host, self.name, self.title = host, name, title or name
        self._lease = max(1, -int(-lease_s // 1))
        self._root, self._folder = root_of(host), folder_name(name)

    @property
    def folder(self) -> str:
        """Folder of the lock on the target, for the argument ``folder`` of ``fence``."""
        return f"{self._root}/locks/{self._folder}"

    def take(self, owner: Owner, *, deadline: Deadline, over: str = "") -> Held:
        """Take the lock. Return the taken lock with its token.

        ``over``: id of a run whose lock may be taken before it expires. Use this only if the controller of that run is
        certainly dead, or is this process.

        Raises Locked when another run holds the lock, NotReady when the host cannot keep locks, and HostError when the host
        fails.
        """
        words = (run_id_of(owner.run), str(self._lease), str(_seed()), over, owner.model_dump_json())
        lines = self._call("take", *words, deadline=deadline).text.split("\n")
        if lines[0] == "locked":
            state = _state(self.host, lines[1:])
            raise Locked(
                f"{self.host.name}: {self.title} is locked by {state.owner}; the lock was taken {state.since_s} s ago, and "
                f"expires in {state.left_s} s unless it is renewed",
                hint=f"wait until that run has ended, or stop it with `invoke drill.stop {one_line(state.owner.run)}`",
                run=state.owner.run,
                controller=state.owner.controller,
            )
        token = _number(self.host, lines[0].removeprefix("taken "))
        return Held(self.name, token, _owner(lines[1]) if len(lines) > 1 else None)

    def renew(self, token: int, *, deadline: Deadline) -> str:
        """Renew the lock. Return the text of a request to stop the run, or an empty text.

        Raises Fenced when the lock is gone or belongs to a newer run, and HostError when the host fails.
        """
        words = (self._root, state_of(self.host), "", self._folder, str(token))
        lines = call(self.host, "beat_all", *words, deadline=deadline).text.split("\n")
        if f"fenced {self._folder}" in lines:
            raise Fenced(
                f"{self.host.name}: this run lost the lock on {self.title}: the lock was not renewed in time, and "
                "another run took it",
                hint="`invoke drill.list` shows the other run if it belongs to this project",
            )
        return next((line.removeprefix("stop ") for line in lines if line.startswith("stop ")), "")

    def release(self, token: int, *, deadline: Deadline) -> None:
        """Release the lock. Do nothing when the lock is gone or belongs to a newer run.

        Raises HostError when the host cannot be used.
        """
        self._call("release", str(token), deadline=deadline)

    def request_stop(self, who: str, *, deadline: Deadline) -> Owner | None:
        """Ask the holder of the lock to stop. The request is stored on the target, and the holder receives it at its next
        renewal.

        Return the holder, or None if nobody holds the lock. Raises HostError when the host fails.
        """
        text = self._call("stop", one_line(who), deadline=deadline).text
        return _owner(text) if text else None

    def state(self, *, deadline: Deadline) -> LockState | None:
        """Return the state and the holder of the lock. Returns None when nobody holds the lock.

        Raises HostError when the host cannot be used.
        """
        text = once_more(lambda: self._call("state", deadline=deadline)).text
        return _state(self.host, text.split("\n")) if text else None

    def _call(self, function: str, *words: str, deadline: Deadline) -> Output:
        return call(self.host, f"lock_{function}", self._root, self._folder, *words, deadline=deadline)


def _number(host: Host, word: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,20}", word):
        raise unreadable(host, "lock", word)
    return int(word)


def _seed() -> int:
    """Make the first token of a lock, for a target that has no reliable older token.

    The token is the time of the controller's clock in microseconds, with three random digits at the end. So it is unique, and
    larger than all older tokens. A run with an older token can then start no more commands; see ``fence``. The token fits
    into the 53 bits that JSON represents exactly. It gives nobody the lock: the lock's files on the target decide who holds
    the lock.
    """
    return time.time_ns() // 1_000_000 * 1000 + secrets.randbelow(1000)


def _owner(line: str) -> Owner:
    try:
        return Owner.model_validate_json(line)
    except ValidationError:
        return Owner(run="unknown")


def _state(host: Host, lines: list[str]) -> LockState:
    words = "".join(lines[:1]).split()
    if len(words) != 5:
        raise unreadable(host, "lock", "\n".join(lines))
    token, age, left, since, lease = (_number(host, word) for word in words)
    return LockState(
        owner=_owner(lines[1] if len(lines) > 1 else ""),
        token=token,
        age_s=age,
        since_s=since,
        lease_s=lease,
        left_s=left,
        stop=lines[2] if len(lines) > 2 else "",
    )
