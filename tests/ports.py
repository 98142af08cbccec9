"""Free ports on loopback, each used by one test only, whatever tests run at the same time.

The kernel assigns ports of its own range (``net.ipv4.ip_local_port_range`` in ip(7), 32768 to 60999 by default) to
outgoing connections. A free port of that range may be taken before a server binds it. Therefore the ports here are
from a lower range, and a lock that ends with the process reserves each of them against other test processes.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

from drillbook.lab.layout import FIRST_PORT, weed_sockets

LOWEST = 11_000
"""Labs use ports from ``FIRST_PORT`` on; the ports between these two belong to tests."""
_LOCKS = Path(tempfile.gettempdir(), f"drillbook-test-ports-{os.geteuid()}")
_mine: set[int] = set()


def free_port() -> int:
    """Return a free port, reserved for this process until it ends."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return free ports, reserved for this process until it ends.

    ``count``: the number of ports. Raises AssertionError when fewer ports are free.
    """
    found: list[int] = []
    for port in random.sample(range(LOWEST, FIRST_PORT), FIRST_PORT - LOWEST):
        if len(found) == count:
            break
        if _reserved(port) and _unused(port):
            found.append(port)
    assert len(found) == count, f"{count} free ports are needed, {len(found)} were found from {LOWEST} to {FIRST_PORT}"
    return found


@cache
def _locks() -> int:
    """Open the file with the locks. It stays open, because closing it would release every lock of the process."""
    return os.open(_LOCKS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _reserved(port: int) -> bool:
    """Lock the byte of this port; the lock belongs to the process and ends with it (fcntl(2), advisory record locking)."""
    if port in _mine:
        return False
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _mine.add(port)
    return True


def _unused(port: int) -> bool:
    if weed_sockets([port]):
        return False
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
