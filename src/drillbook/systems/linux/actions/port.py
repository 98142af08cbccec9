"""A port that somebody else holds, and taking it back."""

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
from drillbook.systems.linux.faultstate import REST
from drillbook.systems.linux.helper import LONGEST, Helper
from drillbook.systems.linux.target import as_root, listeners, need, of_unit
from drillbook.values import Duration

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
# ADDRESS PORT :HEX PYTHON PERL: listens with the first tool there is, and watches that it does.
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
_FROM = """
test "$(id -u)" != 0 || { echo 0; exit; }
cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024
"""

PortNumber = Annotated[int | None, Field(ge=1, le=65535, description="The TCP port; not given: the `port` of the service.")]


def _port(ctx: Context, port: int | None, name: str | None) -> int:
    """The port that a step means. Raises NotReady."""
    if port is not None:
        return port
    service = ctx.service(name, Service) if name else None
    found = getattr(service, "port", None)
    if found is None and isinstance(service, Http):
        parts = urlsplit(service.url)
        found = parts.port or (443 if parts.scheme == "https" else 80)
    if not isinstance(found, int):
        raise NotReady(
            f"{ctx.step}: no port is known" if name is None else f"the service {name!r} names no `port`",
            hint="give the step a `port`, or the service in the inventory",
        )
    return found


class Occupy(Fault):
    """Listen on a port and never answer, as a program does that was started in a service's place.

    The port must be free. With `service` it may still be the service's own in the beginning, when a step before this one
    stops the service.
    """

    UNDO = ("commands",)

    port: PortNumber = None
    address: Annotated[
        str,
        Field(
            pattern=r"^\d{1,3}(\.\d{1,3}){3}$",
            description=("IPv4 address to listen at; a service that wants all addresses fails too."),
        ),
    ] = "127.0.0.1"
    service: Annotated[str | None, Field(description="Service whose port it is; names the host as well.")] = None
    for_: Annotated[
        Duration,
        Field(alias="for", ge=1, le=LONGEST, description="It ends by itself after this time, whatever happens; at most 1h."),
    ] = Duration(300)

    def ready(self, ctx: Context) -> None:
        """The port must be free, or the service's; the user must be allowed to listen there, and have a tool that can."""
        Helper(ctx).ready()
        need(ctx, "timeout")
        if not ctx.run("sh", "-c", _TOOL).ok:
            raise NotReady(f"{ctx.host.name}: nothing there can listen on a port", hint="install python3, perl, socat or nc")
        if not self.known("port"):
            return
        port = _port(ctx, self.port, self.__dict__.get("service"))
        first = int(ctx.run("sh", "-c", _FROM).check().text)
        if port < first:
            raise NotReady(
                f"{ctx.host.name}: an ordinary user may listen from port {first} on, not on {port}",
                hint="run as root, or choose another port",
            )
        if self.__dict__.get("service") and ctx.host.target.manager.kind == "docker":
            return  # what listens in a container is not seen from here; that the port is free is looked at when it is taken
        taken = listeners(ctx, port)
        if taken and not self._belongs(ctx, taken):
            raise NotReady(
                f"{ctx.host.name}: port {port} is taken by process {', '.join(map(str, taken))}",
                hint="name the `service` when it is the service's own port, and stop it in a step before",
            )

    def _belongs(self, ctx: Context, taken: list[int]) -> bool:
        """Is the listener the main process of the service's unit?"""
        name = self.__dict__.get("service")
        if name is None or not ctx.service(name, Service).unit:
            return False
        with suppress(NotReady):
            return [of_unit(ctx, name).pid] == taken
        return False

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``port``, ``pids`` of the listener. Listens only where nobody does."""
        port = _port(ctx, self.port, self.service)
        taken = listeners(ctx, port)
        if taken:
            raise StepFailed(
                f"{ctx.host.name}: port {port} is taken by process {', '.join(map(str, taken))}; nothing was done"
            )
        helper = Helper(ctx)
        helper.start(_HOLD, self.for_, self.address, str(port), f":{port:04X}", _PYTHON, _PERL)
        return {"port": port, "pids": listeners(ctx, port)}

    def undo(self, ctx: Context) -> Undo:
        """End the listener."""
        return Helper(ctx).undo()

    def active(self, ctx: Context) -> bool:
        """True while the kernel shows a process of the helper as the listener, or anything of the helper is left."""
        helper = Helper(ctx)
        pids = helper.pids()
        if not pids or helper.ended_badly():
            return bool(pids)
        try:
            return bool(set(listeners(ctx, _port(ctx, self.port, self.service))) & set(pids))
        except NotReady:
            return False


# PIDS...: asks each to end, and after 3 s does not ask.
_END = (
    REST
    + """
kill -TERM "$@" 2>/dev/null
tries=0
while kill -0 "$@" 2>/dev/null && test "$tries" -lt 30; do tries=$((tries + 1)); rest; done
kill -KILL "$@" 2>/dev/null
exit 0
"""
)


class Release(Write):
    """End the processes that hold a port, as an engineer does who has found them; only those that are named, only there."""

    UNDO = ("nothing",)

    service: Annotated[str | None, Field(description="Service whose port it is; names the host as well.")] = None
    port: PortNumber = None
    pids: Annotated[
        tuple[Annotated[int, Field(ge=2)], ...],
        Field(min_length=1, description="The processes that may be ended, such as the `pids` that a step found."),
    ]

    def ready(self, ctx: Context) -> None:
        """The port must be known."""
        if self.known("port"):
            _port(ctx, self.port, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``port``, ``ended`` (pids). Fails, and ends nobody, when somebody else holds the port."""
        port = _port(ctx, self.port, self.service)
        taken = listeners(ctx, port)
        if others := sorted(set(taken) - set(self.pids)):
            raise StepFailed(
                f"{ctx.host.name}: port {port} is held by process {', '.join(map(str, others))}, which is "
                "not to be ended; nobody was",
                findings=[finding("port-state", title=f"port {port}", wanted=f"held by {self.pids}", measured=str(others))],
            )
        if taken:
            ctx.run(*as_root(ctx), "sh", "-c", _END, "sh", *map(str, taken)).check()
        while left := listeners(ctx, port):
            if ctx.deadline.remaining() < 0.5:
                raise StepFailed(
                    f"{ctx.host.name}: port {port} is still held by {left}",
                    findings=[finding("port-state", title=f"port {port}", wanted="free", measured=str(left))],
                )
            ctx.deadline.wait(0.1)
        return {"port": port, "ended": taken}

    def undo(self, ctx: Context) -> Undo:
        """A free port is what is wanted."""
        return Undo.nothing("a free port is the wanted state")


# PID...: one line each: pid, user, command.
_WHO = r"""
for pid; do
  test -r "/proc/$pid/cmdline" || continue
  printf '%s %s %s\n' "$pid" "$(stat -c %U "/proc/$pid")" "$(tr '\000\n' '  ' < "/proc/$pid/cmdline" | cut -c 1-300)"
done
"""
MOST_OWNERS = 20


class Owner(Read):
    """Who listens on a TCP port of a host: process, user and command."""

    service: Annotated[str | None, Field(description="Service whose host it is, and whose port unless `port` says it.")] = (
        None
    )
    port: Annotated[int | None, Field(ge=1, le=65535, description="The port; default: the service's.")] = None

    @model_validator(mode="after")
    def _some_port(self) -> Self:
        if self.service is None and self.port is None:
            raise ValueError("name the port: `port`, or `service` whose port it is")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``port``, ``listening``, ``owners`` (``pid user command``), ``hidden`` (not to be seen)."""
        port = _port(ctx, self.port, self.service)
        try:
            pids = listeners(ctx, port)
        except NotReady:
            return {"port": port, "listening": True, "owners": [], "hidden": True}
        if len(pids) > MOST_OWNERS:
            raise CouldNotVerify(f"{ctx.host.name}: {len(pids)} processes listen on port {port}")
        text = ctx.run(*as_root(ctx), "sh", "-c", _WHO, "sh", *map(str, pids)).check().text if pids else ""
        rows = [line.split(" ", 2) for line in text.splitlines()]
        return {
            "port": port,
            "listening": bool(pids),
            "hidden": False,
            "owners": [
                {"pid": int(row[0]), "user": row[1], "command": printable(ctx.redactor.text(row[2].strip()), limit=300)}
                for row in rows
                if len(row) == 3
            ],
        }
