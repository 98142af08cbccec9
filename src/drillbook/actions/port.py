"""A port that somebody else holds."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from pydantic import Field

from drillbook.action import Context, Facts, Fault, Undo
from drillbook.errors import NotReady, StepFailed
from drillbook.hostfaults.helper import LONGEST, Helper
from drillbook.hostfaults.target import listeners, need, of_unit
from drillbook.services import Service
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


class Occupy(Fault):
    """Listen on a port and never answer, as a program does that was started in a service's place.

    The port must be free. With `service` it may still be the service's own in the beginning, when a step before this one
    stops the service.
    """

    UNDO = ("commands",)

    port: Annotated[int, Field(ge=1, le=65535, description="The TCP port.")]
    address: Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}$", description=(
        "IPv4 address to listen at; a service that wants all addresses fails too."))] = "127.0.0.1"
    service: Annotated[str | None, Field(description="Service whose port it is; names the host as well.")] = None
    for_: Annotated[Duration, Field(
        alias="for", ge=1, le=LONGEST, description="It ends by itself after this time, whatever happens; at most 1h.")
        ] = Duration(300)

    def ready(self, ctx: Context) -> None:
        """The port must be free, or the service's; the user must be allowed to listen there, and have a tool that can."""
        Helper(ctx).ready()
        need(ctx, "timeout")
        if not ctx.run("sh", "-c", _TOOL).ok:
            raise NotReady(f"{ctx.host.name}: nothing there can listen on a port", hint="install python3, perl, socat or nc")
        if not self.known("port"):
            return
        first = int(ctx.run("sh", "-c", _FROM).check().text)
        if self.port < first:
            raise NotReady(f"{ctx.host.name}: an ordinary user may listen from port {first} on, not on {self.port}",
                           hint="run as root, or choose another port")
        taken = listeners(ctx, self.port)
        if taken and not self._belongs(ctx, taken):
            raise NotReady(f"{ctx.host.name}: port {self.port} is taken by process {', '.join(map(str, taken))}",
                           hint="name the `service` when it is the service's own port, and stop it in a step before")

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
        taken = listeners(ctx, self.port)
        if taken:
            raise StepFailed(f"{ctx.host.name}: port {self.port} is taken by process {', '.join(map(str, taken))}; "
                             "nothing was done")
        helper = Helper(ctx)
        helper.start(_HOLD, self.for_, self.address, str(self.port), f":{self.port:04X}", _PYTHON, _PERL)
        return {"port": self.port, "pids": helper.workers("listener")}

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
            return bool(set(listeners(ctx, self.port)) & set(pids))
        except NotReady:
            return False
