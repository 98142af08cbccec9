"""Functions that read files on a host, and that write files either completely or not at all. All kinds of hosts use this
module. Some hosts can transfer files only by shell commands, and there are functions for these hosts, too.
"""

from __future__ import annotations

import posixpath
import secrets

from drillbook.errors import HostError
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.deadline import current
from drillbook.sdk.host import Deadline, Host, Output, printable

# PATH DRAFT MODE: write standard input to DRAFT, and rename DRAFT to PATH. Exit with 1 when this fails; DRAFT is then removed.
PUT = """
umask 077
[ -d "$1" ] && { echo "$1 is a folder" >&2; exit 1; }
cat >"$2" && chmod "$3" "$2" && mv -f "$2" "$1" || { rm -f "$2"; exit 1; }
"""
GET = '[ -e "$1" ] || exit 66; exec head -c "$2" <"$1"'
MISSING = 66
"""Exit status of the script GET when the file is missing."""

SECONDS = 30.0
"""Time limit in seconds for a file operation. The time for the transfer of the data is added to it."""
LEAST_S = 5.0
"""Shortest time limit in seconds for a file operation. A file operation gets this time even if the step's time is over, so
that an unfinished file can still be removed.
"""


def of_step(seconds: float) -> Deadline:
    """Return the earlier of two deadlines: ``seconds`` from now, or the end of the step's time.

    If the step's time ends in less than ``LEAST_S`` seconds, ``LEAST_S`` seconds from now are used instead. The deadline has
    the cancel flag of the step.
    """
    step = current()
    return Deadline.after(min(seconds, max(LEAST_S, step.remaining())), step.cancel)


def for_bytes(size: int) -> Deadline:
    """Return the deadline for a file operation that transfers ``size`` bytes; see ``of_step``."""
    return of_step(SECONDS + size / 1e6)


def put_by_command(host: Host, data: bytes, path: str, mode: int, deadline: Deadline) -> None:
    """Write ``data`` to ``path`` with a shell command. Raises HostError when the file cannot be written."""
    done = host.run(("sh", "-c", PUT, "sh", path, beside(path), f"{mode:o}"), stdin=data, deadline=deadline)
    if not done.ok:
        raise _failed(host, path, done, verb="written")


def get_by_command(host: Host, path: str, limit: int, deadline: Deadline) -> bytes:
    """Read the first ``limit`` bytes of ``path`` with a shell command.

    Raises FileNotFoundError when there is no such file, and HostError when it cannot be read.
    """
    with Answer(f"{host.name}: {path}", limit) as spool:
        done = host.run(("sh", "-c", GET, "sh", path, str(limit)), deadline=deadline, sink=spool)
        if done.exit == MISSING:
            raise FileNotFoundError(2, f"{host.name}: no such file", path)
        if not done.ok:
            raise _failed(host, path, done, verb="read")
        return spool.getvalue()


def _failed(host: Host, path: str, done: Output, *, verb: str) -> HostError:
    said = printable(done.stderr).strip().rpartition("\n")[2] or f"status {done.exit}"
    return HostError(f"{host.name}: {path} cannot be {verb}: {said}", host=host.name)


def beside(path: str) -> str:
    """Return a random path in the folder of ``path``, for a temporary file that later replaces ``path``."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name[:200]}.{secrets.token_hex(6)}")


def unreadable(host: str, path: str, error: Exception, *, verb: str) -> HostError:
    """Return the error for a file operation that failed.

    ``verb``: past participle that completes the words "cannot be" in the message, such as ``read`` or ``written``.
    """
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return HostError(f"{host}: {path} cannot be {verb}: {reason}", host=host)
