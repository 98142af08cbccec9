"""Hosts for the measurements: a separate sshd for each, on a loopback port, with a folder in place of its disk."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.servers import descendants, free_port, new_key
from tests.needs import need


@dataclass(frozen=True)
class Fleet:
    """Hosts by name with their ports; commands find the folder of their host in the variable BENCH_DISK."""

    ports: dict[str, int]
    user: str
    key: Path
    known_hosts: Path
    folder: Path

    @property
    def names(self) -> list[str]:
        return list(self.ports)

    def disk(self, name: str) -> Path:
        return self.folder / "disks" / name

    def options(self) -> list[str]:
        """Options of ssh without the user's configuration, and without the port."""
        return [
            *("-F", "none", "-i", str(self.key), "-l", self.user),
            *("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "BatchMode=yes"),
        ]


@contextlib.contextmanager
def fleet(count: int, folder: Path, delay_s: float = 0.0) -> Iterator[Fleet]:
    """Start a server for each of ``count`` hosts, during the `with` block; data takes ``delay_s`` each way."""
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    new_key(folder / "host_key")
    client = new_key(folder / "client_key")
    found = Fleet({}, getpass.getuser(), client, folder / "known_hosts", folder)
    with contextlib.ExitStack() as stack:
        far = {}
        for number in range(count):
            name = f"h{number:03}"
            far[name] = free_port()
            stack.callback(_ended, _server(found, name, far[name]))
        found.ports.update(far if not delay_s else {name: free_port() for name in far})
        if delay_s:
            ways = [f"{near}:{far[name]}" for name, near in found.ports.items()]
            stack.callback(_ended, subprocess.Popen([sys.executable, "-m", "bench.drill.relay", str(delay_s), *ways]))
        key = (folder / "host_key.pub").read_text()
        found.known_hosts.write_text("".join(f"[127.0.0.1]:{port} {key}" for port in found.ports.values()))
        for port in (*far.values(), *found.ports.values()):
            _listens(port)
        yield found


def _server(fleet: Fleet, name: str, port: int) -> subprocess.Popen[bytes]:
    disk = fleet.disk(name)
    disk.mkdir(parents=True)
    config = fleet.folder / f"{name}.conf"
    keys = fleet.folder / "client_key.pub"
    # Started by sshd, bash reads the account's start-up files, up to 0.1 s a command, unless SHLVL shows a parent shell.
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {fleet.folder}/host_key\nAuthorizedKeysFile {keys}\n"
        f"PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nUseDNS no\nMaxStartups 100\n"
        f"KbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
        f"SetEnv SHLVL=1 BENCH_DISK={disk}\n"
    )
    with (fleet.folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [need("sshd"), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _ended(process: subprocess.Popen[bytes]) -> None:
    for pid in (*descendants(process.pid, "sshd"), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _listens(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
