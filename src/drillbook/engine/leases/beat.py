"""Commands that renew or list all locks and leases on a host in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drillbook.engine.leases.script import call, folder_name, plain_name, run_id_of, state_of
from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.target_folders import root_of


@dataclass(frozen=True, slots=True)
class Beat:
    """Answer of a host when a run renews its locks and its lease there."""

    stop: str
    """Text of a request to stop the run. It is empty when nobody requested a stop."""
    fenced: tuple[str, ...]
    """Names of locks that another run has taken over."""
    lapsed: bool
    """True in four cases: the target has begun its undo, it has completed its undo, it was rebooted, or the lease is
    gone.
    """


@dataclass(frozen=True, slots=True)
class Listed:
    """Names of the locks of all runs on a host, and ids of the runs that have a lease there."""

    locks: tuple[str, ...]
    leases: tuple[str, ...]


def beat(host: Host, locks: Mapping[str, int], lease: str | None, *, deadline: Deadline) -> Beat:
    """Renew several locks and one lease in one command. Raises HostError when the command fails.

    ``locks`` maps the name of each lock to its token. ``lease`` is the id of the run that has the lease.
    """
    names = [word for name, token in locks.items() for word in (folder_name(name), str(token))]
    run_id = run_id_of(lease) if lease else ""
    lines = call(host, "beat_all", root_of(host), state_of(host), run_id, *names, deadline=deadline).text.split("\n")
    stop = next((line.removeprefix("stop ") for line in lines if line.startswith("stop ")), "")
    fenced = tuple(plain_name(line.removeprefix("fenced ")) for line in lines if line.startswith("fenced "))
    return Beat(stop=stop, fenced=fenced, lapsed="lapsed" in lines)


def listed(host: Host, *, deadline: Deadline) -> Listed:
    """Return the names of all locks on ``host``, and the run ids of all leases there.

    Raises HostError when the host cannot be used.
    """
    lines = once_more(lambda: call(host, "lock_list", root_of(host), state_of(host), deadline=deadline)).text.split("\n")
    return Listed(
        locks=tuple(plain_name(line[5:]) for line in lines if line.startswith("lock ")),
        leases=tuple(line[6:] for line in lines if line.startswith("lease ")),
    )
