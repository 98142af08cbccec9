"""Connections to the hosts of one run. They are opened in parallel, shared by steps and probes, and closed together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from drillbook.engine.parallel import on_each
from drillbook.errors import AuthenticationFailed, HostError, HostKeyChanged, HostKeyUnknown
from drillbook.sdk.host import Host

REFUSAL_S = 5.0
"""Seconds to wait before a new login to a host. The wait is needed when the host refused the last login, or when its key is
not the known key.

sshd refuses clients that connect several times without a login; see `PerSourcePenalties` in sshd_config(5).
"""


class Hosts:
    """Connections to the hosts of one run, one for each host."""

    def __init__(self, open_one: Callable[[str], Host]) -> None:
        """Set up the object without connecting to a host.

        ``open_one`` makes a host from its name in the inventory, and connects to it.
        """
        self._open_one = open_one
        self._open: dict[str, Host] = {}
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._refused: dict[str, tuple[float, HostError]] = {}

    def open(self, names: Sequence[str]) -> dict[str, HostError]:
        """Connect to all hosts ``names`` in parallel. Return the errors of the unreachable hosts."""
        failed: dict[str, HostError] = {}

        def connect(name: str) -> None:
            try:
                self.get(name)
            except HostError as error:
                failed[name] = error

        on_each(connect, names, name="connect")
        return {name: failed[name] for name in names if name in failed}

    def get(self, name: str) -> Host:
        """Return the connected host ``name``. Concurrent callers share one connection.

        Raises HostError when the host is unreachable.
        """
        with self._lock:
            if name in self._open:
                return self._open[name]
            opening = self._opening.setdefault(name, threading.Lock())
        with opening:
            with self._lock:
                if name in self._open:
                    return self._open[name]
            host = self._opened(name)
            with self._lock:
                return self._open.setdefault(name, host)

    def _opened(self, name: str) -> Host:
        since, error = self._refused.get(name, (0.0, None))
        if error and time.monotonic() - since < REFUSAL_S:
            raise error
        try:
            return self._open_one(name)
        except (HostKeyUnknown, HostKeyChanged, AuthenticationFailed) as error:
            self._refused[name] = time.monotonic(), error
            raise

    def close(self) -> None:
        """Close the connections to all hosts of the run."""
        for host in reversed(list(self._open.values())):
            host.close()
        self._open.clear()
