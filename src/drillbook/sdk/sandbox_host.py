"""Access to the host of a sandbox as the sandbox's user: run programs and transfer files, on the host or in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Output
from drillbook.sdk.wrapped_host import WrappedHost
from drillbook.values import Secret

_WRITE = 'umask 077; cat > "$1"'
_READ_FROM = 'file=$1; shift; exec "$@" < "$file"'
_PASSED = re.compile(r"LC_\w+|LANG|TZ|PG(?!PASS)\w+")
"""Pattern for the names of environment variables that are passed to a program as arguments, because neither sudo nor Docker
passes on the variables of the calling process. No variable that contains a secret may match the pattern.
"""
Wrapping = Callable[[Sequence[str], Mapping[str, str]], tuple[str, ...]]
"""Function that turns a command and its environment variables into a command line."""


@dataclass(frozen=True, slots=True)
class SandboxHost(WrappedHost):
    """The host of a sandbox. ``wrapped`` turns each command into a command that runs as the sandbox's user."""

    wrapped: Wrapping
    below: str = ""
    """Folder that the programs can see, such as the folder that a container shares with the host. They see no other files.

    Empty: the programs see all files.
    """

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
        """Run ``argv`` as the sandbox's user; see Host.run."""
        plain = {name: value for name, value in (env or {}).items() if isinstance(value, str) and _PASSED.fullmatch(name)}
        hidden = {name: value for name, value in (env or {}).items() if name not in plain}
        return self.inner.run(
            self.wrapped(argv, plain), deadline=deadline, stdin=stdin, env=hidden or None, cwd=cwd, sink=sink
        )

    def sees(self, path: str, deadline: Deadline) -> bool:
        """Return True when the sandbox's user can read the file ``path``.

        If the field ``below`` contains a folder, the result is False for every file outside of this folder.

        Raises HostError when the host cannot be used.
        """
        if self.below and not path.startswith(f"{self.below}/"):
            return False
        return self.run(("test", "-r", path), deadline=deadline).ok

    def take(self, path: str, to: str, deadline: Deadline) -> str:
        """Read ``path`` as the SSH user, write its content to the file ``to`` as the sandbox's user, and return ``to``."""
        words = self.wrapped(("sh", "-c", _WRITE, "sh", to), {})
        self.inner.run(("sh", "-c", _READ_FROM, "sh", path, *words), deadline=deadline).check()
        return to

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path`` as the sandbox's user. Raises HostError when the file cannot be written."""
        script = f'umask 077; cat > "$1" && chmod {mode:o} "$1"'
        self.run(("sh", "-c", script, "sh", path), deadline=Deadline.after(60), stdin=data).check()

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read the first ``limit`` bytes of a file. Raises FileNotFoundError when the file is missing or unreadable, and
        HostError when the host fails.
        """
        output = self.run(("head", "-c", str(limit), "--", path), deadline=Deadline.after(60))
        if not output.ok:
            raise FileNotFoundError(path)
        return output.stdout

    def close(self) -> None:
        """Leave the connection to the host open. It belongs to the caller, who closes it."""
