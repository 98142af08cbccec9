"""Host for the actions of one step. It journals their commands, and hides secrets in output."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from drillbook.errors import DrillbookError, escaped
from drillbook.events.content import Content
from drillbook.events.steps import CommandRun
from drillbook.journal.journal import Journal
from drillbook.redact import Redactor, both_ends
from drillbook.sdk.host import Deadline, Output, printable
from drillbook.sdk.wrapped_host import WrappedHost
from drillbook.values import Secret

TAIL = 4000
"""Largest number of characters of an output that are recorded."""
PART = 2000
"""Largest number of characters of one word of a command, such as a script, that are recorded."""


@dataclass(frozen=True, slots=True)
class RecordingHost(WrappedHost):
    """A host whose commands are journalled for one step.

    Secrets are removed from output before the action receives it. Bulk data goes to a sink and is not redacted.
    """

    journal: Journal
    step: str
    redactor: Redactor

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
        """Run a command and journal it; see ``Host.run``."""
        start = time.monotonic()
        try:
            raw = self.inner.run(argv, deadline=deadline, stdin=stdin, env=env, cwd=cwd, sink=sink)
        except DrillbookError as error:
            self._without_outcome(argv, start, error.message)
            raise
        output = self._redacted(raw, argv)
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
                **self._account,
            )
        )
        return output

    @property
    def _account(self) -> dict[str, str]:
        """Field of an event that names the account of the step's commands. The value is empty when this account is the SSH
        user.
        """
        return {"become": account} if (account := self.inner.target.account) else {}

    def _redacted(self, raw: Output, argv: Sequence[str]) -> Output:
        """Return the output ``raw`` without secrets.

        ``argv``: command without wrappers, such as sudo. The result contains this command instead of the wrapped command
        that was really run.
        """
        out, err = self._hidden(raw.stdout, raw.stdout_bytes), self._hidden(raw.stderr, raw.stderr_bytes)
        return replace(
            raw,
            argv=tuple(argv),
            stdout=out,
            stderr=err,
            stdout_bytes=raw.stdout_bytes - len(raw.stdout) + len(out),
            stderr_bytes=raw.stderr_bytes - len(raw.stderr) + len(err),
        )

    def _hidden(self, kept: bytes, total: int) -> bytes:
        """Hide secrets in the stored beginning of a stream. ``kept``: this beginning. ``total``: length of the whole stream
        in bytes.

        A secret that is cut off at the end of ``kept`` is hidden, too.
        """
        return self.redactor.data(kept) if len(kept) == total else self.redactor.cut(kept)

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
                **self._account,
            )
        )

    def _shown(self, argv: Sequence[str]) -> tuple[str, ...]:
        return tuple(escaped(both_ends(self.redactor.text(part), PART), keep="\n\t") for part in argv)

    def note(self, what: Content) -> None:
        """Write the event ``what`` to the journal, for this step and host."""
        self.journal.append(what, step=self.step, host=self.name)

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> Any:
        """Start a command and return a channel to its standard streams. The traffic is not recorded.

        Raises Fenced when the run has lost its lock, and CouldNotVerify when the host has no such channel.
        """
        start, failed = time.monotonic(), None
        try:
            return self._piped().pipe(argv, deadline=deadline)
        except DrillbookError as error:
            failed = error.message
            raise
        finally:
            self._without_outcome(argv, start, failed)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write a file; see ``Host.put``."""
        self.inner.put(data, path, mode=mode)

    def close(self) -> None:
        """Do nothing: the runner closes the hosts at the end of the run."""
