"""Targets without a lab: one SSH server with its own home folder, and sites on it, each behind a connection that the
test can cut. A service is a file in that home folder, and a fault removes the file.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drillbook.cli.access import connect, redactor_for
from drillbook.cli.orchestration import Orchestrator
from drillbook.engine.recovery import Recovery
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, read
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from tests.e2e.wire import Wire
from tests.hosts.servers import AsyncSsh
from tests.needs import need

PATIENCE = 90.0


class Machine(AsyncSsh):
    """Target whose SSH server can be stopped and started; ``environment`` is added to the environment of its commands."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True)
        super().__init__(folder)
        self.environment = environment or {}

    def command(self) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self.environment.items()), *super().command()]

    def reboot(self, site: Site) -> None:
        """Stop the server and the watchers of ``site``, and start it again with the uptime of a rebooted machine."""
        self.stop()
        for path in site.watchers():
            with suppress(ProcessLookupError):
                os.kill(int(path.read_text().split()[0]), signal.SIGKILL)
        Path(self.environment["DRILLBOOK_BOOT_ID"]).write_text(f"{secrets.token_hex(16)}\n")
        self.start()


class Site:
    """Project whose hosts are all this machine, each with its own connection and scratch folder."""

    def __init__(self, root: Path, machine: Machine, *hosts: str, place: Path | None = None) -> None:
        """Create the project. ``place`` holds the scratch folders of the hosts; the default is ``root``."""
        self.root, self.machine, self.hosts = root, machine, hosts or ("far",)
        place, own = place or root, secrets.token_hex(4)
        self.wires = {name: Wire(machine.port) for name in self.hosts}
        self.scratch = {name: place / f"scratch-{name}" for name in self.hosts}
        self.up = {name: machine.folder / f"up-{own}-{name}" for name in self.hosts}
        (root / "drills").mkdir(parents=True)
        for name in self.hosts:
            self.scratch[name].mkdir()
            self.up[name].touch()
        public = machine.host_key.with_suffix(".pub").read_text()
        (root / "known").write_text("".join(f"[127.0.0.1]:{wire.port} {public}" for wire in self.wires.values()))
        self.inventory = inventory.load(self._inventory())
        self.plan = planner.make(spec.load(self._drill()), self.inventory)
        self.project = Project(root)

    def _inventory(self) -> Path:
        lines = ["environment: lab", "hosts:"]
        for name, wire in self.wires.items():
            lines.append(
                f"  {name}: {{address: 127.0.0.1, port: {wire.port}, user: {self.machine.user}, lease: {{boot: none}},"
                f" identity: {self.machine.client_key}, known_hosts: {self.root / 'known'},"
                f" scratch: {self.scratch[name]}}}"
            )
        path = self.root / "inventory" / "lab.yml"
        path.parent.mkdir()
        path.write_text("\n".join([*lines, f"services: {{app: {{kind: process, host: {self.hosts[0]}}}}}", ""]))
        return path

    def _drill(self) -> Path:
        def steps(text: str) -> str:
            return "".join(
                f"  - command.run: {text.replace('UP', str(up))}\n    hosts: {name}\n" for name, up in self.up.items()
            )

        path = self.root / "drills" / "adversity.yml"
        path.write_text(
            "drill: adversity\ntitle: A service goes away and comes back\nservice: app\n"
            "guard: {environments: [lab], lease: 15s}\n"
            f"inject:\n{steps('{argv: [rm, UP], effect: fault, undo: [touch, UP], proof: [test, !, -e, UP]}')}"
            f"restore:\n{steps('{argv: [touch, UP], effect: write}')}verify:\n{steps('{argv: [test, -e, UP], effect: read}')}".replace(
                "test, !,", 'test, "!",'
            )
        )
        return path

    def run(self, observer=lambda event: None):
        """Run the drill. Return folder and view of the run. ``observer`` receives every event before the run continues."""
        return Orchestrator(self.project, self.inventory, observer).run(self.plan)

    def recover(self, folder):
        """Recover a run as `invoke drill.recover` does. Return the residue."""
        return Recovery(folder, lambda made, name: connect(made.inventory, name), redactor_for, lambda event: None).run(
            {"operator": "test", "tool": "test"}
        )

    def wires_do(self, mode: str) -> None:
        for wire in self.wires.values():
            wire.set(mode)

    def leftovers(self) -> list[Path]:
        """Files of locks, leases and runs that are left on the targets."""
        return [path for folder in self.scratch.values() for path in folder.iterdir()]

    def watchers(self) -> list[Path]:
        """Files that contain the pid of a lease's watcher."""
        return [path for folder in self.scratch.values() for path in folder.glob("drillbook/leases/*/watcher")]

    def healthy(self) -> bool:
        return all(up.exists() for up in self.up.values())

    def close(self) -> None:
        for wire in self.wires.values():
            wire.close()


def at(moment, act):
    """Observer that acts once, at ``moment``: a kind of event, and a step or a phase."""
    kind, place = moment
    done = threading.Event()

    def observe(event):
        if event.kind == kind and place in (event.step, event.data.get("phase")) and not done.is_set():
            done.set()
            act()

    observe.done = done
    return observe


def until(held, seconds=PATIENCE):
    """Return True when ``held`` becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if held():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def small_disk(folder: Path, megabytes: int = 2):
    """Mount a separate, small disk at ``folder``, which a test can fill."""
    need("mount")
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "drillbook-test", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Create a file that uses all free space of ``folder``."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


def kinds(folder):
    return [event.kind for event in read(folder / FILE).events]
