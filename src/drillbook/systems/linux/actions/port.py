"""Actions on a TCP port: occupy the port, kill the process that listens on it, and show that process."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write
from drillbook.sdk.host import printable
from drillbook.sdk.service import Http, Service
from drillbook.systems.linux.fault_helper import Helper, Lasting
from drillbook.systems.linux.faultstate import REST
from drillbook.systems.linux.process_lookup import listeners, listeners_at, need, of_unit
from drillbook.systems.linux.process_selection import ANOTHER, HOLDERS, OF_PATH, OF_PORT, PID, as_root, by_port
from drillbook.values import Duration

# ADDRESS PORT: listen on the TCP port without answering. `_PERL` does the same.
_PYTHON = """
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen(1)
while True:
    time.sleep(3600)
"""
_PERL = """
use Socket;
socket(S, PF_INET, SOCK_STREAM, 0) or die "$!\\n";
setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1) or die "$!\\n";
bind(S, sockaddr_in($ARGV[1], inet_aton($ARGV[0]))) or die "$!\\n";
listen(S, 1) or die "$!\\n";
sleep 3600 while 1;
"""
# ADDRESS PORT :HEX PYTHON PERL: listen with the first tool that exists, and check that it does listen.
_HOLD = """
address=$1 port=$2 hex=$3
run() { timeout -s KILL "$seconds" "$@" & }
if command -v python3 >/dev/null; then run python3 -c "$4" "$address" "$port"
elif command -v perl >/dev/null; then run perl -e "$5" "$address" "$port"
elif command -v socat >/dev/null; then run socat -u "TCP-LISTEN:$port,bind=$address,reuseaddr,fork" OPEN:/dev/null
else run nc -lk "$address" "$port"; fi
listener=$!
note "$listener" listener || exit 1
listens() { awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { f = 1 } END { exit !f }' /proc/net/tcp; }
until listens; do kill -0 "$listener" 2>/dev/null || exit 1; over && exit 1; rest; done
: > "$folder/ready" || exit 1
until over; do kill -0 "$listener" 2>/dev/null || exit 1; sleep 1; done
kill "$listener"
"""
_TOOL = 'for tool in python3 perl socat nc; do command -v "$tool" >/dev/null && exit 0; done; exit 1'
# Print the lowest port on which this user is permitted to listen.
_FROM = """
test "$(id -u)" != 0 || { echo 0; exit; }
cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024
"""

PortNumber = Annotated[
    int | None, Field(ge=1, le=65535, description="TCP port. Default: the `port` or the URL of the service.")
]


def _port(ctx: Context, port: int | None, name: str | None) -> int:
    """Return the TCP port of the step, or of its service if the step has none. Raises NotReady when neither has a TCP port."""
    if port is not None:
        return port
    service = ctx.service(name, Service) if name else None
    if service and service.socket:
        raise NotReady(
            f"the service {name!r} is reached by its Unix socket {service.socket}, not by a TCP port",
            hint="set `port` of the step, if the server listens on a port as well",
        )
    own_port = service.own_port if service else None
    if own_port is None and isinstance(service, Http):
        parts = urlsplit(service.url)
        own_port = parts.port or (443 if parts.scheme == "https" else 80)
    if not isinstance(own_port, int):
        raise NotReady(
            f"{ctx.step}: the port is unknown" if name is None else f"the service {name!r} names no `port`",
            hint="set `port` of the step, or of the service in the inventory",
        )
    return own_port


class Occupy(Fault):
    """Listen on a port and never answer, like a wrong program that was started in place of a service.

    The port must be free when the fault begins. If `service` is set, this service may still use the port when the drill is
    checked. A step before the fault must then stop the service.
    """

    UNDO = ("commands",)

    port: PortNumber = None
    address: Annotated[
        str,
        Field(
            pattern=r"^\d{1,3}(\.\d{1,3}){3}$",
            description=(
                "IPv4 address to listen on. During the fault, no service can listen on the port at this address or at 0.0.0.0."
            ),
        ),
    ] = "127.0.0.1"
    service: Annotated[
        str | None, Field(description="Service that determines the host, and the port if the step sets no `port`.")
    ] = None
    for_: Lasting = Duration(300)

    def ready(self, ctx: Context) -> None:
        """Check that the host has a program that can listen, that the user has the right to listen on the port, and that
        the port is free. A port that the service itself uses is accepted.
        """
        Helper(ctx).ready()
        need(ctx, "timeout")
        if not ctx.run("sh", "-c", _TOOL).ok:
            raise NotReady(
                f"{ctx.host.name}: no program on this host can listen on a port", hint="install python3, perl, socat or nc"
            )
        if not self.known("port"):
            return
        port = _port(ctx, self.port, self.if_known("service"))
        first = int(ctx.run("sh", "-c", _FROM).check().text)
        if port < first:
            raise NotReady(
                f"{ctx.host.name}: an ordinary user may listen only on ports from {first} on, not on {port}",
                hint="run as root, or choose another port",
            )
        if self.if_known("service") and ctx.host.target.manager.kind == "docker":
            return  # a host cannot see listeners inside a container; `inject` finds out if the port is free
        taken = listeners(ctx, port)
        if taken and not self._belongs(ctx, taken):
            raise NotReady(
                f"{ctx.host.name}: port {port} is in use by process {', '.join(map(str, taken))}",
                hint="if this is the port of a service, set `service` and stop that service in an earlier step",
            )

    def _belongs(self, ctx: Context, taken: list[int]) -> bool:
        """Return True when the main process of the service's unit is the only listener."""
        name = self.if_known("service")
        if name is None or not ctx.service(name, Service).unit:
            return False
        with suppress(NotReady):
            return [of_unit(ctx, name).pid] == taken
        return False

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``port``, ``pids`` (pids of the processes that listen on the port). The step fails when the port was not
        free.
        """
        port = _port(ctx, self.port, self.service)
        taken = listeners(ctx, port)
        if taken:
            raise StepFailed(
                f"{ctx.host.name}: port {port} is in use by process {', '.join(map(str, taken))}; the fault was not injected"
            )
        helper = Helper(ctx)
        helper.start(_HOLD, self.for_, self.address, str(port), f":{port:04X}", _PYTHON, _PERL)
        return {"port": port, "pids": listeners(ctx, port)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that kills the program which this step started to listen on the port."""
        return Helper(ctx).undo()

    def active(self, ctx: Context) -> bool:
        """Return True while the helper program listens on the port.

        After the undo, return True while any process of the helper program remains.
        """
        helper = Helper(ctx)
        pids = helper.pids()
        if not pids or helper.ended_badly():
            return bool(pids)
        try:
            return bool(set(listeners(ctx, _port(ctx, self.port, self.service))) & set(pids))
        except NotReady:
            return False


# PID: send SIGTERM to the process, and after 3 s SIGKILL.
_END = (
    REST
    + """
kill -TERM "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && test "$tries" -lt 30; do tries=$((tries + 1)); rest; done
kill -KILL "$1" 2>/dev/null
exit 0
"""
)


class Release(Write):
    """Kill those of the given processes that listen on the port, as an engineer would. No other process is killed."""

    UNDO = ("nothing",)

    service: Annotated[
        str | None, Field(description="Service that determines the host, and the port if the step sets no `port`.")
    ] = None
    port: PortNumber = None
    pids: Annotated[
        tuple[Annotated[int, Field(ge=2)], ...],
        Field(
            min_length=1,
            description="Pids of the processes that may be killed. They usually come from the fact `pids` of another step.",
        ),
    ]

    def ready(self, ctx: Context) -> None:
        """Check that the port is known."""
        if self.known("port"):
            _port(ctx, self.port, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``port``, ``ended`` (pids of the killed processes).

        If a process whose pid is not in the parameter `pids` also listens on the port, the step fails and kills nothing.
        """
        port = _port(ctx, self.port, self.service)
        taken = listeners(ctx, port)
        if others := sorted(set(taken) - set(self.pids)):
            raise StepFailed(
                f"{ctx.host.name}: port {port} is also in use by process {', '.join(map(str, others))}, which is not in "
                "`pids`; no process was killed",
                findings=[finding("port-state", title=f"port {port}", wanted=f"held by {self.pids}", measured=str(others))],
            )
        for pid in taken:
            ended = by_port(port).run(ctx, ("sh", "-c", _END, "sh", PID), pid)
            if ended.exit != ANOTHER:
                ended.check()
        while left := listeners(ctx, port):
            if ctx.deadline.remaining() < 0.5:
                raise StepFailed(
                    f"{ctx.host.name}: port {port} is still in use by {left}",
                    findings=[finding("port-state", title=f"port {port}", wanted="free", measured=str(left))],
                )
            ctx.deadline.wait(0.1)
        return {"port": port, "ended": taken}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the port should stay free."""
        return Undo.nothing("a free port is the wanted state")


# SCRIPT WORD: print a line for each process that SCRIPT lists: pid, user, command.
_WHO = r"""
for pid in $(sh -c "$1" sh "$2"); do
  test -r "/proc/$pid/cmdline" || continue
  printf '%s %s %s\n' "$pid" "$(stat -c %U "/proc/$pid")" "$(tr '\000\n' '  ' < "/proc/$pid/cmdline" | cut -c 1-300)"
done
"""
MOST_OWNERS = 20


class Owner(Read):
    """Show which process listens on a TCP port of a host, or at the Unix socket of a service, with its user and command."""

    service: Annotated[
        str | None, Field(description="Service that determines the host, and the port if the step sets no `port`.")
    ] = None
    port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description=("TCP port. Default: the port of the service, or the Unix socket of a service that has no port."),
        ),
    ] = None

    @model_validator(mode="after")
    def _some_port(self) -> Self:
        if self.service is None and self.port is None:
            raise ValueError("set `port` or `service`")
        return self

    def ready(self, ctx: Context) -> None:
        """Check that the port or the Unix socket is known."""
        if self.known("port") and self.known("service") and not self._socket(ctx):
            _port(ctx, self.port, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``port``, ``at``, ``listening``, ``owners``, ``hidden``.

        ``at`` is a text such as ``port 5432``, or the path of a Unix socket. For a Unix socket, ``port`` is null.
        ``listening`` is true when a process listens there. ``owners`` lists the processes that listen; each has ``pid``,
        ``user`` and ``command``. ``hidden`` is true when the user who runs the step has no right to see them.
        """
        path = self._socket(ctx)
        port = None if path else _port(ctx, self.port, self.service)
        at = path or f"port {port}"
        try:
            pids = listeners(ctx, port) if port else listeners_at(ctx, path)
            script, word = (OF_PORT, by_port(port).name) if port else (OF_PATH, path)
        except NotReady:
            return {"port": port, "at": at, "listening": True, "owners": [], "hidden": True}
        if len(pids) > MOST_OWNERS:
            raise CouldNotVerify(
                f"{ctx.host.name}: {len(pids)} processes listen on {at}; at most {MOST_OWNERS} can be shown"
            )
        text = ctx.run(*as_root(ctx), "sh", "-c", _WHO, "sh", script + HOLDERS, word).check().text if pids else ""
        rows = [line.split(" ", 2) for line in text.splitlines()]
        return {
            "port": port,
            "at": at,
            "listening": bool(pids),
            "hidden": False,
            "owners": [
                {"pid": int(row[0]), "user": row[1], "command": printable(ctx.redactor.text(row[2].strip()), limit=300)}
                for row in rows
                if len(row) == 3
            ],
        }

    def _socket(self, ctx: Context) -> str:
        """Return the path of the service's Unix socket. The result is empty when the step or the service names a port."""
        return ctx.service(self.service, Service).socket if self.service is not None and self.port is None else ""
