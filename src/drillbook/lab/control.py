"""Starts and stops a lab, and reads its status."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab import identity, monitoring, processes, programs, serve, supervision
from drillbook.lab.folder import begin, checked, empty, failure, locked
from drillbook.lab.layout import ADDRESS, BLOCK, HOSTS, PORTS, Lab, default_folder, lookup, weed_sockets
from drillbook.sdk.host import printable

__all__ = ["Component", "Lab", "LabStatus", "default_folder", "down", "lookup", "status", "up"]

START_WITHIN = 90.0


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a lab. ``port`` is None when it has no port, and ``pid`` is None when it has no process."""

    name: str
    host: str
    up: bool
    port: int | None
    pid: int | None
    standby: bool = False
    """True for a program that is normally off, until a drill starts it."""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """Status of a lab's daemon and of each component."""

    folder: Path
    running: bool
    standing: bool
    """True when the lab's machines are up. Programs on the machines may be down."""
    healthy: bool
    identity: str
    pid: int | None
    components: tuple[Component, ...]


def up(folder: Path, *, progress: Callable[[str], None] = lambda line: None, as_it_is: bool = False) -> Lab:
    """Make sure that a healthy lab runs in ``folder``, and return this lab. If none runs there, start a new lab. Raises
    LabError when the lab cannot be started.

    When ``as_it_is`` is true, a lab counts as healthy when its machines run, even if a service is down. A drill may have
    stopped this service.
    """
    folder = checked(folder)
    with locked(folder):
        lab = Lab.read(folder)
        current = status(folder) if lab is not None and lab.ready else None
        if lab is not None and current is not None and (current.healthy or (as_it_is and current.standing)):
            progress(f"the lab in {folder} already runs")
            return lab
        if current is not None and current.standing and (held := _held(folder)):
            raise LabError(
                f"the lab in {folder} is not healthy, but a run (in progress or dead) still has locks or leases there: {held}",
                hint="wait until the run has ended, or recover it: invoke drill.recover; or remove the lab: invoke lab.down",
            )
        if lab is not None:
            progress("removing the existing lab first, because it is not healthy")
            _end(folder)
        _prepare(folder)
        try:
            return _start(folder, progress)
        except BaseException:
            with contextlib.suppress(LabError):
                _end(folder)
            raise


def down(folder: Path) -> None:
    """Kill every process of the lab, and remove its folder. If there is no lab, do nothing.

    Raises LabError when the lab cannot be removed.
    """
    folder = checked(folder)
    if not folder.exists():
        return
    with locked(folder):
        _end(folder)
        folder.rmdir()


def status(folder: Path) -> LabStatus:
    """Read the status of the lab from every component."""
    folder = folder.resolve()
    lab = Lab.read(folder)
    if lab is None:
        return LabStatus(folder, running=False, standing=False, healthy=False, identity="", pid=None, components=())
    running = processes.alive(lab.pid, lab.started)
    components = tuple(_ssh(lab)) + tuple(_programs(lab))
    expected = [
        component.up
        for component in components
        if not component.standby and (component.host != "db-2" or component.name == "ssh")
    ]
    standing = (
        running and lab.ready and all(component.up for component in components if component.name in ("ssh", "supervisor"))
    )
    healthy = standing and all(expected) and serve.api_is_healthy(lab)
    return LabStatus(folder, running, standing, healthy, lab.identity, lab.pid if running else None, components)


def _held(folder: Path) -> str:
    """Return the names of the locks and leases on the lab's machines, as one text. Runs of drills created these files.
    A run may still be in progress, or its controller may have died.
    """
    names = {
        path.name
        for host in HOSTS
        for kind in ("locks", "leases")
        for path in (folder / host / "tmp" / "drillbook" / kind).glob("*")
    }
    return ", ".join(sorted(names))


def _ssh(lab: Lab) -> Iterator[Component]:
    for host in HOSTS:
        port = lab.port(f"ssh.{host}")
        yield Component("ssh", host, _accepts(port), port, lab.pid or None)


def _programs(lab: Lab) -> Iterator[Component]:
    pids = processes.recorded(lab.folder)
    for host in HOSTS:
        known = supervision.pids(lab.home(host))
        yield Component("supervisor", host, known is not None, None, pids.get(f"supervisord-{host}"))
        for program in programs.of(lab, host):
            name = f"postgres.{host}" if program.name == "postgresql" else program.name
            port = lab.port(name) if name in PORTS else None
            pid = (known or {}).get(program.name, 0)
            serving = pid > 0 and (port is None or _accepts(port))
            yield Component(program.name, host, serving, port, pid or None, program.standby)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _prepare(folder: Path) -> None:
    lab = replace(Lab.free(folder), monitored=monitoring.servers(programs.search_path()) is not None)
    begin(folder)
    (folder / "run").mkdir(mode=0o700)
    _remove_sockets(lab)
    lab.write()


def _start(folder: Path, progress: Callable[[str], None]) -> Lab:
    mode = os.environ.get(identity.CHOICE, "auto")
    _launch(folder, mode, "detach", "drillbook.lab.daemon", str(folder))
    until = time.monotonic() + START_WITHIN
    shown = 0
    while time.monotonic() < until:
        lines = _lines(folder / "progress.log")
        for line in lines[shown:]:
            progress(line)
        shown = len(lines)
        lab = Lab.read(folder)
        if lab is not None and lab.ready:
            return lab
        if lab is not None and lab.pid and not processes.alive(lab.pid, lab.started):
            if (failed := failure(folder)) is not None:
                raise LabError(f"the lab could not be started: {failed.message}", hint=failed.hint)
            raise LabError("the lab could not be started: " + "\n".join(_lines(folder / "daemon.log")[-12:]))
        time.sleep(0.03)
    raise LabError(f"the lab did not start within {START_WITHIN:.0f} s: " + "\n".join(_lines(folder / "daemon.log")[-12:]))


def _launch(folder: Path, mode: str, how: str, *module: str) -> None:
    environment = programs.environment(folder) | programs.source_path()
    argv = [sys.executable, "-P", "-m", "drillbook.lab.identity", mode, str(folder), how, *module]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
        start_new_session=True,
        check=False,
        timeout=30,
    )
    if done.returncode != 0:
        raise LabError(f"the lab could not be started: {printable(done.stderr.strip(), limit=800)}")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _end(folder: Path) -> None:
    """Kill every process of the lab and remove every file in its folder, but keep the folder itself."""
    lab = Lab.read(folder)
    if lab is not None and processes.alive(lab.pid, lab.started):
        os.kill(lab.pid, signal.SIGTERM)
        until = time.monotonic() + 5
        while processes.alive(lab.pid, lab.started) and time.monotonic() < until:
            time.sleep(0.01)
    if lab is not None and lab.identity == "ambient" and os.geteuid() == 0:
        # Without CAP_SYS_PTRACE, as in a container, even root cannot read the environment of the lab's processes.
        with contextlib.suppress(LabError, subprocess.TimeoutExpired):
            _launch(folder, "ambient", "run", "drillbook.lab.processes", str(folder))
    left = processes.sweep(folder)
    if left:
        raise LabError(f"processes of the lab could not be killed: {sorted(left)}")
    empty(folder)
    if lab is not None:
        _remove_sockets(lab)


def _remove_sockets(lab: Lab) -> None:
    """Remove SeaweedFS's sockets in /tmp. An old socket would prevent the next start of SeaweedFS."""
    for path in weed_sockets(range(lab.base, lab.base + BLOCK)):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
