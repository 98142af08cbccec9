"""Hosts that others are reached through: one connection each, shared, and ended last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drillbook.hosts.ssh.host import SshHost


class Gateway:
    """A shared host to jump through, and the hosts behind it.

    When one connection through an sshd ends while others run, the sshd can drop them all. So the hosts behind a
    gateway hang up together, when the last of them is closed; then the gateway does.
    """

    def __init__(self, host: SshHost) -> None:
        """``host`` is the one to jump through."""
        self.host = host
        self._lock = threading.Lock()
        self._inside = 0
        self._leaving: list[Callable[[], None]] = []

    def join(self) -> bool:
        """One more host is behind this; False when it has ended already."""
        with self._lock:
            if self._inside == 0 and self._leaving:
                return False
            self._inside += 1
            return True

    def leave(self, hang_up: Callable[[], None]) -> None:
        """A host is closed: keep ``hang_up`` until all are."""
        with self._lock:
            self._inside -= 1
            self._leaving.append(hang_up)
            if self._inside:
                return
            leaving = list(self._leaving)
        for end in leaving:
            end()
        self.host.close()


class Gateways:
    """The gateways that are in use."""

    def __init__(self) -> None:
        """None yet."""
        self._lock = threading.Lock()
        self._known: dict[object, Gateway] = {}

    def join(self, key: object, make: Callable[[], SshHost]) -> Gateway:
        """The gateway ``key``, made if it is not in use, with one more host behind it."""
        with self._lock:
            gateway = self._known.get(key)
            if gateway is None or not gateway.join():
                gateway = self._known[key] = Gateway(make())
                gateway.join()
            return gateway


GATEWAYS = Gateways()
"""One for the process, since the hosts of a run are opened one by one."""
