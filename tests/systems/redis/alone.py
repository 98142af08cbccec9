"""Real Valkey server on a Unix socket, for tests that need its files; and a client for a server in a sandbox."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any

import redis

from tests.systems.redis.unit import program


class Alone:
    """Server that runs during the block, with settings as on its command line."""

    def __init__(self, folder: Path, server: str = "", **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        given = {
            "port": "0",
            "unixsocket": str(folder / "s"),
            "dir": str(self.data),
            "save": "",
            "logfile": str(folder / "log"),
            "databases": "32",
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        self.argv = [server or program(), *(word for name, value in given.items() for word in (f"--{name}", value))]

    def __enter__(self) -> Alone:
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(redis.RedisError):
                if self.client().info("persistence")["loading"] == 0:
                    return self
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.child.terminate()
        self.child.wait()

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.folder / "s"), db=database, socket_timeout=5)

    def saved(self) -> bytes:
        """RDB that the server saves now."""
        self.client().save()
        return (self.data / "dump.rdb").read_bytes()


@contextlib.contextmanager
def forward(place: Any, box: str):
    """A client of the server in the sandbox ``box``."""
    service = place.inventory.services[box]
    password = service.password.reveal() if service.password else None
    client = redis.Redis(unix_socket_path=service.socket, password=password, username=service.user or None, socket_timeout=5)
    try:
        yield client
    finally:
        client.close()


def alive(pid: int) -> bool:
    """Return True for a running process; an ended process may be listed until its parent reads its status."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False
