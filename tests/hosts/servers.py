"""SSH servers for tests, each a process on a free loopback port, stopped by its pid."""

import contextlib
import getpass
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

from drillbook.lab.layout import USER
from drillbook.sdk.host import Target
from tests.needs import need
from tests.ports import free_port
from tests.processes import entries


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


def new_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run([need("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-f", path], check=True)
    return path


class Server:
    """Server with its own folder for keys, configuration and log."""

    user = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.host_key = new_key(folder / "host_key")
        self.client_key = new_key(folder / "client_key")
        self.known_hosts = folder / "known_hosts"
        self.record(self.host_key)
        self._process: subprocess.Popen | None = None

    def record(self, key: Path) -> None:
        self.known_hosts.write_text(f"# recorded\n[127.0.0.1]:{self.port} {key.with_suffix('.pub').read_text()}")

    def target(self, name: str = "far", **changes) -> Target:
        fields = {
            "name": name,
            "address": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "identity": str(self.client_key),
            "known_hosts": str(self.known_hosts),
        }
        return Target(**fields | changes)

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> "Server":
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop the server and all of its connections."""
        if self._process is not None:
            for pid in [*descendants(self._process.pid, "sshd"), self._process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self._process.wait()
            self._process = None


class OpenSsh(Server):
    """OpenSSH's sshd, run by the user of the tests."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.user = getpass.getuser()
        # Started by sshd, bash reads the account's start-up files, up to 0.1 s a command, unless SHLVL shows a parent shell.
        self.extra = "SetEnv SHLVL=1\n"

    def command(self) -> list[str]:
        sshd = need("sshd")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        keys = self.folder / "authorized_keys"
        keys.write_text(self.client_key.with_suffix(".pub").read_text())
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nAuthorizedKeysFile {keys}\n"
            f"PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n{self.extra}"
        )
        return [sshd, "-D", "-e", "-f", str(config)]


class AsyncSsh(Server):
    """The embedded lab's server."""

    user = USER
    module = "tests.hosts.asyncssh_server"

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            self.module,
            str(self.port),
            str(self.host_key),
            str(self.client_key),
            str(self.folder),
        ]


class Cutting(AsyncSsh):
    """The lab's server; the file ``cut`` in its folder contains the number of channels that end without a status."""

    module = "tests.hosts.cutting_server"

    def cut(self, times: int) -> None:
        (self.folder / "cut").write_text(str(times))


class Relay:
    """Connection to a port that can be cut, and opened again on the same port."""

    def __init__(self, port):
        self.far, self.server, self.pairs = port, None, []
        self.port = free_port()

    def open(self):
        self.server = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def _accept(self, server):
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                pair = (near, socket.create_connection(("127.0.0.1", self.far)))
                self.pairs.append(pair)
                for one, other in (pair, pair[::-1]):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)

    def cut(self):
        self._end(self.server)
        self.drop()

    def drop(self):
        """End all connections; new ones are possible."""
        pairs, self.pairs = self.pairs, []
        for sock in (sock for pair in pairs for sock in pair):
            self._end(sock)

    def _end(self, sock):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def descendants(pid: int, name: str) -> list[int]:
    """Processes below ``pid`` whose program name begins with ``name``, deepest first."""
    parents = {}
    for stat in entries("stat"):
        try:
            head, _, rest = stat.read_text().rpartition(") ")
        except OSError:
            continue
        if head.partition("(")[2].startswith(name):
            parents[int(stat.parent.name)] = int(rest.split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[:0:-1]


def strip_sftp(config):
    config.write_text(re.sub(r"Subsystem sftp.*\n", "", config.read_text()))
    return True
