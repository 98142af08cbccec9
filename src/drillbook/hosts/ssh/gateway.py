"""Gateways are hosts through which other hosts are reached. The shared connection to a gateway is closed last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar


class Closable(Protocol):
    """A host whose connections can be closed. This protocol is used instead of the class ``SshHost``: the module ``host``
    imports this module, so this module cannot import that class.
    """

    def close(self) -> None:
        """Close the connections of the host."""


H = TypeVar("H", bound=Closable)


class Gateway(Generic[H]):
    """A gateway that several hosts share, and the hosts behind it.

    When one connection through a gateway is closed while other connections are in use, the sshd of the gateway may drop all
    of them. Therefore the hosts behind a gateway keep their connections until the last of these hosts is closed. Then the
    connection to the gateway is closed, too.
    """

    def __init__(self, host: H) -> None:
        """Store the host that is the gateway."""
        self.host = host
        self._lock = threading.Lock()
        self._inside = 0
        self._leaving: list[Callable[[], None]] = []

    def join(self) -> bool:
        """Register one more host behind this gateway. Returns False when the gateway is already closed."""
        with self._lock:
            if self._inside == 0 and self._leaving:
                return False
            self._inside += 1
            return True

    def leave(self, hang_up: Callable[[], None]) -> None:
        """Unregister a closed host. ``hang_up`` is called as soon as all hosts behind the gateway are
        closed.
        """
        with self._lock:
            self._inside -= 1
            self._leaving.append(hang_up)
            if self._inside:
                return
            leaving = list(self._leaving)
        for end in leaving:
            end()
        self.host.close()


class Gateways(Generic[H]):
    """Registry of the gateways in use."""

    def __init__(self) -> None:
        """Start with no gateways."""
        self._lock = threading.Lock()
        self._known: dict[object, Gateway[H]] = {}

    def join(self, key: object, make: Callable[[], H]) -> Gateway[H]:
        """Register a host behind the gateway ``key``. ``make`` creates the gateway's host when it is first used."""
        with self._lock:
            gateway = self._known.get(key)
            if gateway is None or not gateway.join():
                gateway = self._known[key] = Gateway(make())
                gateway.join()
            return gateway


GATEWAYS: Gateways[Any] = Gateways()
"""All gateways of this process. Hosts that are opened at different times share one connection to the same gateway."""
