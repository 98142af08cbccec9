"""Connections to the hosts of one run. They are opened in parallel, shared by steps and probes, and closed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from drillbook.engine.parallel import on_each
from drillbook.errors import HostError
from drillbook.sdk.host import Host


class Hosts:
    """Connections to the hosts of one run, one for each host."""

    def __init__(self, open_one: Callable[[str], Host]) -> None:
        """Set up without connecting.

        ``open_one`` makes a host from its name in the inventory, and connects to it.
        """
        self._open_one = open_one
        self._open: dict[str, Host] = {}
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}

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
            host = self._open_one(name)
            with self._lock:
                return self._open.setdefault(name, host)

    def close(self) -> None:
        """Close the connections to all hosts of the run."""
        for host in reversed(list(self._open.values())):
            host.close()
        self._open.clear()
