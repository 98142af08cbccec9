"""Selects exactly one process of a host: the main process of a unit, the process in a pid file, or the listener of a port.

A process is never selected by a name or a pattern, because other processes may have the same name. A process is identified
by its pid and its start time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Service
from drillbook.systems.linux import process_selection
from drillbook.systems.linux.faultstate import SEEN
from drillbook.systems.linux.process_selection import HOLDERS, OF_PATH, OF_PORT, PID, Selection, as_root

Argv = tuple[str, ...]

# PID: print state and start time. Status 3: no process; 4: kernel thread or init; 5: ancestor of this script; 6: belongs to
# another user.
_LOOK = (
    SEEN
    + """
test "$1" -gt 1 || exit 4
seen "$1" || exit 3
found="$state $start"
test "$(tr -d '\\000' < "/proc/$1/cmdline" | wc -c)" -gt 0 || exit 4
up=$$
while test "$up" -gt 1 && test "$up" != "$1" && seen "$up"; do up=$parent; done
test "$up" != "$1" || exit 5
kill -0 "$1" 2>/dev/null || exit 6
echo "$found"
"""
)
_PID_FILE = 'test -r "$1" || exit 3; pid=; read -r pid other < "$1"; printf %s "$pid"'


@dataclass(frozen=True, slots=True)
class Found:
    """A process. It has a pid, a start time (in clock ticks since boot), and a letter for its state in /proc.

    ``by``: selection by which the process was found.
    """

    pid: int
    start: int
    state: str
    by: Selection = field(compare=False)

    @property
    def paused(self) -> bool:
        """True when a signal or a tracer has stopped the process (state T or t)."""
        return self.state in ("T", "t")

    def run(self, ctx: Context, *argv: str, **options: Any) -> Output:
        """Run ``argv`` on the step's host. In ``argv``, the words PID and START are replaced by the pid and start time of
        the process.
        """
        return self.by.run(ctx, argv, self.pid, self.start, **options)


def of_unit(ctx: Context, name: str) -> Found:
    """Return the main process of the unit of the service ``name``. Raises NotReady when the unit does not run."""
    service = ctx.service(name, Service)
    if not service.unit:
        raise NotReady(
            f"the service {name!r} has no `unit` in the inventory, so its process is unknown",
            hint="set `unit` of the service, or `pid_file` or `port` in the step",
        )
    try:
        seen = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from None
    if seen.state != "running" or not seen.pid:
        raise NotReady(f"{ctx.host.name}: {seen.unit} is {seen.word}; it must run", hint=f"start the unit {seen.unit}")
    return look(ctx, process_selection.by_unit(ctx.host, seen.unit), seen.pid, f"the main process of {seen.unit}")


def of_pid_file(ctx: Context, path: str) -> Found:
    """Return the process whose pid is in the file ``path``. Raises NotReady when there is no such process."""
    output = ctx.run(*as_root(ctx), "sh", "-c", _PID_FILE, "sh", path)
    if not output.ok or not output.text.isdigit():
        said = "the file does not exist or cannot be read" if not output.ok else "the file contains no number"
        raise NotReady(
            f"{ctx.host.name}: the pid file {path} contains no pid of a running process: {said}",
            hint="start the program, or correct `pid_file`",
        )
    return look(ctx, process_selection.by_pid_file(path), int(output.text), f"the process of {path}")


def of_port(ctx: Context, port: int) -> Found:
    """Return the process that listens on TCP ``port``. Raises NotReady when no process, or more than one, listens."""
    pids = listeners(ctx, port)
    if not pids:
        raise NotReady(f"{ctx.host.name}: no process listens on port {port}", hint="start the service, or correct `port`")
    if len(pids) > 1:
        raise NotReady(
            f"{ctx.host.name}: port {port} has several listeners: {', '.join(map(str, pids))}",
            hint="select the process by the service's unit or by its pid file",
        )
    return look(ctx, process_selection.by_port(port), pids[0], f"the listener of port {port}")


def listeners(ctx: Context, port: int) -> list[int]:
    """Return the pids of the processes that listen on ``port``. Their child processes are left out.

    Raises NotReady when these processes belong to other users.
    """
    return _listeners(ctx, OF_PORT, f":{port:04X}", f"on port {port}")


def listeners_at(ctx: Context, path: str) -> list[int]:
    """Return the pids of processes that listen at the Unix socket ``path``, without their children.

    Raises NotReady when these processes belong to other users.
    """
    return _listeners(ctx, OF_PATH, path, f"at {path}")


def _listeners(ctx: Context, inodes: str, word: str, where: str) -> list[int]:
    output = ctx.run(*as_root(ctx), "sh", "-c", inodes + HOLDERS, "sh", word)
    if output.exit == 3:
        return []
    if output.exit == 6:
        raise NotReady(
            f"{ctx.host.name}: the process that listens {where} belongs to another user and cannot be identified",
            hint="set `manager: {sudo: true}` for the host, or run as that user",
        )
    return [int(word) for word in output.check().text.split()]


def look(ctx: Context, by: Selection, pid: int, what: str) -> Found:
    """Return the process with the id ``pid``. ``by``: selection that found the process. ``what``: the process's name in
    messages.

    Raises NotReady when the process does not exist, when it belongs to another user, or when a fault must never touch it. A
    fault never touches processes of the kernel, the init process, and the parent processes of the drill's own connection.
    """
    output = by.run(ctx, ("sh", "-c", _LOOK, "sh", PID), pid)
    why = {
        3: ("does not exist", "start the process"),
        4: ("belongs to the kernel, or is the init process", "name another process"),
        5: (
            "carries the connection of this drill",
            "select another process: the drill's own connection depends on this one",
        ),
        6: ("belongs to another user", "set `manager: {sudo: true}` for the host, or run as that user"),
    }
    if output.exit in why:
        said, hint = why[output.exit]
        raise NotReady(f"{ctx.host.name}: {what} cannot be used, because the process {pid} {said}", hint=hint)
    state, start = output.check().text.split()
    return Found(pid, int(start), state, by)


def need(ctx: Context, *tools: str) -> None:
    """Raise NotReady when the host lacks one of the programs ``tools`` on its PATH."""
    if missing := ctx.missing(*tools):
        raise NotReady(
            f"{ctx.host.name}: not installed: {', '.join(missing)}", hint=f"install {', '.join(missing)} on the host"
        )
