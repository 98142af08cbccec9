"""Client of the supervisor on a lab's host. It reads the state of the host's programs, and starts programs."""

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
    """Transport of XML-RPC over a Unix socket."""

    def __init__(self, path: Path) -> None:
        """Use the socket at ``path``."""
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """Create a connection over the unix socket. Raises OSError when nothing listens at the socket."""
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
    """Return the pid of each program on the host with the home folder ``home``. The pid of a stopped program is 0.

    Returns None if the supervisor does not answer.
    """
    try:
        with _asked(home) as supervisor:
            return {entry["name"]: int(entry["pid"]) for entry in supervisor.getAllProcessInfo()}
    except FAILED:
        return None


def start(home: Path, names: Iterable[str]) -> None:
    """Start programs without waiting for them. When a program fails to start, no error is raised, but the function ``pids``
    returns 0 as its pid.
    """
    for name in names:
        with contextlib.suppress(*FAILED), _asked(home) as supervisor:
            supervisor.startProcess(name, False)
