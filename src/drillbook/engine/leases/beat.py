"""One command that renews all locks and the lease of a host, and one that lists what a host holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drillbook.engine.leases.script import call, folder_name, plain_name, run_id_of, state_of
from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.target_folders import root_of


@dataclass(frozen=True, slots=True)
class Beat:
    """What a renewal found."""

    stop: str
    """The text of a request to stop, '' when there is none."""
    fenced: tuple[str, ...]
    """Locks that are not ours any more."""
    lapsed: bool
    """The target reverts by itself, or the lease is gone."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a host holds, whoever left it."""

    locks: tuple[str, ...]
    leases: tuple[str, ...]


def beat(host: Host, locks: Mapping[str, int], lease: str | None, *, deadline: Deadline) -> Beat:
    """Renew ``locks`` (name and token) and the lease of the run ``lease`` in one command. Raises HostError."""
    names = [word for name, token in locks.items() for word in (folder_name(name), str(token))]
    run_id = run_id_of(lease) if lease else ""
    lines = call(host, "beat_all", root_of(host), state_of(host), run_id, *names, deadline=deadline).text.split("\n")
    stop = next((line.removeprefix("stop ") for line in lines if line.startswith("stop ")), "")
    fenced = tuple(plain_name(line.removeprefix("fenced ")) for line in lines if line.startswith("fenced "))
    return Beat(stop=stop, fenced=fenced, lapsed="lapsed" in lines)


def listed(host: Host, *, deadline: Deadline) -> Listed:
    """The names of all locks and the run ids of all leases on ``host``. Raises HostError."""
    lines = once_more(lambda: call(host, "lock_list", root_of(host), state_of(host), deadline=deadline)).text.split("\n")
    return Listed(
        locks=tuple(plain_name(line[5:]) for line in lines if line.startswith("lock ")),
        leases=tuple(line[6:] for line in lines if line.startswith("lease ")),
    )
