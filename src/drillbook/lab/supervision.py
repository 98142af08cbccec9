"""Asking the supervisor of a lab's host what runs, and letting it start something."""

from __future__ import annotations

import contextlib
import http.client
import socket
import xmlrpc.client
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ANSWER_S = 2
FAILED = (OSError, xmlrpc.client.Error, http.client.HTTPException)


class _Socket(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: Path) -> None:
        """Talk to whoever listens at ``path``."""
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A connection whose socket is the unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=ANSWER_S)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(ANSWER_S)
        try:
            connection.sock.connect(str(self._path))
        except OSError:
            connection.sock.close()
            raise
        self._connection = (host, connection)
        return connection


@contextlib.contextmanager
def _asked(home: Path) -> Iterator[Any]:
    with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Socket(home / "supervisor.sock")) as proxy:
        yield proxy.supervisor


def pids(home: Path) -> dict[str, int] | None:
    """The pid of each program of the host at ``home``, 0 for one that does not run; None when nobody answers."""
    try:
        with _asked(home) as supervisor:
            return {entry["name"]: int(entry["pid"]) for entry in supervisor.getAllProcessInfo()}
    except FAILED:
        return None


def start(home: Path, names: Iterable[str]) -> None:
    """Start programs without waiting until they are up; one that runs already, or cannot start, shows in ``pids``."""
    for name in names:
        with contextlib.suppress(*FAILED), _asked(home) as supervisor:
            supervisor.startProcess(name, False)
