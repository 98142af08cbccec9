"""Access to a restic repository. This module runs restic on a host, and converts its output and exit status to results and
errors.

All commands only read the repository, and they take no lock. The cache is in a private folder, which the caller removes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from drillbook.errors import CommandFailed, CouldNotVerify, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.answer_limits import Answer, parsed
from drillbook.sdk.host import Output, printable

NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 10, 11, 12
"""Exit statuses of restic 0.17 and later. Source: restic(1), "Exit status"."""
STALE = timedelta(minutes=30)
"""Age at which restic regards a lock as abandoned. A running restic process renews its lock every five minutes."""
# OUTPUT RESTIC...: export the variables on standard input, and run restic. If OUTPUT is `shown`, print its output; if it is
# `counted`, the number of entries.
_CALL = r"""
output=$1
shift
unset RESTIC_REPOSITORY_FILE RESTIC_PASSWORD_FILE RESTIC_PASSWORD_COMMAND RESTIC_HOST
while IFS= read -r line; do export "$line"; done
case $output in
  shown) exec "$@" ;;
  dropped) exec "$@" >/dev/null ;;
esac
{
  { "$@"; echo "status $?" >&3; } | { echo "entries $(grep -c '"type":"\(file\|symlink\)"')" >&3; }
} 3>&1
"""
Row = TypeVar("Row", bound=BaseModel)
_ELSEWHERE = re.compile(
    r"dial tcp|dial unix|connection (refused|reset)|no such host|timed? ?out|no space left on device|permission denied|"
    r"access denied|operation not permitted|subprocess ssh|invalid backend|parsing repository location|read-only file system|"
    r"disk quota exceeded|x509:|cannot allocate memory|unable to open config file",
    re.IGNORECASE,
)
"""Pattern of error messages whose cause is not the backup, but the network, the restore target, or the host."""


class Summary(BaseModel):
    """Summary that `restic backup` stores in each snapshot since restic 0.17."""

    model_config = ConfigDict(frozen=True)

    backup_start: datetime
    backup_end: datetime
    total_files_processed: int
    total_bytes_processed: int


class Snapshot(BaseModel):
    """One snapshot, as `restic snapshots --json` prints it."""

    model_config = ConfigDict(frozen=True)

    id: str
    short_id: str
    time: datetime
    paths: tuple[str, ...]
    hostname: str = ""
    tags: tuple[str, ...] = ()
    summary: Summary | None = None


class Lock(BaseModel):
    """One lock in the repository, as `restic cat lock` prints it."""

    model_config = ConfigDict(frozen=True)

    time: datetime
    exclusive: bool
    hostname: str
    username: str
    pid: int

    @property
    def stale(self) -> bool:
        """True when the lock is abandoned: the process that took the lock should renew it regularly, but has not renewed it
        for longer than ``STALE``.
        """
        return datetime.now(UTC) - self.time > STALE

    def __str__(self) -> str:
        kind = "exclusive lock" if self.exclusive else "lock"
        return (
            f"{kind} held by process {self.pid} on {self.hostname} (user {self.username}), "
            f"last renewed at {self.time:%Y-%m-%d %H:%M}Z"
        )


@dataclass(frozen=True, slots=True)
class Repository:
    """Restic repository as seen from one host. ``run`` runs a program on this host."""

    name: str
    """Name of the backup source, for messages and findings."""
    host: str
    """Name of the host, for messages."""
    run: Callable[..., Output]
    cache: str
    """Private folder on the host for restic's cache. When it is empty, restic runs without a cache."""
    variables: Mapping[str, str] = field(repr=False)
    """Environment variables for restic: the repository, its password and further credentials."""

    def call(self, *words: str, output: str = "shown", sink: Any = None) -> Output:
        """Run a restic command that takes no lock, and return its output.

        ``output``: `shown` returns the whole output. `dropped` discards the output. `counted` returns one number, the
        number of files and symbolic links that the output lists.

        Raises StepFailed when the backup is the cause of a failure, CouldNotVerify when a failure has another cause, and
        HostError when restic cannot be run.
        """
        cache = ("--cache-dir", self.cache) if self.cache else ("--no-cache",)
        text = "".join(f"{name}={value}\n" for name, value in self.variables.items())
        line = ("sh", "-c", _CALL, "sh", output, "restic", *words, "--no-lock", *cache)
        done = self.run(*line, stdin=text.encode(), **({} if sink is None else {"sink": sink}))
        self._judge(words[0], done.exit, done)
        return done

    def snapshots(self) -> list[Snapshot]:
        """List all snapshots.

        Raises StepFailed when a snapshot cannot be read, since this snapshot may be the newest.
        """
        sink = Answer(f"{self.host}: the list of snapshots of {self.name}")
        done = self.call("snapshots", "--json", sink=sink)
        if ignored := [line for line in printable(done.stderr).splitlines() if line.startswith("Ignoring ")]:
            raise self._failed("snapshots", self._finding("backup-damaged", "snapshots that can be read", ignored[0]))
        return self._parsed(TypeAdapter(list[Snapshot]), sink.json(), "the list of snapshots")

    def locks(self) -> list[Lock]:
        """List the locks that other restic processes hold."""
        names = self.call("list", "locks").text.split()
        listed = [parsed(self.call("cat", "lock", name).stdout, f"{self.host}: a lock of {self.name}") for name in names]
        return self._parsed(TypeAdapter(list[Lock]), listed, "the locks")

    def count(self, snapshot: str, path: str) -> int:
        """Count the files and symbolic links of a snapshot at or below ``path``."""
        done = self.call("ls", "--json", "--recursive", snapshot, path, output="counted")
        rows = dict(re.findall(r"^(status|entries) (\d+)$", done.text, re.MULTILINE))
        self._judge("ls", int(rows.get("status", 1)), done)
        return int(rows.get("entries", 0))

    def _judge(self, command: str, status: int | None, done: Output) -> None:
        """Raise the error that matches the exit status and the message of a failed restic command."""
        said = _said(done)
        if status == 0:
            return
        if status is None or status in (126, 127):
            raise CommandFailed(
                f"{self.host}: `restic {command}` did not run: {said or done.signal}",
                host=self.host,
                argv=("restic", command),
                exit_status=status,
                tail=said,
            )
        if status == NO_REPOSITORY:
            raise self._failed(
                command, self._finding("backup-missing", "a repository", "there is no repository at this address")
            )
        if status == WRONG_PASSWORD:
            raise self._failed(command, self._finding("backup-key-lost", "a password that can open the repository", said))
        if status == LOCKED:
            raise self._failed(command, self._finding("backup-locked", "a repository without a lock", said))
        if _ELSEWHERE.search(said):
            raise CouldNotVerify(
                f"{self.host}: `restic {command}` failed, and the cause is not the backup: {said}",
                hint="remove the cause that restic names, and run the step again",
            )
        raise self._failed(command, self._finding("backup-damaged", f"`restic {command}` without an error", said))

    def _failed(self, command: str, problem: Finding) -> StepFailed:
        return StepFailed(f"{self.host}: `restic {command}` of {self.name}: {problem.measured}", findings=[problem])

    def _finding(self, code: str, wanted: str, measured: str) -> Finding:
        return finding(code, title=self.name, wanted=wanted, measured=measured[:600], host=self.host)

    def _parsed(self, model: TypeAdapter[list[Row]], value: Any, what: str) -> list[Row]:
        try:
            return model.validate_python(value or [])
        except ValidationError as error:
            raise CouldNotVerify(
                f"{self.host}: {what} that restic printed cannot be parsed: {error.errors()[0]['msg']}"
            ) from None


def _said(done: Output) -> str:
    """Return the error messages of restic as one line. Messages that restic writes as JSON objects are included."""
    lines = []
    for line in printable(done.stderr).splitlines():
        match = re.search(r'"message":"((?:[^"\\]|\\.)*)"', line) if line.startswith("{") else None
        text = match[1].replace("\\u003c", "<").replace("\\u003e", ">") if match else line.strip()
        if text and not text.startswith("There were"):
            lines.append(text.replace("\\n", " "))
    return "; ".join(dict.fromkeys(lines))[:600] or f"restic ended with status {done.exit} and printed no message"
