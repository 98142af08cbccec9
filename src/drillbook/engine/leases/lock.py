"""A lock on a target: one drill a service, with a fencing token, taken over only when its lease has ended."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.engine.leases.script import call, folder_name, one_line, run_id_of, state_of, unreadable
from drillbook.errors import Fenced, Locked
from drillbook.sdk.host import Deadline, Host, Output, once_more
from drillbook.sdk.target_folders import root_of

FENCED = 97
"""Exit status of a fenced command that did not start."""

FENCE_MARK = "drillbook: fenced off, did not start"

FENCE = r"""
off() { echo "drillbook: fenced off, did not start" >&2; exit 97; }
[ -e "$1/$2" ] || off
for entry in "$1"/[0-9]*; do
  number=${entry##*/}
  case $number in *[!0-9]*) continue ;; esac
  [ "$number" -le "$2" ] || off
done
[ -z "$3" ] || [ -e "$3/claim.open" ] || off
shift 3
exec "$@"
"""


class Owner(BaseModel):
    """Who holds a lock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str = Field(description="Id of the run.")
    operator: str = Field(default="", description="Who started it.")
    controller: str = Field(default="", description="The machine that it runs on.")
    drill: str = Field(default="", description="Name of the drill.")

    def __str__(self) -> str:
        return one_line(f"run {self.run} of {self.drill or 'a drill'} by {self.operator or '?'} on {self.controller or '?'}")


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that was taken; ``taken_from`` had it before and did not release it."""

    name: str
    token: int
    taken_from: Owner | None = None


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock as the target sees it; ages are of the target's own uptime."""

    owner: Owner
    token: int
    age_s: int
    since_s: int
    lease_s: int
    left_s: int
    stop: str = ""

    @property
    def held(self) -> bool:
        """False when the lease of the owner has ended."""
        return self.left_s > 0


def fence(argv: Sequence[str], folder: str, token: int, lease: str = "") -> tuple[str, ...]:
    """``argv`` so that it starts only while ``token`` holds the lock at ``folder``; exit 97 otherwise, see was_fenced.

    With ``lease``, the folder of one, it also does not start once the target has begun to revert.
    """
    return ("sh", "-c", FENCE, "sh", folder, str(token), lease, *argv)


def was_fenced(output: Output) -> bool:
    """True when ``output`` is of a fenced command that did not start."""
    return output.exit == FENCED and FENCE_MARK.encode() in output.stderr


class Lock:
    """The lock of one service on its host. Each call is one command on the target."""

    def __init__(self, host: Host, name: str, lease_s: float, title: str = "") -> None:
        """Nothing is contacted yet. ``lease_s`` is how long it holds without a renewal, in whole seconds, rounded up.

        ``title`` names the lock in messages, when that is not its ``name`` on the target.
        """
        self.host, self.name, self.title = host, name, title or name
        self._lease = max(1, -int(-lease_s // 1))
        self._root, self._folder = root_of(host), folder_name(name)

    @property
    def folder(self) -> str:
        """The lock's folder on the target, for ``fence``."""
        return f"{self._root}/locks/{self._folder}"

    def take(self, owner: Owner, *, deadline: Deadline, over: str = "") -> Held:
        """Take the lock.

        ``over`` is a run whose lock may be taken before its lease has ended, because its controller is proven dead or
        is this one. Raises Locked when somebody holds it; NotReady, HostError.
        """
        words = (run_id_of(owner.run), str(self._lease), str(_seed()), over, owner.model_dump_json())
        lines = self._call("take", *words, deadline=deadline).text.split("\n")
        if lines[0] == "locked":
            state = _state(self.host, lines[1:])
            raise Locked(
                f"{self.host.name}: {self.title} is locked by {state.owner} for {state.since_s} s; it holds for another "
                f"{state.left_s} s unless it is renewed",
                hint=f"wait until it has ended, or end it with `invoke drill.stop {one_line(state.owner.run)}`",
            )
        token = _number(self.host, lines[0].removeprefix("taken "))
        return Held(self.name, token, _owner(lines[1]) if len(lines) > 1 else None)

    def renew(self, token: int, *, deadline: Deadline) -> str:
        """Hold the lock for another lease; returns the text of a request to stop, or ''.

        Raises Fenced when it belongs to somebody newer or is gone; HostError.
        """
        words = (self._root, state_of(self.host), "", self._folder, str(token))
        lines = call(self.host, "beat_all", *words, deadline=deadline).text.split("\n")
        if f"fenced {self._folder}" in lines:
            raise Fenced(
                f"{self.host.name}: the lock on {self.title} is not ours any more: it was not renewed in time and "
                "somebody else took it over",
                hint="look with `invoke drill.list` who runs there now",
            )
        return next((line.removeprefix("stop ") for line in lines if line.startswith("stop ")), "")

    def release(self, token: int, *, deadline: Deadline) -> None:
        """Give the lock back; nothing happens when it is gone or belongs to somebody newer. Raises HostError."""
        self._call("release", str(token), deadline=deadline)

    def request_stop(self, who: str, *, deadline: Deadline) -> Owner | None:
        """Leave a request to stop, which the holder gets at its next renewal; returns the holder. Raises HostError."""
        text = self._call("stop", one_line(who), deadline=deadline).text
        return _owner(text) if text else None

    def state(self, *, deadline: Deadline) -> LockState | None:
        """Who holds it, None when nobody does. Raises HostError."""
        text = once_more(lambda: self._call("state", deadline=deadline)).text
        return _state(self.host, text.split("\n")) if text else None

    def _call(self, function: str, *words: str, deadline: Deadline) -> Output:
        return call(self.host, f"lock_{function}", self._root, self._folder, *words, deadline=deadline)


def _number(host: Host, word: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,20}", word):
        raise unreadable(host, "lock", word)
    return int(word)


def _seed() -> int:
    """The first token where no entry is left that could be counted on: larger than all before, and never the same twice.

    Microseconds of the controller's clock, the last thousand by chance. It names, it decides nothing: what holds a lock
    is decided among the entries that are there. It fits into the 53 bits that JSON can carry.
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
