"""A host as one step sees it: its commands are journalled and redacted, and those that change something are fenced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from drillbook.engine.leases import was_fenced
from drillbook.errors import CouldNotVerify, DrillbookError, Fenced
from drillbook.events.content import Content
from drillbook.events.steps import CommandRun
from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from drillbook.sdk.host import Deadline, Host, Output, Piped, Target, once_more, printable
from drillbook.values import Secret

TAIL = 4000
PUT_S = 30.0

Fence = Callable[[Sequence[str]], Sequence[str]]
"""Makes of a command one that starts only while the run holds its lock."""


@dataclass(slots=True)
class RecordingHost:
    """A host whose commands are written to the journal, for one step.

    What a command printed is redacted before anybody sees it, the action too: whatever an action then makes of it,
    cut or not, holds no secret. Bulk goes to a sink and is not touched.
    """

    inner: Host
    journal: Journal
    step: str
    redactor: Redactor
    fence: Fence | None = None

    @property
    def name(self) -> str:
        """See Host."""
        return self.inner.name

    @property
    def target(self) -> Target:
        """See Host."""
        return self.inner.target

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
        """Run and record; see Host. Raises Fenced when the run no longer holds its lock there."""
        start = time.monotonic()
        try:
            carried = self.fence(argv) if self.fence else argv
            raw = self.inner.run(carried, deadline=deadline, stdin=stdin, env=env, cwd=cwd, sink=sink)
            self._unless_fenced(raw)
        except DrillbookError as error:
            self._without_outcome(argv, start, error.message)
            raise
        out, err = self._hidden(raw.stdout, raw.stdout_bytes), self._hidden(raw.stderr, raw.stderr_bytes)
        output = replace(
            raw,
            argv=tuple(argv),
            stdout=out,
            stderr=err,
            stdout_bytes=raw.stdout_bytes - len(raw.stdout) + len(out),
            stderr_bytes=raw.stderr_bytes - len(raw.stderr) + len(err),
        )
        self.note(
            CommandRun(
                argv=self._shown(argv),
                exit=output.exit,
                signal=output.signal,
                seconds=output.seconds,
                stdout=printable(output.stdout, limit=TAIL),
                stderr=printable(output.stderr, limit=TAIL),
                stdout_bytes=output.stdout_bytes,
                stderr_bytes=output.stderr_bytes,
                error=None,
            )
        )
        return output

    def _hidden(self, kept: bytes, total: int) -> bytes:
        """What was kept of a stream, without secrets; where it was cut off, without the beginning of one either."""
        return self.redactor.data(kept) if len(kept) == total else self.redactor.cut(kept)

    def _unless_fenced(self, output: Output) -> None:
        if self.fence and was_fenced(output):
            raise Fenced(
                f"{self.name}: the run lost its lock or its lease there, so nothing more is changed",
                hint="see who holds it: `invoke drill.list`; when that run has ended: `invoke drill.recover`",
            )

    def _look_at_fence(self, deadline: Deadline) -> None:
        if (fence := self.fence) is not None:
            self._unless_fenced(once_more(lambda: self.inner.run(fence(("true",)), deadline=deadline)))

    def _without_outcome(self, argv: Sequence[str], start: float, error: str | None) -> None:
        self.note(
            CommandRun(
                argv=self._shown(argv),
                exit=None,
                signal=None,
                seconds=time.monotonic() - start,
                stdout="",
                stderr="",
                stdout_bytes=0,
                stderr_bytes=0,
                error=error,
            )
        )

    def _shown(self, argv: Sequence[str]) -> tuple[str, ...]:
        return tuple(printable(self.redactor.text(part), limit=2000) for part in argv)

    def note(self, what: Content) -> None:
        """See Notes."""
        self.journal.append(what, step=self.step, host=self.name)

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> Any:
        """See Piped; what goes through it is not recorded. Raises CouldNotVerify where the host has no such way, Fenced."""
        inner, start, failed = self.inner, time.monotonic(), None
        try:
            if not isinstance(inner, Piped):
                raise CouldNotVerify(f"{self.name}: no protocol can be carried over it")
            self._look_at_fence(deadline)
            return inner.pipe(self.fence(argv) if self.fence else argv, deadline=deadline)
        except DrillbookError as error:
            failed = error.message
            raise
        finally:
            self._without_outcome(argv, start, failed)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """See Host. Raises Fenced as ``run`` does."""
        self._look_at_fence(Deadline.after(PUT_S))
        self.inner.put(data, path, mode=mode)

    def get(self, path: str, *, limit: int = 1 << 20) -> bytes:
        """See Host."""
        return self.inner.get(path, limit=limit)

    def forward(self, address: str, port: int) -> AbstractContextManager[int]:
        """See Host."""
        return self.inner.forward(address, port)

    def close(self) -> None:
        """The runner closes hosts, not a step."""
