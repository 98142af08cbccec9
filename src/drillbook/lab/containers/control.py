"""Starts and stops a Docker lab, and reads its status."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab import seed, serve
from drillbook.lab.containers import engine, images, settings
from drillbook.lab.containers.engine import Progress, docker
from drillbook.lab.containers.layout import MACHINES, ON, SERVICES, DockerLab
from drillbook.lab.control import Component, LabStatus
from drillbook.lab.folder import begin, checked, empty, locked
from drillbook.lab.layout import ADDRESS

UP_WITHIN = 120.0
ANSWERS_WITHIN = 60.0
SETTLES_WITHIN = 5.0
PORT_OF = {
    "api": "api",
    "cache": "redis",
    "s3": "s3",
    "vectors": "vectors",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
}
"""Components that have a port. The key of each entry is the component, and the value is the name of its port on the
controller.
"""
_HELD = "ls /var/tmp/drillbook/locks /var/tmp/drillbook/leases /var/lib/drillbook/leases 2>/dev/null | grep -v :$"


def up(folder: Path, files: Path, *, progress: Progress = lambda line: None, as_it_is: bool = False) -> DockerLab:
    """Make sure that a healthy lab runs in ``folder``, and return this lab. If none runs there, start a new lab from
    ``files``. Raises LabError when the lab cannot be started.

    When ``as_it_is`` is true, a lab counts as healthy when its machines run, even if a service is down. A drill may have
    stopped this service.
    """
    folder = checked(folder)
    _have(files)
    engine.need()
    with locked(folder):
        lab = DockerLab.read(folder)
        current = _settled(folder) if lab is not None and lab.ready else None
        if lab is not None and current is not None and (current.healthy or (as_it_is and current.standing)):
            progress(f"the lab in {folder} already runs")
            return lab
        if lab is not None and current is not None and current.standing and (held := _held(lab)):
            raise LabError(
                f"the lab in {folder} is not healthy, but a run (in progress or dead) still has locks or leases there: {held}",
                hint=(
                    "wait until the run has ended, or recover it: invoke drill.recover; or remove the lab: invoke "
                    "lab.down --kind docker"
                ),
            )
        if lab is not None:
            progress("removing the existing lab first, because it is not healthy")
            _end(folder)
        tag = images.ready(files, progress)
        try:
            return _start(folder, files, tag, progress)
        except BaseException:
            with contextlib.suppress(LabError):
                _end(folder)
            raise


def build(files: Path, *, progress: Progress = lambda line: None) -> str:
    """Build the images that are missing, without starting the lab. Return the tag of the images.

    Raises LabError when the engine cannot be used, or when a build fails.
    """
    _have(files)
    engine.need()
    return images.ready(files, progress)


def down(folder: Path, *, with_images: bool = False) -> None:
    """Remove the lab's containers, networks, volumes and folder. When ``with_images`` is true, also remove its images.

    Raises LabError when the engine fails to remove something.
    """
    folder = checked(folder)
    if with_images or folder.exists():
        engine.need()
    if folder.exists():
        with locked(folder):
            _end(folder)
            folder.rmdir()
    if with_images:
        images.remove()


def status(folder: Path) -> LabStatus:
    """Read the status of the lab from the Docker engine and from every port."""
    folder = folder.resolve()
    lab = DockerLab.read(folder)
    if lab is None:
        return LabStatus(folder, running=False, standing=False, healthy=False, identity="", pid=None, components=())
    containers = engine.containers(lab.project)
    components = tuple(_components(lab, containers))
    machines = [component.up for component in components if component.name in ("machine", "ssh")]
    standing = lab.ready and all(machines)
    healthy = standing and all(component.up for component in components) and serve.api_is_healthy(lab)
    return LabStatus(folder, any(machines), standing, healthy, "docker", None, components)


def _settled(folder: Path) -> LabStatus:
    """Return the status of the lab.

    Wait up to 5 s until the lab is healthy, because services may still start after a drill.
    """
    until = time.monotonic() + SETTLES_WITHIN
    while True:
        current = status(folder)
        if current.healthy or not current.standing or time.monotonic() > until:
            return current
        time.sleep(0.2)


def _components(lab: DockerLab, containers: dict[str, dict[str, object]]) -> list[Component]:
    parts = []
    for service in SERVICES:
        state = containers.get(service, {}).get("State")
        running = isinstance(state, dict) and state.get("Status") == "running"
        pid = int(state["Pid"]) if isinstance(state, dict) and running else None
        if service in MACHINES:
            port = lab.port(f"ssh.{MACHINES[service]}")
            parts.append(Component("machine", service, running, None, pid))
            parts.append(Component("ssh", service, _greets(port), port, None))
        else:
            number = lab.port(PORT_OF[service]) if service in PORT_OF else None
            answers = number is None or _accepts(number)
            parts.append(Component(service, ON.get(service, service), running and answers, number, pid))
    port = lab.port("postgres.db-1")
    parts.append(Component("postgresql", "db", _answers_as_postgres(port), port, None))
    return parts


def _have(files: Path) -> None:
    if missing := [name for name in ("compose.yml", "Dockerfile", "etc") if not (files / name).exists()]:
        raise LabError(
            f"the files of the Docker lab are missing in {files}: {', '.join(missing)}",
            hint="copy the folder lab/ of Drillbook's repository into your project",
        )


def _held(lab: DockerLab) -> str:
    """Return the names of the files of locks and leases on the lab's machines, as one text. A run that is in progress has
    such files. A run whose controller died may have left them.
    """
    said = [docker("exec", lab.container(machine), "sh", "-c", _HELD).stdout.split() for machine in MACHINES]
    return ", ".join(sorted({name for names in said for name in names}))


def _start(folder: Path, files: Path, tag: str, progress: Progress) -> DockerLab:
    started = time.monotonic()
    lab = DockerLab.free(folder)
    begin(folder)
    lab.write()
    settings.write(lab, files, tag)
    engine.remove(lab.project)  # removes containers of an earlier lab whose folder was deleted by hand
    engine.composed(folder, files, lab.project, "up", "--detach", "--no-build", "--quiet-pull", within=UP_WITHIN)
    progress(f"{len(SERVICES)} containers run")
    with ThreadPoolExecutor() as pool:
        for task in [pool.submit(part, lab) for part in (seed.fill_database, seed.fill_store, seed.fill_cache)]:
            task.result()
    progress("the documents, originals and cache entries are stored")
    until = time.monotonic() + ANSWERS_WITHIN
    while not (serve.api_is_healthy(lab) and all(component.up for component in status_of(lab))):
        if time.monotonic() > until:
            missing = ", ".join(f"{component.name} on {component.host}" for component in status_of(lab) if not component.up)
            raise LabError(
                f"the lab is not healthy after {ANSWERS_WITHIN:.0f} s: {missing or 'the API is not healthy'}",
                hint=f"see `docker ps -a --filter label={engine.LABEL}={lab.project}`",
            )
        time.sleep(0.2)
    lab = dataclasses.replace(lab, ready=True)
    lab.write()
    progress(f"healthy after {time.monotonic() - started:.1f} s")
    return lab


def status_of(lab: DockerLab) -> list[Component]:
    """Read the status of every component of ``lab``."""
    return _components(lab, engine.containers(lab.project))


def _end(folder: Path) -> None:
    engine.remove(DockerLab(folder, 0).project)
    empty(folder)


def _greets(port: int) -> bool:
    """Return True when an SSH server answers on ``port``.

    A connection alone proves nothing, because the engine accepts connections to published ports even if no server runs
    behind them.
    """
    return _first_bytes(port, b"") == b"SSH-"


def _answers_as_postgres(port: int) -> bool:
    return _first_bytes(port, b"\x00\x00\x00\x08\x04\xd2\x16\x2f")[:1] in (
        b"N",
        b"S",
    )  # SSLRequest: any PostgreSQL server replies


def _first_bytes(port: int, greeting: bytes) -> bytes:
    try:
        with socket.create_connection((ADDRESS, port), timeout=2) as sock:
            sock.sendall(greeting)
            return sock.recv(4)
    except OSError:
        return b""


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), timeout=2).close()
    except OSError:
        return False
    return True
