"""Base of the hosts that change how another host runs commands."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify
from drillbook.sdk.host import CAPTURE_LIMIT, Host, Piped, Target


@dataclass(frozen=True, slots=True)
class WrappedHost:
    """A wrapper around the host ``inner``. It changes how commands run, and how files are written, on this host.

    Each subclass defines ``run`` and ``put`` for this purpose. A subclass that can connect to the streams of a command also
    defines ``pipe``. Calls of ``get``, ``close`` and the forwarding methods go to ``inner`` unchanged.
    """

    inner: Host

    @property
    def name(self) -> str:
        """Name of the host in the inventory."""
        return self.inner.name

    @property
    def target(self) -> Target:
        """Description of the host in the inventory."""
        return self.inner.target

    def _piped(self) -> Piped:
        """Return the inner host if it can connect to the streams of a command. Raises CouldNotVerify when it cannot."""
        if not isinstance(self.inner, Piped):
            raise CouldNotVerify(f"{self.name}: this kind of host cannot connect the controller to the streams of a command")
        return self.inner

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read a file; see ``Host.get``."""
        return self.inner.get(path, limit=limit)

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """Forward a port on loopback; see ``Host.forward``."""
        return self.inner.forward(address, port)

    def forward_socket(self, path: str, name: str, user: str = "") -> AbstractContextManager[str]:
        """Forward a Unix socket of the controller to a Unix socket of the host; see ``Host.forward_socket``."""
        return self.inner.forward_socket(path, name, user)

    def close(self) -> None:
        """Close the connection to the host."""
        self.inner.close()
