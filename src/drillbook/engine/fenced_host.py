"""A host with a fence. After the run has lost its lock or its lease on the host, no command of the run starts and no file is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from drillbook.engine.leases import was_fenced
from drillbook.errors import Fenced
from drillbook.sdk.host import Deadline, Host, Output, once_more
from drillbook.sdk.wrapped_host import WrappedHost
from drillbook.values import Secret

PUT_S = 30.0

Fence = Callable[[Sequence[str]], Sequence[str]]
"""Function that wraps a command. The host starts the wrapped command only while the run holds its lock."""


def fenced(host: Host, fence: Fence | None) -> Host:
    """Return a host that wraps each command with ``fence``, so that no command starts after the run has lost its lock. To
    write a file, this host first runs a wrapped command, which checks the lock. When ``fence`` is None, return ``host``
    itself.
    """
    return FencedHost(host, fence) if fence else host


@dataclass(frozen=True, slots=True)
class FencedHost(WrappedHost):
    """A host whose commands are wrapped by ``fence``.

    Reading a file and forwarding a port are allowed without the lock.
    """

    fence: Fence

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        stdin: bytes = b"",
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | None = None,
        sink: BinaryIO | None = None,
    ) -> Output:
        """Run a command; see ``Host.run``. Raises Fenced when the run has lost its lock or its lease on the host."""
        output = self.inner.run(self.fence(argv), deadline=deadline, stdin=stdin, env=env, cwd=cwd, sink=sink)
        self._unless_fenced(output)
        return output

    def _unless_fenced(self, output: Output) -> None:
        if was_fenced(output):
            raise Fenced(
                f"{self.name}: the command was not started, because the run lost its lock or its lease on this host",
                hint=(
                    "if a run of this project holds the lock, `invoke drill.list` shows this run. After the end of the run: "
                    "`invoke drill.recover`"
                ),
            )

    def _look(self, deadline: Deadline) -> None:
        self._unless_fenced(once_more(lambda: self.inner.run(self.fence(("true",)), deadline=deadline)))

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> Any:
        """Start a command and return a channel to its standard streams.

        Raises Fenced when the run has lost its lock or its lease. Raises CouldNotVerify when this kind of host has no
        such channel, and HostError when the host fails.
        """
        inner = self._piped()
        self._look(deadline)
        return inner.pipe(self.fence(argv), deadline=deadline)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write a file; see ``Host.put``. Raises Fenced when the run has lost its lock or its lease on the host."""
        self._look(Deadline.after(PUT_S))
        self.inner.put(data, path, mode=mode)
