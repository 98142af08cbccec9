"""Exactly one process of a host: the main process of a unit, the one of a pid file, the one that listens on a port.

Never by a name or a pattern, which could mean others. Who is found is a pid with its start time.
"""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Service
from drillbook.systems.linux.faultstate import SEEN

Argv = tuple[str, ...]

# PID: prints state and start time. 3: not there; 4: of the kernel; 5: carries this very connection; 6: not ours.
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
# PORT as `:%04X`: prints the pids that hold a listening socket of that port, without children of one of them.
# 3: nobody listens; 6: somebody does whose descriptors may not be seen.
_LISTENER = (
    SEEN
    + """
inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
  awk -v port="$1" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }')
test -n "$inodes" || exit 3
pids=$(ls -ln /proc/[0-9]*/fd 2>/dev/null | awk -v inodes="$inodes" '
  BEGIN { count = split(inodes, list); for (i = 1; i <= count; i++) wanted["socket:[" list[i] "]"] = 1 }
  /^\\/proc\\// { split($0, part, "/"); pid = part[3]; next }
  $NF in wanted && !(pid in told) { told[pid] = 1; print pid }')
test -n "$pids" || exit 6
for pid in $pids; do
  seen "$pid" || continue
  case " $(echo $pids) " in *" $parent "*) ;; *) echo "$pid" ;; esac
done
"""
)
_PID_FILE = 'test -r "$1" || exit 3; pid=; read -r pid other < "$1"; printf %s "$pid"'


@dataclass(frozen=True, slots=True)
class Found:
    """A process: its number, when it was started (clock ticks since boot), and its state as /proc shows it."""

    pid: int
    start: int
    state: str

    @property
    def paused(self) -> bool:
        """Stopped by a signal, or by a tracer."""
        return self.state in ("T", "t")


def as_root(ctx: Context) -> Argv:
    """The prefix of commands that touch services: `sudo -n` where the inventory has it for the service manager."""
    return ("sudo", "-n") if ctx.host.target.manager.sudo else ()


def of_unit(ctx: Context, name: str) -> Found:
    """The main process of the unit of the service ``name``. Raises NotReady."""
    service = ctx.service(name, Service)
    if not service.unit:
        raise NotReady(
            f"the service {name!r} names no `unit` in the inventory, so its process is not known",
            hint="add `unit:` to the service, or name `pid_file` or `port` in the step",
        )
    try:
        seen = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from None
    if seen.state != "running" or not seen.pid:
        raise NotReady(f"{ctx.host.name}: {seen.unit} is {seen.word}; it must run", hint=f"start the unit {seen.unit}")
    return look(ctx, seen.pid, f"the main process of {seen.unit}")


def of_pid_file(ctx: Context, path: str) -> Found:
    """The process whose number stands in the file ``path``. Raises NotReady."""
    output = ctx.run(*as_root(ctx), "sh", "-c", _PID_FILE, "sh", path)
    if not output.ok or not output.text.isdigit():
        said = "there is no such file, or it cannot be read" if not output.ok else "it holds no number"
        raise NotReady(
            f"{ctx.host.name}: no process by the pid file {path}: {said}", hint="start the program, or correct `pid_file`"
        )
    return look(ctx, int(output.text), f"the process of {path}")


def of_port(ctx: Context, port: int) -> Found:
    """The process that listens on TCP ``port``. Raises NotReady when there is none, or when several could be meant."""
    pids = listeners(ctx, port)
    if not pids:
        raise NotReady(f"{ctx.host.name}: nobody listens on port {port}", hint="start the service, or correct `port`")
    if len(pids) > 1:
        raise NotReady(
            f"{ctx.host.name}: port {port} has several listeners: {', '.join(map(str, pids))}",
            hint="name the service's unit or its pid file instead",
        )
    return look(ctx, pids[0], f"the listener of port {port}")


def listeners(ctx: Context, port: int) -> list[int]:
    """The processes that listen on ``port``, parents only. Raises NotReady when they are somebody else's."""
    output = ctx.run(*as_root(ctx), "sh", "-c", _LISTENER, "sh", f":{port:04X}")
    if output.exit == 3:
        return []
    if output.exit == 6:
        raise NotReady(
            f"{ctx.host.name}: somebody listens on port {port} whose process cannot be seen: another user's",
            hint="set `manager: {sudo: true}` for the host, or run as that user",
        )
    return [int(word) for word in output.check().text.split()]


def look(ctx: Context, pid: int, what: str) -> Found:
    """The process ``pid``, which a fault may touch. Raises NotReady, with ``what`` it is."""
    output = ctx.run(*as_root(ctx), "sh", "-c", _LOOK, "sh", str(pid))
    why = {
        3: ("is gone", "start it"),
        4: ("belongs to the kernel, or is the first of all", "name another process"),
        5: ("carries this very connection", "a drill does not saw off the branch it sits on"),
        6: ("belongs to another user", "set `manager: {sudo: true}` for the host, or run as that user"),
    }
    if output.exit in why:
        said, hint = why[output.exit]
        raise NotReady(f"{ctx.host.name}: {what} (pid {pid}) {said}", hint=hint)
    state, start = output.check().text.split()
    return Found(pid, int(start), state)


def need(ctx: Context, *tools: str) -> None:
    """Raise NotReady unless each of ``tools`` is on the host's PATH."""
    script = 'for tool; do command -v -- "$tool" >/dev/null || echo "$tool"; done'
    missing = ctx.run("sh", "-c", script, "sh", *tools).check().text.split()
    if missing:
        raise NotReady(f"{ctx.host.name}: not there: {', '.join(missing)}", hint=f"install {', '.join(missing)} on the host")
