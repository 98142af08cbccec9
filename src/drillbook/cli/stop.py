"""Stops runs from any machine. It writes a stop request next to each lock that a run holds on a target."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from drillbook.cli import access, run_identity
from drillbook.cli.console import console
from drillbook.engine import stop_requests
from drillbook.engine.leases import Lock, LockState
from drillbook.engine.open_hosts import Hosts
from drillbook.errors import DrillbookError, UnknownName, message_of
from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.inventory.inventory import CONTROLLER, Inventory
from drillbook.journal.journal import alive
from drillbook.language.lists import listed
from drillbook.language.strict import did_you_mean
from drillbook.project.project import Project
from drillbook.report import folders
from drillbook.report.figures import count, one_line
from drillbook.report.terminal.prose import Prose
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.identity import HOST, LockName

ANSWER_S = 10.0
POLL_S = 0.25
LEASE_S = 30.0
MOST_NAMED = 5
"""Maximum number of host names in the line that is printed before hosts are asked for locks."""
ENDING_S = 120.0
"""Maximum time, in seconds, to wait until a run that was asked to stop has undone its changes."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that a run holds on a target. ``name``: description of the lock for messages, with the names of the
    services that the lock protects.
    """

    name: str
    host: str
    lock: Lock
    state: LockState


def held(
    inventory: Inventory, open_host: Callable[[str], Host], runs: Collection[str] = ()
) -> tuple[list[Held], dict[str, str]]:
    """Return the locks that ``runs`` hold on targets of the inventory, and an error message for each host that did not
    answer. When ``runs`` is empty, the locks of all runs are returned.
    """
    locks: list[Held] = []
    silent: dict[str, str] = {}
    for name, host, title in _locks(inventory):
        if host == CONTROLLER or host in silent:
            continue
        try:
            lock = Lock(open_host(host), name, LEASE_S, title)
            state = lock.state(deadline=Deadline.after(ANSWER_S))
        except (DrillbookError, TimeoutError) as error:
            silent[host] = message_of(error)
            continue
        if state is not None and state.held and (not runs or state.owner.run in runs):
            locks.append(Held(title, host, lock, state))
    return locks, silent


def _locks(inventory: Inventory) -> list[tuple[str, str, str]]:
    """Return every lock that a run on this inventory could hold, sorted by host. Each lock has its name, its host, and a
    title for messages.
    """
    services: dict[tuple[str, str], list[str]] = {
        (service.host, inventory.thing(name).name): [] for name, service in inventory.services.items()
    }
    for name, service in inventory.services.items():
        services[service.host, inventory.thing(name).name].append(name)
    locks = [LockName(name, host, tuple(of)) for (host, name), of in services.items()]
    locks += [LockName(HOST, name) for name in inventory.hosts]
    return [(lock.name, lock.host, lock.title) for lock in sorted(locks, key=lambda lock: (lock.host, lock.name))]


def request(locks: list[Held], who: str) -> None:
    """Ask the runs that hold ``locks`` to stop. Raises HostError when a host cannot be reached."""
    for lock in locks:
        lock.lock.request_stop(who, deadline=Deadline.after(ANSWER_S))


def await_release(locks: list[Held], seconds: float) -> list[Held]:
    """Wait until the runs have released ``locks``, but at most ``seconds``. Returns the locks that are still held."""
    until = time.monotonic() + seconds
    pause = Deadline.after(seconds + 1)
    while True:
        left = [lock for lock in locks if _holds(lock)]
        if not left or time.monotonic() >= until:
            return left
        pause.wait(POLL_S)


def _holds(lock: Held) -> bool:
    state = lock.lock.state(deadline=Deadline.after(ANSWER_S))
    return state is not None and state.held and state.token == lock.state.token


def stop(project: Project, run: str, inventory_name: str) -> int:
    """Stop ``run``, and wait until it has ended. If ``run`` is empty, stop every run of this project, and every run
    that holds a lock on a target of the inventory.

    Returns 0 when all stopped runs have ended, and 5 when at least one of them has not ended. Returns 4 when no run was
    found, but a target did not answer. Raises UnknownName when ``run`` is neither in the project nor on the targets.
    """
    out = console()
    who = run_identity.operator()
    going = [folder for folder in project.runs() if run in ("", folder.name, folder.parent.name) and alive(folder)]
    inventory = project.inventory(inventory_name)
    for folder in going:
        (folder / stop_requests.FILE).write_text(who + "\n", encoding="utf-8")
    hosts = Hosts(lambda name: access.connect(inventory, name))
    _tell_wait(inventory, out)
    try:
        locks, silent = held(inventory, hosts.get, {run, *(folder.name for folder in going)} if run else ())
        for host, why in silent.items():
            out.print(Text(f"? {host}: {why}", style="yellow"))
        request(locks, who)
        for name in sorted({*(folder.name for folder in going), *(lock.state.owner.run for lock in locks)}):
            out.print(Text(f"asked {name} to stop; the run first undoes its changes"))
        left = await_release(locks, ENDING_S)
        alive_yet = _await_end(going, ENDING_S)
    finally:
        hosts.close()
    for folder in alive_yet:
        out.print(Text(f"✗ {folder.name} is still running", style="bold red"))
    for holding in left:
        out.print(Text(f"✗ {holding.state.owner.run} still holds {holding.name} on {holding.host}", style="bold red"))
    if not going and not locks:
        return _nothing(project, run, out, silent=bool(silent))
    if not left and not alive_yet:
        out.print(Text("✓ stopped", style="green"))
    return Exit.RESIDUE if left or alive_yet else Exit.OK


def _tell_wait(inventory: Inventory, out: Console) -> None:
    """Print on a terminal which hosts are asked for locks, because a host that is down answers late."""
    asked = sorted({host for _, host, _ in _locks(inventory)} - {CONTROLLER})
    if asked and out.is_terminal:
        named = one_line(listed(asked, MOST_NAMED))
        out.print(Prose(Text(f"asking {count(len(asked), 'host')} which runs hold locks: {named}", style="dim")))


def _nothing(project: Project, run: str, out: Console, *, silent: bool) -> int:
    """Print the reason why no run was stopped, and return the exit status for this reason. Raises UnknownName when
    ``run`` is unknown.
    """
    here = {folder.name: folder for folder in project.runs()}
    known = here | {folder.parent.name: folder.parent for folder in here.values() if folder.parent != project.reports}
    if run in known:
        return _over(run, [folder for folder in here.values() if run in (folder.name, folder.parent.name)], known[run], out)
    if run and not silent:
        going = [name for name, folder in here.items() if alive(folder)]
        raise UnknownName(
            f"there is no run {run!r}, neither in {project.reports} nor with a lock on a target",
            hint=did_you_mean(run, going or known)
            + (f"runs in progress: {', '.join(going)}" if going else "no run of this project is in progress"),
        )
    out.print(Text("no run was found" + (" on the targets that answered" if silent else "")))
    return Exit.REFUSED if silent else Exit.OK


def _over(run: str, inside: Sequence[Path], folder: Path, out: Console) -> int:
    """Print the reason why ``run`` is not running: it has ended already, or its controller has died. In the second
    case, also print the command that recovers it. Returns the exit status. ``inside``: folder of the run,
    or folders of all its runs if ``run`` is a suite.
    """
    dead = [path.name for path in inside if folders.last_word(path) is None]
    for name in dead:
        out.print(Text(f"✗ {name} is not running: its controller died", style="bold red"))
        out.print(Text(f"  undo its changes: {program()} drill.recover {name}"), soft_wrap=True)
    if dead:
        return Exit.RESIDUE
    verdict = folders.verdict(folder)
    out.print(Text(f"{run} has ended already{f': {verdict}' if verdict else ''}; nothing was stopped"), soft_wrap=True)
    return Exit.OK


def _await_end(folders: Sequence[Path], seconds: float) -> list[Path]:
    """Wait until the runs in ``folders`` have ended, but at most ``seconds``. Returns the folders of the runs that have
    not ended.
    """
    pause = Deadline.after(seconds + 1)
    until = time.monotonic() + seconds
    while (left := [folder for folder in folders if alive(folder)]) and time.monotonic() < until:
        pause.wait(POLL_S)
    return left
